"""Each arrangement of a convolution against PyTorch's own."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from cryosamu.device import has_int8
from cryosamu.network.blocks import ChannelNorm
from cryosamu.network.convolutions import SILU_LEAST, Direct, EightBits, in_one
from cryosamu.network.several import FewAnswers, OneChannel
from cryosamu.network.slabs import activated, convolved, copied
from cryosamu.network.streamed import _arranged
from cryosamu.network.winograd import FourPlanes

needs_int8 = pytest.mark.skipif(
    not has_int8(torch.device("cpu")), reason="this processor multiplies no 8-bit numbers"
)


def convolution(inside, outside, edge=3, stride=1, *, bias=True, seed=1):
    torch.manual_seed(seed)
    return nn.Conv3d(inside, outside, edge, stride, padding=1, bias=bias).requires_grad_(False)


def shown(volume, reach=1):
    """A volume with planes of nothing before and after it, channels last in memory."""
    padded = F.pad(volume, (0, 0, 0, 0, reach, reach))
    return padded.contiguous(memory_format=torch.channels_last_3d)


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 11), st.integers(1, 9), st.integers(1, 9)),
    inside=st.integers(1, 5),
    outside=st.integers(1, 5),
    bias=st.booleans(),
    size=st.sampled_from([1, 2000, 10**7]),
)
def test_four_planes_by_six_convolutions_are_the_convolution(shape, inside, outside, bias, size):
    wanted = convolution(inside, outside, bias=bias)
    volume = torch.randn(1, inside, *shape)
    form = FourPlanes(wanted)
    form.bytes_at_once = size
    answer = form(shown(volume))
    torch.testing.assert_close(answer, wanted(volume), rtol=0, atol=5e-6)


@settings(max_examples=30, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 14)), bias=st.booleans()
)
def test_voxels_side_by_side_are_the_convolution(shape, bias):
    volume = torch.randn(1, 3, *shape)
    few = convolution(3, 2, bias=bias)
    answer = FewAnswers(few, torch.float32)(shown(volume))
    torch.testing.assert_close(answer, few(volume), rtol=0, atol=2e-6)
    one = convolution(1, 3, bias=bias)
    answer = OneChannel(one, torch.float32)(shown(volume[:, :1]))
    torch.testing.assert_close(answer, one(volume[:, :1]), rtol=0, atol=2e-6)


@settings(max_examples=20, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 4).map(lambda half: 2 * half)] * 3),
    biases=st.tuples(st.booleans(), st.booleans()),
)
def test_two_convolutions_in_one_are_both_in_turn(shape, biases):
    """At the faces as well, where the first sees nothing beyond the volume."""
    volume = torch.randn(1, 1, *shape)
    first = convolution(1, 4, bias=biases[0])
    second = nn.Conv3d(4, 5, 2, stride=2, bias=biases[1]).requires_grad_(False)
    both = in_one(first, second).requires_grad_(False)
    wanted = second(first(volume))
    torch.testing.assert_close(both(volume), wanted, rtol=0, atol=2e-6)
    for form in (OneChannel, Direct):
        answer = form(both, torch.float32)(shown(volume))
        torch.testing.assert_close(answer, wanted, rtol=0, atol=2e-6)


@settings(max_examples=60, deadline=None)
@given(
    planes=st.lists(st.integers(1, 7), min_size=1, max_size=5),
    dilation=st.integers(1, 9),
    fewer=st.booleans(),
)
def test_slabs_that_follow_each_other_are_one_volume(planes, dilation, fewer):
    """Of any thickness, thinner than what the convolution sees of it as well."""
    torch.manual_seed(2)
    wanted = nn.Conv3d(3, 4, 3, padding=dilation, dilation=dilation).requires_grad_(False)
    fewer &= dilation == 1
    form = FourPlanes(wanted) if fewer else Direct(wanted, torch.float32)
    volume = torch.randn(1, 3, sum(planes), 4, 5).contiguous(memory_format=torch.channels_last_3d)
    slabs = torch.split(volume, planes, dim=2)
    answer = torch.cat(list(convolved(slabs, form, copied)), dim=2)
    torch.testing.assert_close(answer, wanted(volume), rtol=0, atol=5e-6)


def as_shown(volume, gain, form):
    """What a convolution is shown of [1, channels, z, y, x] that a norm of this gain precedes."""
    norm = ChannelNorm(volume.shape[1])
    norm.gain.data.copy_(gain.view(1, -1, 1, 1, 1))
    target = torch.empty_like(volume, dtype=form.dtype, memory_format=torch.channels_last_3d)
    activated(volume.contiguous(memory_format=torch.channels_last_3d), target, norm, form)
    return target, F.silu(norm(volume)).detach()


@needs_int8
@torch.no_grad()
def test_eight_bits_are_summed_without_loss():
    """Against the same sums of whole numbers in float64, nothing about the volume included."""
    wanted = convolution(6, 5)
    gain = torch.linspace(-1.5, 2.5, 6)
    form = EightBits(wanted, 6**0.5 * gain.abs(), torch.float32)
    volume = torch.randn(1, 6, 5, 7, 9)
    numbers, values = as_shown(volume, gain, form)
    nearest = values * form.scale.view(1, -1, 1, 1, 1) + form.zero
    assert (numbers - nearest).abs().max() < 0.501
    planes = F.pad(numbers, (0, 0, 0, 0, 1, 1), value=form.zero)
    answer = form(planes.contiguous(memory_format=torch.channels_last_3d))

    step = 1 / form.scale.double()
    weight = wanted.weight.double() * step.view(1, -1, 1, 1, 1)
    unit = weight.abs().amax((1, 2, 3, 4)) / 127
    whole = (weight / unit.view(-1, 1, 1, 1, 1)).round()
    sums = F.conv3d(numbers.double() - form.zero, whole, padding=1)
    exact = sums * unit.view(1, -1, 1, 1, 1) + wanted.bias.double().view(1, -1, 1, 1, 1)
    torch.testing.assert_close(answer.double(), exact, rtol=2e-6, atol=2e-6)
    close = wanted(values)
    assert (answer - close).square().mean().sqrt() < 0.02 * close.std()


@needs_int8
@pytest.mark.parametrize("channels", [1, 4, 48, 96])
@pytest.mark.parametrize("gain", [-7.0, 1e-3, 1.0, 7.0, 1e4])
@pytest.mark.parametrize("size", [1e-3, 1.0, 1e6])
@torch.no_grad()
def test_no_value_is_cut_off(channels, gain, size):
    """All of a voxel in one channel, the most that a norm lets through, of either sign."""
    gains = torch.full((channels,), gain)
    norm = ChannelNorm(channels)
    norm.gain.data.copy_(gains.view(1, -1, 1, 1, 1))
    form = _arranged(convolution(channels, 1), norm, torch.int8, torch.float32)
    assert isinstance(form, EightBits)
    volume = torch.cat((torch.eye(channels), -torch.eye(channels))) * size
    numbers, values = as_shown(volume.T.reshape(1, channels, 1, 2, channels), gains, form)
    nearest = values * form.scale.view(1, -1, 1, 1, 1) + form.zero
    assert (numbers - nearest).abs().max() < 0.51


def test_the_least_of_silu():
    values = torch.linspace(-3, 0, 300_001, dtype=torch.float64)
    assert float(F.silu(values).min()) == pytest.approx(SILU_LEAST, abs=1e-8)
