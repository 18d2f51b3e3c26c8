"""The compact network's windows and its whole volume agree; the reference's do not."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from cryosamu.config import NetworkSettings
from cryosamu.network import build_network

WIDTH = 16
LAYOUTS = [(1, 2), (1, 4, 8), (1, 2, 2, 4)]


@pytest.fixture(autouse=True)
def _repeatable():
    torch.set_num_threads(1)
    torch.manual_seed(3)


def build(name, multipliers):
    settings = NetworkSettings(name=name, base_channels=4, multipliers=multipliers, dropout=0)
    network = build_network(settings, WIDTH).eval()
    for parameter in network.head[-1].parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return network


def molecule(shape):
    """Density in one corner, solvent elsewhere: windows with unlike contents."""
    random = np.random.default_rng(5)
    data = np.zeros(shape, np.float32)
    half = tuple(slice(0, edge // 2) for edge in shape)
    data[half] = random.random(data[half].shape) > 0.98
    return torch.from_numpy(gaussian_filter(data, 1.5))[None, None] * 20


def window_errors(network, volume, tokens, edge):
    """Greatest differences from the whole volume, in its std, for windows all over it."""
    whole = network(volume, tokens)
    change = (whole - volume).std()
    stride, margin = network.stride, network.margin
    for corner in [(0, 0, 0), (stride, 3 * stride, 0), (2 * stride, stride, 3 * stride)]:
        window = (..., *(slice(start, start + edge) for start in corner))
        # A window's own edge is the volume's where it begins at 0: there no margin is lost.
        inner = (..., *(slice(margin if start else 0, edge - margin) for start in corner))
        part = network(volume[window], tokens)
        assert part[inner].numel()
        yield float((part[inner] - whole[window][inner]).abs().max() / change)


@pytest.mark.parametrize("multipliers", LAYOUTS, ids=str)
@torch.no_grad()
def test_windows_of_the_compact_network_equal_the_whole_volume(multipliers):
    network = build("compact", multipliers)
    edge = 2 * network.margin + 2 * network.stride
    volume = molecule([edge + 4 * network.stride] * 3)
    errors = list(window_errors(network, volume, torch.randn(1, 6, WIDTH), edge))
    assert max(errors) < 1e-3


@torch.no_grad()
def test_windows_off_the_stride_differ():
    network = build("compact", (1, 4, 8))
    edge, margin = 64, network.margin
    volume = molecule([edge + 8] * 3)
    inner = (..., *[slice(margin, edge - margin)] * 3)
    whole = network(volume)
    off = network(volume[..., 1 : edge + 1, :edge, :edge])[inner]
    wanted = whole[..., 1 : edge + 1, :edge, :edge][inner]
    assert (off - wanted).abs().max() > 0.01 * (whole - volume).std()


@torch.no_grad()
def test_windows_of_the_reference_know_that_they_are_windows():
    network = build("reference", (1, 2))
    volume = molecule([48] * 3)
    whole = network(volume)
    inner = (..., *[slice(16, 24)] * 3)
    error = (network(volume[..., :40, :40, :40]) - whole[..., :40, :40, :40])[inner].abs().max()
    assert not network.tile_consistent
    assert error > 0.01 * whole.std()


@pytest.mark.parametrize("multipliers", LAYOUTS, ids=str)
def test_the_margin_is_the_reach_of_the_input(multipliers):
    # Gradients of one output voxel with respect to the input, at every phase of the stride.
    network = build("compact", multipliers)
    edge = 2 * network.margin + 2 * network.stride
    reach = 0
    for phase in range(network.stride):
        line = torch.rand(1, 1, edge, network.stride, network.stride, requires_grad=True)
        place = network.margin + phase
        network(line)[0, 0, place, 0, 0].backward()
        felt = line.grad[0, 0].abs().sum((1, 2)).nonzero().flatten()
        reach = max(reach, place - int(felt.min()), int(felt.max()) - place)
    assert network.margin - network.stride < reach <= network.margin


def test_the_compact_network_holds_no_statistics_of_windows():
    kinds = {type(module).__name__ for module in build("compact", (1, 4, 8)).modules()}
    assert not any("GroupNorm" in kind or "InstanceNorm" in kind for kind in kinds)
    assert "LinearAttention" not in kinds
