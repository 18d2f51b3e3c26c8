"""The compact network's windows and its whole volume agree; the reference's do not."""

from functools import cache

import numpy as np
import pytest
import torch
from compact_variants import FORMS, WIDTH, random_network
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from cryosamu.config import NetworkSettings
from cryosamu.network import build_network

DEEP = [("default", (1, 4, 8)), ("default", (1, 2, 2, 4)), ("folded", (1, 2, 2))]
LAYOUTS = [*((form, (1, 2)) for form in FORMS), *DEEP]
NAMES = [f"{form}{''.join(map(str, multipliers))}" for form, multipliers in LAYOUTS]


@pytest.fixture(autouse=True)
def _repeatable():
    torch.set_num_threads(1)
    torch.manual_seed(3)


def molecule(shape):
    """Density in one half along each axis, solvent elsewhere: windows with unlike contents."""
    random = np.random.default_rng(5)
    data = np.zeros(shape, np.float32)
    half = tuple(slice(0, edge // 2) for edge in shape)
    data[half] = random.random(data[half].shape) > 0.98
    return torch.from_numpy(gaussian_filter(data, 1.5))[None, None] * 20


@cache
@torch.no_grad()
def whole_volume(form, multipliers, long_axis):
    """A network, a volume that is longer along one axis than two margins, and the answer to it."""
    network = random_network(form, multipliers)
    edges = [2 * network.stride + 8] * 3
    edges[long_axis] = 2 * network.margin + 8 * network.stride
    volume = molecule([-(-edge // network.stride) * network.stride for edge in edges])
    told = {"tokens": torch.randn(1, 6, WIDTH), "resolution": torch.tensor([5.0])}
    return network, volume, told, network(volume, **told)


@pytest.mark.parametrize(("form", "multipliers"), LAYOUTS, ids=NAMES)
@settings(max_examples=12, deadline=None)
@given(axis=st.integers(0, 2), data=st.data())
@torch.no_grad()
def test_windows_anywhere_equal_the_whole_volume(form, multipliers, axis, data):
    network, volume, told, whole = whole_volume(form, multipliers, axis)
    strides = volume.shape[2 + axis] // network.stride
    first = data.draw(st.integers(0, strides - 2), label="first stride")
    last = data.draw(st.integers(first + 2, strides), label="last stride")
    start, stop = first * network.stride, last * network.stride
    # A window's own edge is the volume's where both begin or end: there no margin is lost.
    low = start + network.margin if first else 0
    high = stop - network.margin if last < strides else stop
    part = network(volume.narrow(2 + axis, start, stop - start), **told)
    if high <= low:
        return
    inner = part.narrow(2 + axis, low - start, high - low)
    wanted = whole.narrow(2 + axis, low, high - low)
    assert (inner - wanted).abs().max() < 1e-3 * whole.std()


@torch.no_grad()
def test_windows_off_in_all_axes_at_once_equal_the_whole_volume():
    network = random_network("folded", (1, 2))
    edge = 2 * network.margin + 2 * network.stride
    volume = molecule([edge + 4 * network.stride] * 3)
    whole = network(volume)
    corner = (network.stride, 3 * network.stride, 2 * network.stride)
    window = (..., *(slice(start, start + edge) for start in corner))
    inner = (..., *[slice(network.margin, edge - network.margin)] * 3)
    assert (network(volume[window])[inner] - whole[window][inner]).abs().max() < 1e-3 * whole.std()


@torch.no_grad()
def test_windows_off_the_stride_differ():
    network = random_network("default", (1, 4, 8))
    edge, margin = 64, network.margin
    volume = molecule([edge + 8] * 3)
    inner = (..., *[slice(margin, edge - margin)] * 3)
    whole = network(volume)
    off = network(volume[..., 1 : edge + 1, :edge, :edge])[inner]
    wanted = whole[..., 1 : edge + 1, :edge, :edge][inner]
    assert (off - wanted).abs().max() > 0.01 * (whole - volume).std()


@torch.no_grad()
def test_windows_of_the_reference_know_that_they_are_windows():
    settings = NetworkSettings(base_channels=4, multipliers=(1, 2), dropout=0)
    network = build_network(settings, WIDTH).eval()
    volume = molecule([24] * 3)
    whole = network(volume)
    inner = (..., *[slice(4, 12)] * 3)
    error = (network(volume[..., :16, :16, :16]) - whole[..., :16, :16, :16])[inner].abs().max()
    assert not network.tile_consistent
    assert error > 0.01 * whole.std()


@pytest.mark.parametrize(("form", "multipliers"), LAYOUTS, ids=NAMES)
def test_the_margin_is_the_reach_of_the_input(form, multipliers):
    # Gradients of one output voxel with respect to the input, at every phase of the stride.
    network = random_network(form, multipliers)
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
    for form in FORMS:
        kinds = {type(module).__name__ for module in random_network(form).modules()}
        assert not any("GroupNorm" in kind or "InstanceNorm" in kind for kind in kinds)
        assert "LinearAttention" not in kinds
