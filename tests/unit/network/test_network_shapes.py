import pytest
import torch

from cryosamu.config import NetworkSettings
from cryosamu.errors import ConfigError
from cryosamu.network import build_network

REFERENCE = NetworkSettings()
SMALL_REFERENCE = NetworkSettings(base_channels=8, multipliers=(1, 2))
COMPACT = NetworkSettings(name="compact", base_channels=4, multipliers=(1, 2, 4), dropout=0)
WIDTH = 24


@pytest.fixture(autouse=True)
def _repeatable():
    torch.set_num_threads(1)
    torch.manual_seed(7)


def build(settings):
    """A network all of whose weights matter, the last layer's included."""
    network = build_network(settings, WIDTH).eval()
    for parameter in network.head[-1].parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return network


@pytest.fixture(params=[SMALL_REFERENCE, COMPACT], ids=["reference", "compact"])
def network(request):
    return build(request.param)


@pytest.fixture
def density():
    return torch.rand(2, 1, 8, 12, 16)


def on_meta(settings, width):
    with torch.device("meta"):
        return build_network(settings, width)


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_reference_has_the_published_number_of_parameters():
    assert parameters(on_meta(REFERENCE, 512)) == 12_220_225


def test_the_reference_costs_what_was_measured_of_the_published_network():
    # 197 GFLOP for a window of 48³; the cost tells layouts apart that have equal parameters.
    from torch.utils.flop_counter import FlopCounterMode

    network = on_meta(REFERENCE, 512).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(
            torch.empty(1, 1, 48, 48, 48, device="meta"), torch.empty(1, 256, 512, device="meta")
        )
    assert counter.get_total_flops() / 48**3 == pytest.approx(1_786_000, rel=1e-3)


def test_only_the_structure_attention_knows_the_embedding_width():
    # Per unit of width: LayerNorm's 2, and a row of the key's and the value's matrices (128 each).
    grown = parameters(on_meta(REFERENCE, 513)) - parameters(on_meta(REFERENCE, 512))
    assert grown == 2 + 2 * 128


def counted_by_hand(fine, middle, coarse, width):
    """Parameters of a compact network of three levels, layer by layer."""
    ends = (27 * fine + fine) + (fine + 27 * fine + 1)
    down = (8 * fine * middle + middle) + (8 * middle * coarse + coarse)
    up = (middle * fine + fine) + (coarse * middle + middle)
    blocks = 2 * 2 * (27 * middle**2 + 2 * middle) + 2 * (27 * coarse**2 + 2 * coarse)
    norms = 2 * coarse + 2 * width + 2 * coarse
    attention = 2 * (coarse**2 + coarse) + 2 * (width * coarse + coarse)
    return ends + down + up + blocks + norms + attention + 8 * coarse**2 + 5 * coarse


@pytest.mark.parametrize(("base", "expected"), [(8, 412_041), (12, 913_037), (16, 1_610_769)])
def test_the_compact_network_stays_small(base, expected):
    settings = NetworkSettings(name="compact", base_channels=base, multipliers=(1, 4, 8))
    counted = parameters(on_meta(settings, 128))
    assert counted == counted_by_hand(base, 4 * base, 8 * base, 128)
    assert counted == expected


def test_the_output_has_the_shape_of_the_input(network, density):
    tokens = torch.randn(2, 5, WIDTH)
    assert network(density).shape == density.shape
    assert network(density, tokens).shape == density.shape
    assert network(density, tokens, torch.ones(2, 5, dtype=torch.bool)).shape == density.shape


def test_the_structure_makes_a_difference(network, density):
    alone = network(density)
    told = network(density, torch.randn(2, 5, WIDTH))
    assert (told - alone).std() > 1e-3 * alone.std()


def test_padded_tokens_have_no_influence(network, density):
    tokens = torch.randn(2, 5, WIDTH)
    padding = 1e6 * torch.randn(2, 3, WIDTH)
    mask = torch.tensor([[True] * 5 + [False] * 3] * 2)
    padded = network(density, torch.cat((tokens, padding), dim=1), mask)
    torch.testing.assert_close(padded, network(density, tokens), rtol=1e-4, atol=2e-5)


def test_each_example_has_its_own_mask(network, density):
    tokens = torch.randn(2, 5, WIDTH)
    mask = torch.tensor([[True, True, False, False, False], [True] * 5])
    together = network(density, tokens, mask)
    first = network(density[:1], tokens[:1, :2])
    second = network(density[1:], tokens[1:])
    torch.testing.assert_close(together, torch.cat((first, second)), rtol=1e-4, atol=2e-5)


def test_an_example_without_tokens_is_one_without_structure(network, density):
    tokens = torch.randn(2, 5, WIDTH)
    mask = torch.tensor([[False] * 5, [True] * 5])
    answer = network(density, tokens, mask)
    torch.testing.assert_close(answer[:1], network(density[:1]), rtol=1e-4, atol=2e-5)
    assert (answer[1:] - network(density[1:])).std() > 1e-4


def test_gradients_are_finite_when_no_example_has_structure(network, density):
    tokens = torch.randn(2, 5, WIDTH, requires_grad=True)
    network(density, tokens, torch.zeros(2, 5, dtype=torch.bool)).sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)
    assert not tokens.grad.any()


def test_the_gradient_reaches_every_parameter(network, density):
    answer = network(density, torch.randn(2, 5, WIDTH))
    (answer - torch.rand_like(answer)).square().mean().backward()
    without = {name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()}
    # A shift of every key leaves a softmax over the keys as it is.
    assert without <= {"structure.key.bias"}


@pytest.mark.parametrize("edges", [(8, 8, 9), (6, 8, 8)])
def test_edges_that_are_not_whole_strides_are_refused(edges):
    with pytest.raises(ValueError, match="multiples of the stride 4"):
        build(COMPACT)(torch.rand(1, 1, *edges))


def test_an_array_without_batch_is_refused(network):
    with pytest.raises(ValueError, match=r"\[batch, 1, z, y, x\]"):
        network(torch.rand(8, 8, 8))


def test_one_level_is_refused():
    with pytest.raises(ConfigError, match=r"'network\.multipliers' names one level"):
        build_network(NetworkSettings(multipliers=(1,)), WIDTH)


@pytest.mark.parametrize("name", ["reference", "compact"])
def test_channels_that_the_heads_do_not_divide_are_refused(name):
    settings = NetworkSettings(name=name, base_channels=5, multipliers=(1, 1))
    with pytest.raises(ConfigError, match="is 5; it must be a multiple of 4"):
        build_network(settings, WIDTH)
