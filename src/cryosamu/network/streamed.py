"""The compact network a few planes at a time: the same sums in a tenth of the memory, and faster.

A residual block needs but the planes next to those it changes. So it is computed in place by
slabs of z that follow each other through its two convolutions, as lines do through a chain of
filters; the full grid's channels exist for one slab at a time alone. What is left for the whole
volume are the input, the output and each coarser grid's channels once. Slabs are small enough for
the allocator to use the same memory again: fresh pages cost more than the arithmetic on them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cryosamu.device import has_bfloat16
from cryosamu.network.blocks import ChannelNorm, Down, Level, ResidualBlock, Up
from cryosamu.network.convolutions import Direct, EightBits, PlaneConvolution, held, in_one
from cryosamu.network.several import FewAnswers, OneChannel
from cryosamu.network.slabs import (
    Write,
    activated,
    convolved,
    copied,
    empty,
    half,
    planes_of,
    slabs_of,
)
from cryosamu.network.winograd import FourPlanes


@dataclass(frozen=True)
class Layers:
    """Of a compact network that has no blocks on the full grid and samples plainly.

    Attributes
    ----------
    entry, head
        The convolutions on the full grid; `head_norm` and SiLU precede the last.
    down, up
        The ways between grids, from the finest and from the coarsest.
    encoders, decoders
        The levels above the bottleneck in the same order; those of the full grid are empty.
    """

    entry: nn.Conv3d
    down: Sequence[Down]
    encoders: Sequence[Level]
    bottleneck: Level
    up: Sequence[Up]
    decoders: Sequence[Level]
    head_norm: nn.Module
    head: nn.Conv3d


def held_in(dtype: torch.dtype, device: torch.device) -> torch.dtype:
    """Return the numbers that voxels are held in where products are computed in `dtype`."""
    if dtype is torch.int8:
        return torch.bfloat16 if has_bfloat16(device) else torch.float32
    return dtype


class Streamed:
    """Layers arranged for one device and one kind of numbers.

    Parameters
    ----------
    dtype
        float32, bfloat16, or int8 for the products of convolutions whose input a norm limits.
    """

    def __init__(self, layers: Layers, dtype: torch.dtype) -> None:
        device = layers.entry.weight.device
        self.dtype = held_in(dtype, device)
        arranged = partial(_Block, products=dtype, dtype=self.dtype)
        self.entry = _thin(OneChannel, layers.entry, self.dtype)
        self.head = _thin(FewAnswers, layers.head, self.dtype)
        self.head_norm = layers.head_norm
        # Nothing lies between the entry and the way to the next grid. In float32: to round the sums
        # of both weights, and the map, would cost as much as all other rounding.
        self.first_down = _thin(
            OneChannel, in_one(layers.entry, layers.down[0].convolution), torch.float32
        )
        self.down = [Direct(down.convolution, self.dtype) for down in layers.down[1:]]
        self.encoders = [[arranged(block) for block in level.blocks] for level in layers.encoders]
        self.bottleneck = [arranged(block) for block in layers.bottleneck.blocks]
        self.up = [_twice(up, self.dtype) for up in layers.up]
        self.decoders = [[arranged(block) for block in level.blocks] for level in layers.decoders]

    def answers(
        self,
        density: Tensor,
        condition: Tensor | None,
        structure: Callable[[Tensor], Tensor] | None,
    ) -> Iterator[tuple[slice, Tensor]]:
        """Yield the last convolution's channels, float32 [1, channels, z, y, x], by planes.

        Parameters
        ----------
        density
            float32 [1, 1, z, y, x].
        condition
            What is known of the whole map, or None.
        structure
            Lets coarse voxels ask the structure tokens; None without tokens.
        """
        grids = [self._first_grid(density)]
        for encoder, down in zip(self.encoders[1:], self.down, strict=True):
            _in_place(encoder, grids[-1], condition)
            grids.append(_halved(grids[-1], down))
        _in_place(self.bottleneck, grids[-1], condition)
        if structure is not None:
            for slab in slabs_of(grids[-1]):
                grids[-1][:, :, slab] = structure(grids[-1][:, :, slab].float())
        for up, decoder in zip(self.up[:-1], self.decoders[:-1], strict=True):
            coarse = grids.pop()
            for slab in slabs_of(grids[-1]):
                _add_from_below(grids[-1][:, :, slab], coarse[:, :, half(slab)], *up)
            _in_place(decoder, grids[-1], condition)
        features = (
            self._features(density, grids[-1], slab)
            for slab in slabs_of(density, len(self.entry.weight))
        )
        place = 0
        activate = partial(activated, norm=self.head_norm, target_of=self.head)
        for answer in convolved(features, self.head, activate):
            planes = slice(place, place + answer.shape[2])
            yield planes, answer.float()
            place = planes.stop

    def _first_grid(self, density: Tensor) -> Tensor:
        """Return the finest of the coarser grids as it enters its level."""
        _, _, *shape = density.shape
        made = len(self.first_down.weight)
        grid = empty(density, self.dtype, made, *(edge // 2 for edge in shape))
        for slab in slabs_of(grid):
            seen = planes_of(density, 2 * slab.start - 1, 2 * slab.stop + 1, torch.float32)
            grid[:, :, slab] = self.first_down(seen)
        return grid

    def _features(self, density: Tensor, coarse: Tensor, slab: slice) -> Tensor:
        """Return the full grid's channels before the head; the entry's are computed anew."""
        found = self.entry(planes_of(density, slab.start - 1, slab.stop + 1, self.dtype))
        _add_from_below(found, coarse[:, :, half(slab)], *self.up[-1])
        return found


class _Block:
    """A residual block, arranged."""

    def __init__(self, block: nn.Module, products: torch.dtype, dtype: torch.dtype) -> None:
        known = cast("ResidualBlock", block)
        self.leading = known.leading[0] if len(known.leading) else None
        self.norm, self.affine = known.norm, known.affine
        last = None if known.affine is not None else known.norm
        self.first = _arranged(known.first, self.leading, products, dtype)
        self.second = _arranged(known.second, last, products, dtype)

    def change(self, voxels: Tensor, condition: Tensor | None) -> None:
        """Apply it to voxels [1, channels, z, y, x] in place."""
        known = None
        if self.affine is not None:
            known = self.affine(condition).float().chunk(2, dim=1)
        slabs: Iterator[Tensor] = (voxels[:, :, slab] for slab in slabs_of(voxels))
        begin: Write = copied
        if self.leading is not None:
            begin = partial(activated, norm=self.leading, target_of=self.first)
        between = partial(activated, norm=self.norm, target_of=self.second, change=known)
        # A slab is added to only when all that the planes beyond it need of it has been taken.
        place = 0
        for slab in convolved(convolved(slabs, self.first, begin), self.second, between):
            voxels[:, :, place : place + slab.shape[2]] += slab
            place += slab.shape[2]


def _in_place(level: Sequence[_Block], voxels: Tensor, condition: Tensor | None) -> None:
    for block in level:
        block.change(voxels, condition)


def _arranged(
    convolution: nn.Conv3d, norm: nn.Module | None, products: torch.dtype, dtype: torch.dtype
) -> PlaneConvolution:
    """Return the quickest form of a convolution of SiLU's of what a norm makes, if one does."""
    if products is torch.int8 and isinstance(norm, ChannelNorm):
        # At unit root mean square, no channel exceeds the root of their number.
        gain = norm.gain.detach().flatten().float()
        return EightBits(convolution, math.sqrt(len(gain)) * gain.abs(), dtype)
    plain = convolution.kernel_size == (3, 3, 3) and convolution.dilation == (1, 1, 1)
    if dtype is torch.float32 and plain and convolution.weight.device.type == "cpu":
        return FourPlanes(convolution)
    return Direct(convolution, dtype)


