"""Convolutions to few channels or of one, for several voxels of a row at a time.

A processor sums 16 channels at once; these layers alone would leave most of it idle.
"""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
from torch import Tensor, nn

from cryosamu.network.convolutions import PlaneConvolution, held, products


class _SeveralAtOnce(PlaneConvolution):
    """Several voxels at a time, their number found when the first row is seen."""

    def __init__(self, convolution: nn.Conv3d, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self.weight, self.bias = held(convolution, dtype)
        self.kept: dict[int, tuple[Tensor, Tensor | None]] = {}

    def several(self, width: int) -> tuple[int, Tensor, Tensor | None]:
        """Return how many voxels go together in a row, and the weight and bias for them."""
        together = self.together(width)
        if together not in self.kept:
            several = self.side_by_side(together)
            weight = several.flatten(0, 1)
            bias = None if self.bias is None else self.bias.repeat(len(several))
            self.kept[together] = weight.contiguous(memory_format=torch.channels_last_3d), bias
        return together, *self.kept[together]

    def together(self, width: int) -> int:
        """Return how many voxels of a row go together."""
        return math.gcd(width, 4)

    @abstractmethod
    def side_by_side(self, together: int) -> Tensor:
        """Return the weight of each of the answers [answers, out, ...]."""

    def one_by_one(self, answer: Tensor, answers: int) -> Tensor:
        """Return [1, out, z, y, x] for [1, answers · out, z, y, x / answers]."""
        return (
            torch.unflatten(answer.movedim(1, -1), -1, (answers, -1)).flatten(3, 4).movedim(-1, 1)
        )


class FewAnswers(_SeveralAtOnce):
    """A 3³ convolution to few channels, as one with a longer kernel and longer steps along x."""

    def __call__(self, planes: Tensor) -> Tensor:
        """Return [1, out, z, y, x]; see `PlaneConvolution`."""
        together, weight, bias = self.several(planes.shape[-1])
        answer = products(planes, weight, bias, (0, 1, 1), (1, 1, together), (1, 1, 1))
        return self.one_by_one(answer, together)

    def side_by_side(self, together: int) -> Tensor:
        """Return [together, out, in, 3, 3, together + 2]."""
        several = self.weight.new_zeros((together, *self.weight.shape[:-1], together + 2))
        for place in range(together):
            several[place, ..., place : place + 3] = self.weight
        return several


class OneChannel(_SeveralAtOnce):
    """A convolution of one channel, as one of several: voxels that are neighbours along x.

    One cell of nothing lies about the volume; voxels may be every second one.
    """

    def __init__(self, convolution: nn.Conv3d, dtype: torch.dtype) -> None:
        super().__init__(convolution, dtype)
        self.stride = convolution.stride[0]

    def __call__(self, planes: Tensor) -> Tensor:
        """Return [1, out, z, y, x]; see `PlaneConvolution`."""
        together, weight, bias = self.several(planes.shape[-1])
        folded = torch.unflatten(planes[:, 0], -1, (-1, together)).movedim(-1, 1)
        stride = (self.stride, self.stride, 1)
        answer = products(folded, weight, bias, (0, 1, 1), stride, (1, 1, 1))
        return self.one_by_one(answer, together // self.stride)

    def together(self, width: int) -> int:
        """Return four answers of every voxel, one of every second."""
        return math.gcd(width, 4) if self.stride == 1 else self.stride

    def side_by_side(self, together: int) -> Tensor:
        """Return [answers, out, together, k, k, 3]."""
        made, _, *kernel = self.weight.shape
        answers = together // self.stride
        several = self.weight.new_zeros((answers, made, together, *kernel[:2], 3))
        for place in range(answers):
            for side in range(kernel[-1]):
                cell, phase = divmod(place * self.stride + side - 1, together)
                several[place, :, phase, :, :, cell + 1] = self.weight[:, 0, ..., side]
        return several
