"""Each form of the compact network does what its name says."""

import pytest
import torch
from compact_variants import FORMS, WIDTH, random_network, settings_of
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from cryosamu.config import EmbeddingSettings, PreparationSettings
from cryosamu.network import build_network
from cryosamu.network.blocks import ChannelNorm, Down, Up, folded, unfolded
from cryosamu.network.checkpoint import (
    CheckpointHeader,
    TrainingSummary,
    load_checkpoint,
    save_checkpoint,
)


@pytest.fixture(autouse=True)
def _repeatable():
    torch.set_num_threads(1)
    torch.manual_seed(5)


@pytest.fixture
def density():
    return torch.rand(2, 1, 8, 16, 24)


@pytest.mark.parametrize("form", FORMS)
def test_a_fresh_network_begins_with_the_map_unless_its_output_is_plain(form, density):
    network = build_network(settings_of(form), WIDTH)
    same = torch.equal(network(density, torch.randn(2, 3, WIDTH)), density)
    assert same != (form == "plain")


@pytest.mark.parametrize("form", FORMS)
def test_the_gradient_reaches_every_parameter(form, density):
    network = random_network(form, (1, 2, 4)).train()
    answer = network(density, torch.randn(2, 3, WIDTH), resolution=torch.tensor([4.0, 7.0]))
    (answer - torch.rand_like(answer)).square().mean().backward()
    without = [
        name
        for name, parameter in network.named_parameters()
        if parameter.grad is None or not parameter.grad.any()
    ]
    # A shift of every key leaves a softmax over the keys as it is.
    assert set(without) <= {"structure.key.bias"}


@pytest.mark.parametrize("form", FORMS)
@torch.no_grad()
def test_what_runs_fastest_answers_the_same(form, density):
    network = random_network(form, (1, 2, 4))
    tokens, resolution = torch.randn(2, 3, WIDTH), torch.tensor([4.0, 7.0])
    wanted = network(density, tokens, resolution=resolution)
    fast = network.for_inference()
    assert not fast.training
    answer = fast(density, tokens, resolution=resolution)
    assert (answer - wanted).abs().max() < 1e-5 * wanted.std()


@pytest.mark.parametrize("form", FORMS)
@torch.no_grad()
def test_a_network_out_of_a_checkpoint_answers_the_same(form, density, tmp_path):
    network = random_network(form, (1, 2, 4))
    path = tmp_path / "checkpoint.safetensors"
    header = CheckpointHeader(
        network=settings_of(form, (1, 2, 4)),
        embedding_width=WIDTH,
        embedding=EmbeddingSettings(),
        weights_fingerprint="ab12",
        preparation=PreparationSettings(),
        training=TrainingSummary(1, 1, "cd34"),
    )
    save_checkpoint(path, network, header)
    loaded = load_checkpoint(path)[0]
    assert not any(tensor.is_meta for tensor in (*loaded.parameters(), *loaded.buffers()))
    tokens = torch.randn(2, 3, WIDTH)
    assert torch.equal(loaded(density, tokens), network(density, tokens))


def test_norms_after_convolutions_are_folded_away():
    network = random_network("between-batch", (1, 2, 4))
    blocks = [m for m in network.modules() if hasattr(m, "fold")]
    assert all(isinstance(block.norm, nn.BatchNorm3d) for block in blocks)
    network.for_inference()
    assert not any(isinstance(block.norm, nn.BatchNorm3d) for block in blocks)


@given(edge=st.integers(1, 3), count=st.integers(1, 3), cubes=st.tuples(*[st.integers(1, 3)] * 3))
@settings(max_examples=25, deadline=None)
def test_folding_loses_nothing(edge, count, cubes):
    z, y, x = (edge * cube for cube in cubes)
    voxels = torch.arange(count * z * y * x).view(1, count, z, y, x)
    cells = folded(voxels, edge)
    assert cells.shape == (1, count * edge**3, *cubes)
    first = voxels[0, :, :edge, :edge, :edge]
    assert sorted(cells[0, :, 0, 0, 0].tolist()) == sorted(first.flatten().tolist())
    assert torch.equal(unfolded(cells, edge), voxels)


@torch.no_grad()
def test_a_closed_gate_leaves_the_map_and_an_open_one_corrects_it(density):
    network = random_network("gated")
    network.head[-1].weight.zero_()
    network.head[-1].bias.copy_(torch.tensor([0.5, -40.0]))
    torch.testing.assert_close(network(density), density)
    network.head[-1].bias.copy_(torch.tensor([0.5, 40.0]))
    torch.testing.assert_close(network(density), density + 0.5)


@torch.no_grad()
def test_an_unknown_resolution_is_one_that_is_not_told(density):
    network = random_network("resolution")
    unknown = network(density, resolution=torch.full((2,), torch.nan))
    assert torch.equal(network(density), unknown)
    mixed = network(density, resolution=torch.tensor([5.0, torch.nan]))
    torch.testing.assert_close(mixed[1], unknown[1])
    assert (mixed[0] - unknown[0]).std() > 1e-3 * unknown[0].std()
    other = network(density, resolution=torch.tensor([7.0, torch.nan]))
    assert (mixed[0] - other[0]).std() > 1e-3 * unknown[0].std()


@pytest.mark.parametrize("form", ["default", "gated"])
@torch.no_grad()
def test_networks_that_were_not_built_for_it_ignore_the_resolution(form, density):
    network = random_network(form)
    assert torch.equal(network(density, resolution=torch.tensor([4.0, 8.0])), network(density))


def test_channel_norm_is_that_of_each_voxel_alone():
    voxels = 3 * torch.randn(1, 5, 2, 2, 2)
    normed = ChannelNorm(5)(voxels)
    root = (voxels[0, :, 1, 0, 1].square().mean() + 1e-4).sqrt()
    torch.testing.assert_close(normed[0, :, 1, 0, 1], voxels[0, :, 1, 0, 1] / root)


@torch.no_grad()
def test_smooth_ways_between_grids_keep_what_is_smooth():
    # A plane that rises along x stays one, away from the edges: half the samples, and back.
    down, up = Down(1, 1, smooth=True), Up(1, 1, smooth=True)
    for part in (down, up):
        nn.init.ones_(part.convolution.weight)
        nn.init.zeros_(part.convolution.bias)
    plane = torch.arange(16.0).expand(1, 1, 16, 16, 16)
    inner = (..., *[slice(4, 12)] * 3)
    torch.testing.assert_close(up(down(plane))[inner], plane[inner])


@torch.no_grad()
def test_smooth_ways_between_grids_drop_what_half_the_grid_cannot_hold():
    checks = (-1.0) ** torch.arange(16).expand(1, 1, 16, 16, 16)
    down = Down(1, 1, smooth=True)
    nn.init.ones_(down.convolution.weight)
    nn.init.zeros_(down.convolution.bias)
    assert down(checks)[..., 1:-1, 1:-1, 1:-1].abs().max() < 1e-6
