"""Local sharpening: amplitudes brought to one fall-off everywhere in the molecule.

The principle of LocScale (A. J. Jakobi, M. Wilmanns & C. Sachse (2017), eLife 6, e27131): the
radial amplitudes in a window round each voxel are scaled to a reference profile. LocScale's profile
comes from an atomic model; here it is the map's own mean profile over the molecule, sharpened by
a global B factor, so that nothing but the map is used. The windows are Gaussian and all voxels are
done at once, a band of frequencies at a time.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from cryosamu.evaluation.masks import gaussian_blur
from cryosamu.volume.fourier import multiply_spectrum, spatial_frequency_squared
from cryosamu.volume.volume import FloatArray, Volume

LOCAL_WINDOW_RATIO = 7.0
"""Width of the window as a multiple of the resolution, as LocScale recommends."""

_BANDS = 12
_STRONGEST_GAIN = 4.0
"""A place without signal in a band is not made one of noise: its gain ends here."""


def sharpen_locally(
    smooth: Volume, resolution: float, mask: FloatArray, window: float, b_factor: float
) -> FloatArray:
    """Return a map whose local amplitudes fall off alike everywhere in the mask.

    Parameters
    ----------
    smooth
        The map, low-passed to `resolution` Å.
    mask
        float32 [nz, ny, nx] in [0, 1]: the molecule. Outside, only the global part is done.
    window
        Full width at half maximum of the Gaussian window, Å.
    b_factor
        Å², of the reference profile over the map's own; negative sharpens.
    """
    s = np.sqrt(spatial_frequency_squared(smooth))
    sigma = window / 2.3548
    weights = np.maximum(gaussian_blur(smooth.with_data(mask), sigma).data, 1e-6)
    edges = np.linspace(0, 1 / resolution, _BANDS + 1)
    edges[-1] = np.inf
    result = np.zeros_like(smooth.data)
    for low, high in pairwise(edges.tolist()):
        band = multiply_spectrum(smooth, ((s >= low) & (s < high)).astype(np.float32)).data
        result += _equalised(band, smooth, mask, weights, sigma) * np.float32(
            np.exp(-b_factor / 4 * (_middle(low, high, resolution)) ** 2)
        )
    return result


def _middle(low: float, high: float, resolution: float) -> float:
    return (low + min(high, 1 / resolution)) / 2


def _equalised(
    band: FloatArray, grid: Volume, mask: FloatArray, weights: FloatArray, sigma: float
) -> FloatArray:
    """Return a band whose mean power round each voxel is its mean over the molecule."""
    power = band**2
    total = float(mask.sum(dtype=np.float64))
    mean = float((power * mask).sum(dtype=np.float64)) / total if total > 0 else 0.0
    if mean == 0:
        return band
    local = gaussian_blur(grid.with_data(power * mask), sigma).data / weights
    gain = np.sqrt(mean / np.maximum(local, mean / _STRONGEST_GAIN**2))
    equalised: FloatArray = band * (1 + mask * (gain - 1)).astype(np.float32)
    return equalised
