"""Local resolution: Fourier shell correlation within a soft ball that is moved over the map.

After G. Cardone, J. B. Heymann & A. C. Steven (2013), J. Struct. Biol. 184, 226-236, with a
spherical Hann window, cos²(πr / D) of diameter D = 7 · resolution, whose full width at half
maximum is D / 2, and shells of width 1 / D.
"""

from __future__ import annotations

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from cryosamu.evaluation.map_fsc import shell_correlations
from cryosamu.volume.volume import FloatArray, Volume

DEFINITION = "local FSC 1, Hann ball of 7 resolutions"

DIAMETER_RATIO = 7.0
_MINIMUM_VOXELS = 8


def local_resolutions(
    first: FloatArray,
    second: FloatArray,
    grid: Volume,
    centres: NDArray[np.float64],
    diameter: float,
    threshold: float,
) -> NDArray[np.float64]:
    """Return d (Å) where the FSC around each centre first falls below `threshold`.

    Interpolated linearly in 1/d; the Nyquist limit where the curve stays above, the diameter
    where even the coarsest shell is below, and not a number where the window holds no density.

    Parameters
    ----------
    first, second
        float32 [nz, ny, nx]: map and the model's map, or two half maps.
    grid
        Their place; the voxels are not used.
    centres
        float64 [centres, 3], Å, model frame; moved to the nearest voxel.
    diameter
        D, Å.
    threshold
        0.5 for map and model, 0.143 for half maps.
    """
    window = _hann_ball(grid, diameter)
    nearest = np.rint(grid.to_grid(centres)).astype(np.intp)[:, ::-1]
    corners = nearest - np.array(window.shape) // 2
    found = np.full(len(centres), np.nan)
    for number, corner in enumerate(corners):
        box = np.ix_(
            *(
                (low + np.arange(size)) % count
                for low, size, count in zip(corner, window.shape, grid.shape, strict=True)
            )
        )
        one, two = _spectrum(first[box], window), _spectrum(second[box], window)
        fsc = shell_correlations(one, two, window.shape, grid.voxel_size, 1 / diameter)
        found[number] = first_crossing(fsc, diameter, 2 * max(grid.voxel_size), threshold)
    return found


def first_crossing(
    fsc: NDArray[np.float64], diameter: float, nyquist: float, threshold: float
) -> float:
    """Return d (Å) where a curve [shells] at i / diameter, i = 0, 1, …, falls below the threshold.

    `nyquist` (Å) where it never does; not a number where its first shell is none.
    """
    if not np.isfinite(fsc[1]):
        return float("nan")
    below = np.flatnonzero(fsc[1:] < threshold)
    if below.size == 0:
        return nyquist
    place = int(below[0]) + 1
    if place == 1:
        return diameter
    above, under = fsc[place - 1], fsc[place]
    frequency = (place - 1 + (above - threshold) / (above - under)) / diameter
    return max(1 / float(frequency), nyquist)


def _hann_ball(grid: Volume, diameter: float) -> FloatArray:
    squares = []
    for count, step in zip(grid.shape, reversed(grid.voxel_size), strict=True):
        size = min(count, scipy.fft.next_fast_len(int(np.ceil(diameter / step)) | 1, real=True))
        squares.append(((np.arange(size) - size // 2) * step) ** 2)
    z, y, x = squares
    distances = np.sqrt(z[:, None, None] + y[None, :, None] + x[None, None, :])
    ball = np.where(distances < diameter / 2, np.cos(np.pi * distances / diameter) ** 2, 0)
    return ball.astype(np.float32)


def _spectrum(data: FloatArray, window: FloatArray) -> NDArray[np.complex64]:
    mean = np.float32((data * window).sum(dtype=np.float64) / window.sum(dtype=np.float64))
    return np.asarray(scipy.fft.rfftn((data - mean) * window), np.complex64)
