"""The compact network a few planes at a time: the same sums in a tenth of the memory, and faster.

A residual block needs but the planes next to those it changes. So it is computed in place by
slabs of z that follow each other through its two convolutions, as lines do through a chain of
filters; the full grid's channels exist for one slab at a time alone. What is left for the whole
volume are the input, the output and each coarser grid's channels once. Slabs are small enough for
the allocator to use the same memory again: fresh pages cost more than the arithmetic on them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cryosamu.network.blocks import ChannelNorm, Down, Level, ResidualBlock, Up

_SLAB_BYTES = {"cpu": 24_000_000}
_LARGE_SLAB = 1_000_000_000
"""Of other devices, which have memory to spare and are slow to start."""

_LEAST_PLANES = 4
_ROWS = {"cpu": 8192}
"""Voxels whose channels are normed and activated at once: they stay in a processor's cache."""


@dataclass(frozen=True)
class Parts:
    """The layers of a compact network that has no blocks on the full grid and samples plainly.

    Attributes
    ----------
    entry, head
        The convolutions on the full grid; `head_norm` and SiLU precede the last.
    down, up
        The ways between grids, from the finest and from the coarsest.
    encoders, decoders
        The levels above the bottleneck in the same order; those of the full grid are empty.
    structure
        Lets coarse voxels ask the structure tokens; None without tokens.
    """

    entry: nn.Conv3d
    down: Sequence[Down]
    encoders: Sequence[Level]
    bottleneck: Level
    structure: Callable[[Tensor], Tensor] | None
    up: Sequence[Up]
    decoders: Sequence[Level]
    head_norm: nn.Module
    head: nn.Conv3d

    def answers(self, density: Tensor, condition: Tensor | None) -> Iterator[tuple[slice, Tensor]]:
        """Yield the last convolution's channels, float32 [1, channels, z, y, x], by planes.

        Parameters
        ----------
        density
            float32 [1, 1, z, y, x].
        condition
            What is known of the whole map, or None.
        """
        whole = list(_slabs(density, self.entry.out_channels))
        entries = (_entered(density, self.entry, slab) for slab in whole)
        grids = [_halved(entries, self.down[0], density.shape[2])]
        for encoder, down in zip(self.encoders[1:], self.down[1:], strict=True):
            _level_in_place(encoder, grids[-1], condition)
            fine = grids[-1]
            grids.append(_halved((fine[:, :, slab] for slab in _slabs(fine)), down, fine.shape[2]))
        _level_in_place(self.bottleneck, grids[-1], condition)
        if self.structure is not None:
            for slab in _slabs(grids[-1]):
                grids[-1][:, :, slab] = self.structure(grids[-1][:, :, slab].float())
        for up, decoder in zip(self.up[:-1], self.decoders[:-1], strict=True):
            coarse = grids.pop()
            for slab in _slabs(grids[-1]):
                _add_from_below(grids[-1][:, :, slab], coarse[:, :, _half(slab)], up)
            _level_in_place(decoder, grids[-1], condition)
        features = (self._features(density, grids[-1], slab) for slab in whole)
        place = 0
        for answer in _convolved((_activated(one, self.head_norm) for one in features), self.head):
            planes = slice(place, place + answer.shape[2])
            yield planes, answer.float()
            place = planes.stop

    def _features(self, density: Tensor, coarse: Tensor, slab: slice) -> Tensor:
        """Return the full grid's channels before the head; the entry's are computed anew."""
        found = _entered(density, self.entry, slab)
        _add_from_below(found, coarse[:, :, _half(slab)], self.up[-1])
        return found


