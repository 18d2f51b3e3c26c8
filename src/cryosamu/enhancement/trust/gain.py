"""How much brighter an enhanced map shows density than its input does, place by place."""

from __future__ import annotations

import math

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from cryosamu.volume.volume import FloatArray, Volume

_FAR = 2.5
"""Standard deviations at which Gaussians end."""


def relative_gain(
    before: FloatArray,
    after: FloatArray,
    clear: NDArray[np.bool_],
    volume: Volume,
    width: float,
) -> FloatArray:
    """Return the enhanced map's local gain over the input, in units of the clear density's median.

    Both are averaged over the clear density near by, by a Gaussian of half the resolution. Zero
    where nothing is clear.
    """
    gain = np.zeros_like(before)
    if not clear.any():
        return gain
    sigma = [width / 2 / size for size in reversed(volume.voxel_size)]
    # Beyond the reach of the Gaussian nothing is clear: the window's answer is the volume's.
    window = window_about(clear, [_FAR * one for one in sigma])
    inside = clear[window]
    above, left = (
        scipy.ndimage.gaussian_filter(np.where(inside, one[window], 0), sigma, truncate=_FAR)
        for one in (before, after)
    )
    np.divide(left, above, out=gain[window], where=inside)
    gain /= np.float32(max(np.median(gain[clear]), np.finfo(np.float32).tiny))
    return gain


def window_about(region: NDArray[np.bool_], reach: list[float]) -> tuple[slice, ...]:
    """Return the box about a region that reaches so many voxels (z, y, x) beyond it."""
    [found] = scipy.ndimage.find_objects(region.astype(np.int8))
    return tuple(
        slice(max(part.start - math.ceil(pad), 0), part.stop + math.ceil(pad))
        for part, pad in zip(found, reach, strict=True)
    )
