"""By slabs the compact network computes the same, in all its forms."""

import copy

import numpy as np
import pytest
import torch
from compact_variants import FORMS, WIDTH, random_network

from cryosamu.device import has_bfloat16, has_int8
from cryosamu.errors import CheckpointError
from cryosamu.network import several, slabs, streamed
from cryosamu.network.convolutions import EightBits

BY_WHOLE_GRIDS = ("blocks", "folded", "smooth", "folded-gated")
"""Forms that do not stream."""


@pytest.fixture(autouse=True, params=[1, 10_500])
def _thin_slabs(monkeypatch, request):
    """Few planes at a time, few voxels at a time: every seam between slabs is met.

    The second leaves room for five planes of the full grid, where slabs are of even length.
    """
    monkeypatch.setitem(slabs._SLAB_BYTES, "cpu", request.param)
    monkeypatch.setitem(slabs._ROWS, "cpu", 50)


def of_noise(form, multipliers=(1, 2, 4)):
    """A network and what it is shown, structure tokens included."""
    torch.manual_seed(4)
    told = {"tokens": torch.randn(1, 3, WIDTH), "resolution": torch.tensor([5.0])}
    return random_network(form, multipliers), torch.rand(1, 1, 24, 24, 24), told


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("multipliers", [(1, 2), (1, 2, 3)])
@torch.no_grad()
def test_slabs_leave_no_trace(form, multipliers):
    torch.manual_seed(3)
    density = torch.rand(2, 1, 24, 8, 16)
    tokens, resolution = torch.randn(2, 3, WIDTH), torch.tensor([4.0, 7.0])
    mask = torch.tensor([[True, True, False], [False] * 3])
    network = random_network(form, multipliers)
    wanted = network(density, tokens, mask, resolution)
    fast = copy.deepcopy(network).for_inference()
    assert (fast.streamed is not None) == (form not in BY_WHOLE_GRIDS)
    answer = fast(density, tokens, mask, resolution)
    assert (answer - wanted).abs().max() < 2e-5 * wanted.std()


@pytest.mark.parametrize("form", FORMS)
@torch.no_grad()
def test_bfloat16_stays_close(form):
    network, density, told = of_noise(form)
    assert network.holds_in_bfloat16 == (form not in BY_WHOLE_GRIDS)
    if not network.holds_in_bfloat16:
        return
    wanted = network(density, **told)
    answer = network.for_inference(torch.bfloat16)(density, **told)
    assert answer.dtype is torch.float32
    assert not torch.equal(answer, wanted)
    assert np.corrcoef(answer.flatten(), wanted.flatten())[0, 1] > 0.9995


@pytest.mark.skipif(
    not has_int8(torch.device("cpu")), reason="this processor multiplies no 8-bit numbers"
)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("bfloat16", [True, False])
@torch.no_grad()
def test_eight_bits_stay_close(form, bfloat16, monkeypatch):
    """Voxels are held in bfloat16 between the products, or in float32 where there is no other."""
    if bfloat16 and not has_bfloat16(torch.device("cpu")):
        pytest.skip("this processor has no instructions for bfloat16")
    monkeypatch.setattr(streamed, "has_bfloat16", lambda _: bfloat16)
    network, density, told = of_noise(form)
    if not network.multiplies_in_int8:
        return
    wanted = network(density, **told)
    answer = network.for_inference(torch.int8)(density, **told)
    arranged = network.streamed
    assert arranged.dtype is (torch.bfloat16 if bfloat16 else torch.float32)
    block = arranged.bottleneck[0]
    # What no norm limits, or a known resolution may scale and shift, is not for 8 bits.
    assert isinstance(block.first, EightBits) == (form != "between")
    assert isinstance(block.second, EightBits) == (form != "resolution")
    assert answer.dtype is torch.float32
    assert np.corrcoef(answer.flatten(), wanted.flatten())[0, 1] > 0.9995


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@torch.no_grad()
def test_autocast_changes_nothing(dtype):
    """What is computed in which numbers was arranged; a norm in bfloat16 would be too coarse."""
    network, density, told = of_noise("gated")
    network.for_inference(dtype)
    wanted = network(density, **told)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(network(density, **told), wanted)


@pytest.mark.skipif(
    not has_int8(torch.device("cpu")), reason="this processor multiplies no 8-bit numbers"
)
@torch.no_grad()
def test_numbers_that_grow_beyond_all_bounds_are_not_cut_to_eight_bits():
    network, density, _ = of_noise("gated")
    network.bottleneck.blocks[0].first.weight.fill_(3e38)
    with pytest.raises(CheckpointError, match="NaN or infinite"):
        network.for_inference(torch.int8)(density)


def test_eight_bits_are_for_networks_that_norm_channels():
    assert random_network("default").multiplies_in_int8
    assert not random_network("batch").multiplies_in_int8
    assert not random_network("blocks").multiplies_in_int8


@torch.no_grad()
def test_float32_is_exact_after_bfloat16():
    density = torch.rand(1, 1, 16, 16, 16)
    network = random_network("gated", (1, 2, 4))
    exact = network.for_inference()(density)
    assert not torch.equal(network.for_inference(torch.bfloat16)(density), exact)
    assert torch.equal(network.for_inference()(density), exact)


@torch.no_grad()
def test_a_copy_is_arranged_anew():
    """What was arranged for one device does not go along to another."""
    network = random_network("gated", (1, 2, 4)).for_inference()
    assert copy.deepcopy(network).streamed is None


@torch.no_grad()
def test_the_full_grids_channels_never_exist_all_at_once(monkeypatch):
    """Of the volumes that are made, none has the full grid's channels for all planes."""
    largest = []
    kept = several.products

    def watched(planes, *others):
        result = kept(planes, *others)
        largest.append(result.numel())
        return result

    monkeypatch.setitem(slabs._SLAB_BYTES, "cpu", 1)
    monkeypatch.setattr(several, "products", watched)
    random_network("gated", (1, 2)).for_inference()(torch.rand(1, 1, 64, 16, 16))
    assert max(largest) == 4 * 4 * 16 * 16  # channels, planes, rows, voxels
