"""Slabs of a volume's planes that follow each other through norms and convolutions.

Volumes are [1, channels, z, y, x], channels last in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cryosamu.errors import CheckpointError
from cryosamu.network.blocks import ChannelNorm
from cryosamu.network.convolutions import PlaneConvolution

_SLAB_BYTES = {"cpu": 16_000_000}
_LARGE_SLAB = 64_000_000
"""Of other devices, which have memory to spare and are slow to start."""

_LEAST_PLANES = 4
_ROWS = {"cpu": 8192}
"""Voxels whose channels are normed and activated at once: they stay in a processor's cache."""

Write = Callable[[Tensor, Tensor], None]
"""Writes of a slab, the first, what a convolution is shown of it, the second."""


def slabs_of(voxels: Tensor, channels: int | None = None) -> Iterator[slice]:
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


def half(slab: slice) -> slice:
    """Return the planes of the coarser grid that a slab of the finer one lies on."""
    return slice(slab.start // 2, slab.stop // 2)


def empty(like: Tensor, dtype: torch.dtype, channels: int, *shape: int) -> Tensor:
    """Return a volume of these channels on the device of another, channels last in memory."""
    return torch.empty(
        (1, channels, *shape), dtype=dtype, device=like.device,
        memory_format=torch.channels_last_3d,
    )  # fmt: skip


def planes_of(density: Tensor, first: int, last: int, dtype: torch.dtype) -> Tensor:
    """Return planes `first` to `last` of [1, 1, z, y, x], zero beyond the volume."""
    depth = density.shape[2]
    seen = density[:, :, max(first, 0) : min(last, depth)].to(dtype)
    if first >= 0 and last <= depth:
        return seen
    return F.pad(seen, (0, 0, 0, 0, max(-first, 0), max(last - depth, 0)))


def convolved(
    sequence: Iterable[Tensor], convolution: PlaneConvolution, write: Write
) -> Iterator[Tensor]:
    """Yield what a convolution makes of a volume whose slabs come one after the other."""
    reach, step = convolution.reach, convolution.step
    waiting: Tensor | None = None
    filled = reach
    for slab in sequence:
        _, channels, planes, *plane = slab.shape
        needed = 3 * reach + step + planes
        if waiting is None or waiting.shape[2] < needed:
            before = waiting
            waiting = empty(slab, convolution.dtype, channels, needed, *plane)
            if before is None:
                waiting[:, :, :reach] = convolution.zero
            else:
                waiting[:, :, :filled] = before[:, :, :filled]
        write(slab, waiting[:, :, filled : filled + planes])
        filled += planes
        made = (filled - 2 * reach) // step * step
        if made > 0:
            yield convolution(waiting[:, :, : made + 2 * reach])
            waiting[:, :, : filled - made] = waiting[:, :, made:filled].clone()
            filled -= made
    if waiting is not None:
        waiting[:, :, filled : filled + reach] = convolution.zero
        yield convolution(waiting[:, :, : filled + reach])


def copied(source: Tensor, target: Tensor) -> None:
    """Write a slab as it is."""
    target.copy_(source)


def activated(
    source: Tensor,
    target: Tensor,
    norm: nn.Module,
    target_of: PlaneConvolution,
    change: tuple[Tensor, ...] | None = None,
) -> None:
    """Write SiLU of normed voxels [1, channels, z, y, x], computed in float32.

    Parameters
    ----------
    target_of
        The convolution that is shown them.
    change
        Scale and shift [1, channels] that follow the norm.

    Raises
    ------
    CheckpointError
        When the norm finds no finite number, and what is written could not tell.
    """
    channels = source.shape[1]
    rows = source.movedim(1, -1).reshape(-1, channels)
    answers = target.movedim(1, -1).view(-1, channels)
    together = _ROWS.get(source.device.type, len(rows))
    scratch = rows.new_empty((2, min(together, len(rows)), channels), dtype=torch.float32)
    mean = rows.new_full((channels, 1), 1 / channels, dtype=torch.float32)
    for row, answer in zip(
        torch.split(rows, together), torch.split(answers, together), strict=True
    ):
        values, squares = scratch[:, : len(row)]
        values.copy_(row)
        match norm:
            case ChannelNorm():
                torch.mul(values, values, out=squares)
                size = torch.mm(squares, mean).add_(norm.SMALL)
                if target_of.scale is not None and not size.isfinite().all():
                    raise CheckpointError(
                        "the network computes NaN or infinite values; retrain it."
                    )
                values.mul_(size.rsqrt_()).mul_(norm.gain.view(-1))
            case nn.BatchNorm3d():
                values.copy_(norm(values[..., None, None, None])[..., 0, 0, 0])
        if change is not None:
            values.mul_(1 + change[0]).add_(change[1])
        F.silu(values, inplace=True)
        if target_of.scale is not None:
            # Half on top, as what follows cuts off.
            values.mul_(target_of.scale).add_(target_of.zero + 0.5)
        answer.copy_(values)
