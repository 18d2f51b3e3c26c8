"""Band-limited change of grid: exact trigonometric interpolation, one axis at a time.

The map is taken as one period of a band-limited function, as an FFT does. The box keeps its
length, so the way back is exact as long as the finer of the two grids holds the map's band.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cryosamu.volume.volume import FloatArray, Volume


def grid_shape(volume: Volume, voxel_size: float) -> tuple[int, int, int]:
    """Return the shape (nz, ny, nx) of the grid nearest to `voxel_size` Å in the same box."""
    nz, ny, nx = (max(1, round(length / voxel_size)) for length in reversed(volume.box))
    return nz, ny, nx


def resample(volume: Volume, shape: tuple[int, int, int]) -> Volume:
    """Return the map on `shape` (nz, ny, nx) points that span the same box from the same origin.

    A coarser grid drops the frequencies beyond its Nyquist limit, without aliasing.

    Returns
    -------
    Volume
        Voxel size box / n; voxel (0, 0, 0) stays where it is; no file frame.
    """
    data = volume.data
    for axis, (old, new) in enumerate(zip(volume.shape, shape, strict=True)):
        if old != new:
            data = _apply_along(interpolation_matrix(old, new), data, axis)
    x, y, z = (length / count for length, count in zip(volume.box, reversed(shape), strict=True))
    return Volume(np.ascontiguousarray(data, np.float32), (x, y, z), volume.origin)


def interpolation_matrix(old: int, new: int) -> FloatArray:
    """Return the [new, old] matrix of trigonometric interpolation between periodic grids.

    Frequencies up to the Nyquist limit of the coarser grid pass; at an even grid's own Nyquist
    frequency, whose phase is not known, the cosine is kept (as in an FFT with zero padding).
    """
    shorter = min(old, new)
    top = (shorter - 1) // 2
    offset = np.arange(new)[:, None] / new - np.arange(old)[None, :] / old
    matrix = dirichlet_kernel(offset, top)
    if shorter % 2 == 0:
        nyquist = np.cos(np.pi * shorter * offset)
        if new < old:
            # The coarse grid sees the sum of both Nyquist terms of the fine one.
            nyquist = (
                2
                * np.cos(np.pi * shorter * np.arange(new)[:, None] / new)
                * np.cos(np.pi * shorter * np.arange(old)[None, :] / old)
            )
        matrix += nyquist
    return (matrix / old).astype(np.float32)


def dirichlet_kernel(offset: NDArray[np.float64], top: int) -> NDArray[np.float64]:
    """Return the sum over |h| <= top of exp(2πi h offset), real, in the shape of `offset`."""
    numerator = np.sin(np.pi * (2 * top + 1) * offset)
    denominator = np.sin(np.pi * offset)
    near = np.abs(denominator) < 1e-12
    return np.where(near, 2 * top + 1, numerator / np.where(near, 1.0, denominator))


def _apply_along(matrix: FloatArray, data: FloatArray, axis: int) -> FloatArray:
    moved = np.tensordot(matrix, data, axes=(1, axis))
    return np.moveaxis(moved, 0, axis)