def _slabs(voxels: Tensor, channels: int | None = None) -> Iterator[slice]:
    """Yield slices of z, of even length but for the last, that cover [batch, channels, z, y, x].

    Parameters
    ----------
    channels
        Of what is made of each slab, where more than the tensor has.
    """
    batch, own, depth, height, width = voxels.shape
    plane = batch * max(own, channels or 0) * height * width * voxels.element_size()
    size = _SLAB_BYTES.get(voxels.device.type, _LARGE_SLAB)
    planes = max(_LEAST_PLANES, size // plane // 2 * 2)
    for start in range(0, depth, planes):
        yield slice(start, min(start + planes, depth))


def _half(slab: slice) -> slice:
    """Return the planes of the coarser grid that a slab of the finer one lies on."""
    return slice(slab.start // 2, slab.stop // 2)


def _level_in_place(level: Level, voxels: Tensor, condition: Tensor | None) -> None:
    """Apply the residual blocks of a level to voxels [batch, channels, z, y, x] in place."""
    for block in level.blocks:
        _block_in_place(cast("ResidualBlock", block), voxels, condition)


def _block_in_place(block: ResidualBlock, voxels: Tensor, condition: Tensor | None) -> None:
    change = None if block.affine is None else block.affine(condition).float().chunk(2, dim=1)
    leading = block.leading[0] if len(block.leading) else None
    seen: Iterator[Tensor] = (voxels[:, :, slab] for slab in _slabs(voxels))
    if leading is not None:
        seen = (_activated(slab, leading) for slab in seen)
    inner = (_activated(slab, block.norm, change) for slab in _convolved(seen, block.first))
    # A slab is added to only when all that the planes beyond it need of it has been taken.
    place = 0
    for slab in _convolved(inner, block.second):
        voxels[:, :, place : place + slab.shape[2]] += slab
        place += slab.shape[2]


def _convolved(sequence: Iterable[Tensor], convolution: nn.Conv3d) -> Iterator[Tensor]:
    """Yield what a convolution makes of a volume whose slabs come one after the other."""
    reach = int(convolution.padding[0])
    waiting: Tensor | None = None
    for slab in sequence:
        if waiting is None:
            waiting = _empty(slab, reach).zero_()
        waiting = torch.cat((waiting, slab), dim=2)
        if waiting.shape[2] > 2 * reach:
            yield _between_planes(waiting, convolution)
            waiting = waiting[:, :, -2 * reach :]
    if waiting is not None:
        beyond = _empty(waiting, reach).zero_()
        yield _between_planes(torch.cat((waiting, beyond), dim=2), convolution)


def _empty(like: Tensor, planes: int) -> Tensor:
    batch, channels, _, *plane = like.shape
    return torch.empty(
        (batch, channels, planes, *plane), dtype=like.dtype, device=like.device,
        memory_format=torch.channels_last_3d,
    )  # fmt: skip


def _between_planes(slab: Tensor, convolution: nn.Conv3d) -> Tensor:
    """Return a convolution without the planes that it cannot see the surroundings of."""
    aside = cast("tuple[int, int, int]", convolution.padding)[1:]
    return _convolution(slab, convolution, (0, *aside))


def _convolution(slab: Tensor, convolution: nn.Conv3d, padding: Sequence[int]) -> Tensor:
    """Return a convolution of [batch, channels, z, y, x], channels last in memory.

    On a processor oneDNN is asked for by name: left to choose, PyTorch takes a loop that is ten
    times slower for small slabs and single threads.
    """
    weight, bias = convolution.weight, convolution.bias
    if slab.device.type == "cpu" and torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        result = torch.mkldnn_convolution(
            slab, weight, bias, padding, convolution.stride, convolution.dilation, 1
        )
    else:
        result = F.conv3d(
            slab, weight, bias, convolution.stride, tuple(padding), convolution.dilation
        )
    return result.contiguous(memory_format=torch.channels_last_3d)


def _entered(density: Tensor, entry: nn.Conv3d, slab: slice) -> Tensor:
    """Return the first convolution's channels for a slab of the density [batch, 1, z, y, x]."""
    first, last = max(slab.start - 1, 0), min(slab.stop + 1, density.shape[2])
    seen = density[:, :, first:last].to(entry.weight.dtype)
    missing = (first - slab.start + 1, slab.stop + 1 - last)
    return _between_planes(F.pad(seen, (0, 0, 0, 0, *missing)), entry)


def _activated(voxels: Tensor, norm: nn.Module, change: tuple[Tensor, ...] | None = None) -> Tensor:
    """Return SiLU of normed voxels [batch, channels, z, y, x], computed in float32.

    Parameters
    ----------
    change
        Scale and shift [1, channels] that follow the norm.
    """
    channels = voxels.shape[1]
    result = torch.empty_like(voxels, memory_format=torch.channels_last_3d)
    rows = voxels.movedim(1, -1).reshape(-1, channels)
    answers = result.movedim(1, -1).view(-1, channels)
    together = _ROWS.get(voxels.device.type, len(rows))
    scratch = rows.new_empty((2, min(together, len(rows)), channels), dtype=torch.float32)
    for row, answer in zip(
        torch.split(rows, together), torch.split(answers, together), strict=True
    ):
        values, squares = scratch[:, : len(row)]
        values.copy_(row)
        match norm:
            case ChannelNorm():
                torch.mul(values, values, out=squares)
                size = squares.sum(dim=-1, keepdim=True).div_(channels).add_(norm.SMALL)
                values.mul_(size.rsqrt_()).mul_(norm.gain.view(-1))
            case nn.BatchNorm3d():
                values.copy_(norm(values[..., None, None, None])[..., 0, 0, 0])
        if change is not None:
            values.mul_(1 + change[0]).add_(change[1])
        answer.copy_(F.silu(values, inplace=True))
    return result


def _halved(fine: Iterable[Tensor], down: Down, depth: int) -> Tensor:
    """Return the coarser grid of slabs that follow each other, `depth` planes in all."""
    result: Tensor | None = None
    place = 0
    for slab in fine:
        made = _convolution(slab, down.convolution, (0, 0, 0))
        if result is None:
            result = _empty(made, depth // 2)
        result[:, :, place : place + made.shape[2]] = made
        place += made.shape[2]
    return cast("Tensor", result)


def _add_from_below(fine: Tensor, coarse: Tensor, up: Up) -> None:
    """Add the coarser grid to [batch, channels, z, y, x] in place; channels are last in memory.

    Nearest neighbours: a coarse row is made twice as long by the multiplication that changes its
    channels, and added to the four fine rows about it.
    """
    weight = up.convolution.weight[:, :, 0, 0, 0]
    bias = up.convolution.bias
    twice = torch.cat((weight, weight)), None if bias is None else torch.cat((bias, bias))
    rows = F.linear(coarse.movedim(1, -1), *twice).flatten(3)
    batch, _, depth, height, _ = fine.shape
    targets = fine.movedim(1, -1).view(batch, depth // 2, 2, height // 2, 2, -1)
    targets += rows[:, :, None, :, None]
