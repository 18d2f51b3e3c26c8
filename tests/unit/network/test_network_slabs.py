"""By slabs the compact network computes the same, in all its forms."""

import copy

import numpy as np
import pytest
import torch
from compact_variants import FORMS, WIDTH, random_network

from cryosamu.network import streamed

BY_WHOLE_GRIDS = ("blocks", "folded", "smooth", "folded-gated")
"""Forms that do not stream."""


@pytest.fixture(autouse=True)
def _thin_slabs(monkeypatch):
    """Four planes at a time, few voxels at a time: every seam between slabs is met."""
    monkeypatch.setitem(streamed._SLAB_BYTES, "cpu", 1)
    monkeypatch.setitem(streamed._ROWS, "cpu", 50)


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
    assert fast.streams == (form not in BY_WHOLE_GRIDS)
    answer = fast(density, tokens, mask, resolution)
    assert (answer - wanted).abs().max() < 2e-5 * wanted.std()


@pytest.mark.parametrize("form", FORMS)
@torch.no_grad()
def test_bfloat16_stays_close(form):
    density = torch.rand(1, 1, 24, 24, 24)
    network = random_network(form, (1, 2, 4))
    assert network.holds_in_bfloat16 == (form not in BY_WHOLE_GRIDS)
    if not network.holds_in_bfloat16:
        return
    wanted = network(density).flatten().numpy()
    fast = network.for_inference(torch.bfloat16)
    assert fast.entry.weight.dtype is torch.bfloat16
    answer = fast(density)
    assert answer.dtype is torch.float32
    assert np.corrcoef(answer.flatten().numpy(), wanted)[0, 1] > 0.9995


@torch.no_grad()
def test_float32_is_exact_after_bfloat16():
    density = torch.rand(1, 1, 16, 16, 16)
    network = random_network("gated", (1, 2, 4))
    exact = network.for_inference()(density)
    assert not torch.equal(network.for_inference(torch.bfloat16)(density), exact)
    assert torch.equal(network.for_inference()(density), exact)
    assert not any("exact" in name for name in network.state_dict())


@torch.no_grad()
def test_the_full_grids_channels_never_exist_all_at_once(monkeypatch):
    """Of the largest tensors that are made, none has the full grid's channels for all planes."""
    largest = []
    kept = streamed._convolution

    def watched(slab, *others):
        result = kept(slab, *others)
        largest.append((result.shape[1], result[0, 0].numel()))
        return result

    monkeypatch.setattr(streamed, "_convolution", watched)
    random_network("gated", (1, 2)).for_inference()(torch.rand(1, 1, 64, 16, 16))
    full_grid = [voxels for channels, voxels in largest if channels == 4]
    assert max(full_grid) <= 6 * 16 * 16


def test_memory_grows_with_the_coarser_grids_alone():
    network = random_network("default", (1, 2, 4))  # 4, 8 and 16 channels
    fixed, each = network.memory(torch.float32)
    assert each == pytest.approx(8 + 1.1 * (8 * 4 / 8 + 16 * 4 / 64))
    assert network.memory(torch.bfloat16)[1] == pytest.approx(8 + 1.1 * (4 + 1) / 2)
    assert random_network("blocks").memory(torch.float32)[1] > each
    assert fixed > 0