def _thin(
    form: type[OneChannel | FewAnswers], convolution: nn.Conv3d, dtype: torch.dtype
) -> OneChannel | FewAnswers | Direct:
    on_processor = convolution.weight.device.type == "cpu"
    return form(convolution, dtype) if on_processor else Direct(convolution, dtype)


def _halved(fine: Tensor, down: Direct) -> Tensor:
    """Return the coarser grid of [1, channels, z, y, x]."""
    _, _, *shape = fine.shape
    result = empty(fine, fine.dtype, len(down.weight), *(edge // 2 for edge in shape))
    for slab in slabs_of(fine):
        result[:, :, half(slab)] = down(fine[:, :, slab])
    return result


def _twice(up: Up, dtype: torch.dtype) -> tuple[Tensor, Tensor | None]:
    """Return what makes, of a coarse row's channels, the fine ones twice, side by side."""
    weight, bias = held(up.convolution, dtype)
    matrix = weight[:, :, 0, 0, 0]
    return torch.cat((matrix, matrix)), None if bias is None else torch.cat((bias, bias))


def _add_from_below(fine: Tensor, coarse: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    """Add the coarser grid to [1, channels, z, y, x] in place; channels are last in memory.

    Nearest neighbours: a coarse row is made twice as long by the multiplication that changes its
    channels, and added to the four fine rows about it.
    """
    rows = F.linear(coarse.movedim(1, -1), weight, bias).flatten(3)
    batch, _, depth, height, _ = fine.shape
    targets = fine.movedim(1, -1).view(batch, depth // 2, 2, height // 2, 2, -1)
    targets += rows[:, :, None, :, None]
