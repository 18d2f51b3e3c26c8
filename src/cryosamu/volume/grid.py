"""Band-limited change of grid: exact trigonometric interpolation, one axis at a time.

The map is taken as one period of a band-limited function, as an FFT does. The box keeps its
length, so the way back is exact as long as the finer of the two grids holds the map's band.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from cryosamu.volume.volume import FloatArray, Volume

_SLAB_VOXELS = 1 << 22
"""Voxels that are transformed at once: what the work needs beside the grids is a few times this."""


def grid_shape(volume: Volume, voxel_size: float) -> tuple[int, int, int]:
    """Return the shape (nz, ny, nx) of the grid nearest to `voxel_size` Å in the same box."""
    nz, ny, nx = (max(1, round(length / voxel_size)) for length in reversed(volume.box))
    return nz, ny, nx


def resample(volume: Volume, shape: tuple[int, int, int]) -> Volume:
    """Return the map on `shape` (nz, ny, nx) points that span the same box from the same origin.

    Frequencies up to the Nyquist limit of the coarser grid pass, without aliasing; at an even
    grid's own Nyquist frequency, whose phase is not known, the cosine is kept (as in an FFT with
    zero padding). The result is real by construction and has every symmetry that both grids allow.

    Memory: beside the given map, one grid of max(old nz, new nz) · new ny · new nx voxels, which
    becomes the result, and about 100 MB; never more than the finer grid where all axes get finer,
    or all coarser.

    Returns
    -------
    Volume
        Voxel size box / n; voxel (0, 0, 0) stays where it is; no file frame.
    """
    data = volume.data if shape == volume.shape else _resampled(volume.data, shape)
    x, y, z = (length / count for length, count in zip(volume.box, reversed(shape), strict=True))
    return Volume(np.ascontiguousarray(data, np.float32), (x, y, z), volume.origin)


def _resampled(data: FloatArray, shape: tuple[int, int, int]) -> FloatArray:
    """Resample each section, then the columns of sections in place, both slab by slab."""
    old, (nz, ny, nx) = len(data), shape
    grid = np.empty((max(old, nz), ny, nx), np.float32)
    for part in _slabs(old, data[0].size + ny * nx):
        grid[part] = _along(_along(data[part], nx, 2), ny, 1)
    if nz != old:
        for part in _slabs(ny, len(grid) * nx):
            grid[:nz, part] = _along(grid[:old, part], nz, 0)
        # Gives back what lies beyond the result; nothing else refers to this array.
        grid.resize(shape, refcheck=False)
    return grid


def _slabs(count: int, voxels: int) -> Iterator[slice]:
    """Yield slices of `count` layers of so many voxels each, as many at once as are allowed."""
    step = max(1, _SLAB_VOXELS // voxels)
    for start in range(0, count, step):
        yield slice(start, min(start + step, count))


def _along(data: FloatArray, new: int, axis: int) -> FloatArray:
    """Return real data on `new` points along one axis: its spectrum cut, or filled with zeros."""
    old = data.shape[axis]
    if old == new:
        return data
    spectrum = scipy.fft.rfft(data, axis=axis, norm="forward", workers=-1)
    terms = np.moveaxis(spectrum, axis, 0)[: min(old, new) // 2 + 1]
    if min(old, new) % 2 == 0:
        # The coarse grid sees the sum of both Nyquist terms of the fine one, the fine grid half
        # of the coarse one's in each.
        terms[-1] *= 2 if new < old else 0.5
    resampled: FloatArray = scipy.fft.irfft(
        np.moveaxis(terms, 0, axis), n=new, axis=axis, norm="forward", workers=-1
    )
    return resampled


def dirichlet_kernel(offset: NDArray[np.float64], top: int) -> NDArray[np.float64]:
    """Return the sum over |h| <= top of exp(2πi h offset), real, in the shape of `offset`."""
    numerator = np.sin(np.pi * (2 * top + 1) * offset)
    denominator = np.sin(np.pi * offset)
    near = np.abs(denominator) < 1e-12
    return np.where(near, 2 * top + 1, numerator / np.where(near, 1.0, denominator))
