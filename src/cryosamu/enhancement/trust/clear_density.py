"""Density that a map clearly holds: above its noise, above its contour, in blobs of some size."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray
from skimage.filters import threshold_otsu

from cryosamu.volume.volume import FloatArray, Volume

_CLEAR = 5.0
"""Deviations above the solvent: Rose's criterion for seeing."""

_BLOCK_RESOLUTIONS = 3
_FEWEST_VOXELS = 4
"""Edge of the blocks in which noise is measured: at least 27 resolved volumes, and 64 voxels."""

_QUIET = 10
"""Percentile of the blocks' deviations that is taken for the solvent's."""

_FEWEST_BLOCKS = 20
"""Of which the quietest tenth are two."""

_QUIETER = 0.5
"""Of the loudest tenth's deviation: what the quiet tenth must stay below to be called solvent."""

_NORMAL_SKEW = 0.15
_HALF = 0.6
"""Skewness, and share above the contour, below which blocks that are all alike are pure noise: in
molecules the skewness is 0.2 and more, or most voxels are above."""

_FLAT_SHARE = 0.05
"""Share of voxels with one value from which that value is what a mask left."""

_ENOUGH_VOXELS = 1_000_000
"""To see a mask's value."""

_SMALLEST_BLOB = 30.0
"""Å³: about what a single ion's density fills."""


@dataclass(frozen=True)
class Solvent:
    """What the map holds where there is nothing.

    Attributes
    ----------
    mean, deviation
        In the map's units; the deviation is 0 where a mask left no solvent.
    """

    mean: float
    deviation: float


def solvent_of(volume: Volume, smooth: FloatArray, contour: float, resolution: float) -> Solvent:
    """Measure the solvent in the quietest tenth of all blocks of three resolutions' edge.

    They are solvent if the loudest tenth is twice as loud, or if all are alike and normal, as in a
    map of noise. Else the box is full of molecule, or a mask took the solvent (blocks that it
    reaches into are left out): the solvent is then what the mask left, without noise.

    Parameters
    ----------
    volume
        The map as it is: a mask's exact value is seen there.
    smooth
        float32 [nz, ny, nx], low-passed to `resolution`.
    contour
        Of the molecule in `smooth`.
    resolution
        Å.
    """
    flat = mask_value(volume)
    edges = [
        min(max(math.ceil(_BLOCK_RESOLUTIONS * resolution / size), _FEWEST_VOXELS), count)
        for size, count in zip(reversed(volume.voxel_size), volume.shape, strict=True)
    ]
    blocks = _in_blocks(smooth, edges)
    if flat is not None:
        blocks = blocks[(_in_blocks(volume.data, edges) != np.float32(flat)).all(axis=1)]
    if len(blocks) < _FEWEST_BLOCKS:
        return Solvent(flat or 0.0, 0.0)
    deviations = blocks.std(axis=1, dtype=np.float64)
    bound, loud = np.percentile(deviations, (_QUIET, 100 - _QUIET))
    quiet = blocks[deviations <= bound]
    if bound >= _QUIETER * loud and not _is_noise(quiet, contour):
        return Solvent(flat or 0.0, 0.0)
    return Solvent(float(np.median(quiet)), float(bound))


def _is_noise(blocks: FloatArray, contour: float) -> bool:
    off = blocks - blocks.mean(axis=1, keepdims=True)
    spread = np.maximum(off.std(axis=1, keepdims=True), np.finfo(np.float32).tiny)
    skew = float(((off / spread) ** 3).mean(dtype=np.float64))
    return abs(skew) < _NORMAL_SKEW and float((blocks > contour).mean()) < _HALF


def mask_value(volume: Volume) -> float | None:
    """Return the value that a mask left outside; None for a map without one."""
    step = volume.data.size // _ENOUGH_VOXELS | 1  # odd: even ones may keep to one plane
    values, counts = np.unique(volume.data.ravel()[::step], return_counts=True)
    most = int(counts.argmax())
    return float(values[most]) if counts[most] >= _FLAT_SHARE * counts.sum() else None


def clear_level(volume: Volume, smooth: FloatArray, resolution: float) -> tuple[float, Solvent]:
    """Return the level above which density is clear, and the solvent below it.

    The level is Otsu's threshold, which on real maps lies at a quarter to a third of the
    molecule's own density, or five deviations above the solvent where that is higher.

    Parameters
    ----------
    volume, smooth, resolution
        As `solvent_of`.
    """
    contour = float(threshold_otsu(smooth.ravel()))  # type: ignore[no-untyped-call]
    solvent = solvent_of(volume, smooth, contour, resolution)
    return max(contour, solvent.mean + _CLEAR * solvent.deviation), solvent


def blobs_in(
    region: NDArray[np.bool_], volume: Volume, resolution: float
) -> tuple[NDArray[np.int32], int]:
    """Label connected parts of a region, without those smaller than a ball of the resolution.

    Parameters
    ----------
    region
        bool [nz, ny, nx].
    resolution
        Å; the ball's diameter.

    Returns
    -------
    labels
        int32 [nz, ny, nx]: 0 outside, then 1 to the number of blobs.
    count
    """
    labels, count = scipy.ndimage.label(region)
    least = max(_SMALLEST_BLOB, math.pi / 6 * resolution**3) / math.prod(volume.voxel_size)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    large = sizes >= least
    large[0] = False
    renamed = np.where(large, np.cumsum(large), 0).astype(np.int32)
    return renamed[labels], int(large.sum())


def _in_blocks(data: FloatArray, edges: list[int]) -> FloatArray:
    """Return [blocks, voxels of a block]; what is left over at the far ends is dropped."""
    counts = [length // edge for length, edge in zip(data.shape, edges, strict=True)]
    (nz, ny, nx), (ez, ey, ex) = counts, edges
    part = data[: nz * ez, : ny * ey, : nx * ex].reshape(nz, ez, ny, ey, nx, ex)
    return part.transpose(0, 2, 4, 1, 3, 5).reshape(nz * ny * nx, ez * ey * ex)
