"""Convolutions over planes of z that come one slab after the other: directly, and in 8 bits.

All forms, here and in `winograd` and `several`, are the same sums as `torch.nn.Conv3d`'s, arranged
otherwise: the float32 ones to rounding, `EightBits` to a stated one. Volumes are
[1, channels, z, y, x], channels last in memory, so that a plane, and a row of it, is one piece of
memory. What was gained: docs/enhancement_speed.md.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SILU_LEAST = -0.27846455
"""The smallest value of x · sigmoid(x)."""


class PlaneConvolution(ABC):
    """A convolution that is shown each plane with its neighbours on both sides.

    Attributes
    ----------
    reach
        Planes on either side that it sees.
    step
        It is quickest for multiples of this many planes.
    dtype
        Of what it is shown.
    scale
        [channels]: what is shown is the value times this, plus `zero`, rounded; None where it is
        the value itself.
    zero
        What stands for zero.
    """

    reach: int = 1
    step: int = 1
    dtype: torch.dtype
    scale: Tensor | None = None
    zero: int = 0

    @abstractmethod
    def __call__(self, planes: Tensor) -> Tensor:
        """Return [1, out, z, y, x] for [1, channels, z + 2 · reach, y, x]."""


class Direct(PlaneConvolution):
    """As PyTorch's: for each voxel the products with all that it sees."""

    def __init__(self, convolution: nn.Conv3d, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self.weight, self.bias = held(convolution, dtype)
        self.reach, *self.aside = cast("tuple[int, int, int]", convolution.padding)
        self.stride, self.dilation = convolution.stride, convolution.dilation

    def __call__(self, planes: Tensor) -> Tensor:
        """Return [1, out, z, y, x]; see `PlaneConvolution`."""
        return products(
            planes, self.weight, self.bias, (0, *self.aside), self.stride, self.dilation
        )


class EightBits(PlaneConvolution):
    """Products of 8-bit numbers, summed without loss; what is shown has known limits.

    Parameters
    ----------
    largest
        [channels]: the values are SiLU's of numbers of at most this, so that none is ever cut off
        and what a voxel becomes depends on nothing but what it sees.
    answer
        float32 or bfloat16.
    """

    dtype = torch.uint8
    zero = 24

    def __init__(self, convolution: nn.Conv3d, largest: Tensor, answer: torch.dtype) -> None:
        step = torch.clamp(largest / (255 - self.zero), min=-SILU_LEAST / self.zero)
        self.scale = 1 / step
        weight = convolution.weight.detach() * step.view(1, -1, 1, 1, 1)
        self.steps = (
            weight.abs().amax((1, 2, 3, 4)).clamp(min=torch.finfo(torch.float32).tiny) / 127
        )
        whole = (weight / self.steps.view(-1, 1, 1, 1, 1)).round().to(torch.int8)
        bias = convolution.bias
        self.bias = None if bias is None else bias.detach()
        self.answer = answer
        self.reach, *self.aside = cast("tuple[int, int, int]", convolution.padding)
        self.dilation = list(convolution.dilation)
        self.zeros = torch.zeros(len(whole), dtype=torch.int32)
        self.weight = torch.ops.onednn.qconv_prepack(
            whole, self.steps, 1.0, self.zero, [1, 1, 1], [0, *self.aside], self.dilation, 1, None
        )  # fmt: skip

    def __call__(self, planes: Tensor) -> Tensor:
        """Return [1, out, z, y, x]; see `PlaneConvolution`."""
        result: Tensor = torch.ops.onednn.qconv_pointwise(
            planes, 1.0, self.zero, self.weight, self.steps, self.zeros, self.bias, [1, 1, 1],
            [0, *self.aside], self.dilation, 1, 1.0, 0, self.answer, "none", [], "",
        )  # fmt: skip
        return result


def in_one(first: nn.Conv3d, second: nn.Conv3d) -> nn.Conv3d:
    """Return one convolution for two with nothing between them: 3³, then 2³ at every second cell.

    It is 4³ at every second cell, with one cell of nothing about the volume.
    """
    # On the processor, as some devices have no float64.
    device = second.weight.device
    after, before = (one.weight.detach().cpu().double() for one in (second, first))
    weight = after.new_zeros((len(after), before.shape[1], 4, 4, 4))
    for z, y, x in torch.cartesian_prod(*[torch.arange(2)] * 3).tolist():
        both = torch.einsum("om,mcijk->ocijk", after[..., z, y, x], before)
        weight[..., z : z + 3, y : y + 3, x : x + 3] += both
    bias = torch.zeros(len(after), dtype=torch.float64)
    if first.bias is not None:
        bias += after.sum((2, 3, 4)) @ first.bias.detach().cpu().double()
    if second.bias is not None:
        bias += second.bias.detach().cpu()
    made = nn.Conv3d(before.shape[1], len(after), 4, stride=2, padding=1)
    made.weight, made.bias = nn.Parameter(weight.float()), nn.Parameter(bias.float())
    return made.to(device)


def held(convolution: nn.Conv3d, dtype: torch.dtype) -> tuple[Tensor, Tensor | None]:
    """Return the weight and bias in the given numbers, channels last in memory."""
    weight = convolution.weight.detach().to(dtype).contiguous(memory_format=torch.channels_last_3d)
    bias = convolution.bias
    return weight, None if bias is None else bias.detach().to(dtype)


def products(
    planes: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    padding: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
) -> Tensor:
    """Return a convolution, channels last in memory.

    On a processor oneDNN is asked for by name: left to choose, PyTorch takes a loop that is ten
    times slower for small slabs and single threads.
    """
    if planes.device.type == "cpu" and torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        result = torch.mkldnn_convolution(planes, weight, bias, padding, stride, dilation, 1)
    else:
        convolve = F.conv3d if planes.ndim == 5 else F.conv2d
        result = convolve(planes, weight, bias, tuple(stride), tuple(padding), tuple(dilation))
    layout = torch.channels_last_3d if planes.ndim == 5 else torch.channels_last
    return result.contiguous(memory_format=layout)
