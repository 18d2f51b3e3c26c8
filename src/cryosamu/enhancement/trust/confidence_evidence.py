"""What a map and its enhancement say, voxel by voxel and without a model, of how far to trust it.

All is worked out on a grid of a third of the resolution in the map's own box: nothing finer is
asked about, and large maps cost little. Neighbourhoods are Gaussians of a full width at half
maximum of 1.5 resolutions; within one lie about 50 independent values of a map at its resolution,
so that two unrelated maps correlate by 0 ± 0.14.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from cryosamu.volume.fourier import low_pass
from cryosamu.volume.grid import grid_shape, resample
from cryosamu.volume.volume import FloatArray, Volume

WINDOW = 1.5
"""Full width at half maximum of the neighbourhood, in resolutions."""

_WIDER = 2.0
"""The neighbourhood of the skewness, a third moment, as a multiple of the others'."""

_FWHM = 2 * np.sqrt(2 * np.log(2))
_SAMPLING = 3.0
_NO_VARIANCE = 1e-6
"""Of the whole map's variance: what varies less is flat."""

_NOISE_QUANTILE = 0.1
_FLAT_SHARE = 0.05
_THINNED = 4
_LARGEST_SKEWNESS = 2.0
_FLOOR = 1e-3

NAMES = ("input_correlation", "above_noise", "skewness", "finer_detail")


@dataclass(frozen=True)
class Evidence:
    """The predictors of confidence on the coarse grid.

    Attributes
    ----------
    grid
        The enhanced map low-passed to the resolution, on the coarse grid.
    values
        float32 [4, nz, ny, nx] in the order of `NAMES`: local correlation of input and enhanced
        map, both low-passed; share of the input's local variance above that of its quietest tenth;
        local skewness of the input, 0 to 2 (noise has none, and protein is the bright tail);
        logarithm of the enhanced map's local standard deviation finer than the resolution over
        that of what is coarser.
    """

    grid: Volume
    values: FloatArray


def evidence_of(volume: Volume, enhanced: Volume, resolution: float) -> Evidence:
    """Return the predictors for a map and its enhancement on the same grid.

    Parameters
    ----------
    resolution
        Å.
    """
    before, after = (coarse_map(one, resolution) for one in (volume, enhanced))
    sigma = _sigma(after, resolution)
    correlation = local_correlation(before, after, resolution)
    deviation = np.sqrt(_variance(_standard(before.data), sigma))
    # Round what a mask left, the quietest tenth is next to nothing: no noise is seen there.
    varies = deviation > _FLOOR * deviation.max()
    noise = max(float(np.quantile(deviation[varies], _NOISE_QUANTILE)), _FLOOR)
    share = 1 - np.minimum(noise / np.maximum(deviation, noise), 1) ** 2
    finer = enhanced.data - resample(after, enhanced.shape).data
    power = resample(enhanced.with_data(finer**2), after.shape).data
    fine = np.sqrt(np.maximum(_blurred(power, sigma), 0))
    spread = np.float32(after.data.std(dtype=np.float64))
    coarse = np.sqrt(_variance(_standard(after.data), sigma)) * spread
    floor = _FLOOR * max(float(coarse.max()), float(np.finfo(np.float32).tiny))
    values = [
        correlation,
        share,
        _skewness(_standard(before.data), [_WIDER * one for one in sigma]),
        np.log((fine + floor) / (coarse + floor)),
    ]
    return Evidence(after, np.stack(values).astype(np.float32))


def coarse_map(volume: Volume, resolution: float) -> Volume:
    """Return a map low-passed to the resolution, on a grid of about a third of it."""
    voxel = max(resolution / _SAMPLING, *volume.voxel_size)
    return low_pass(resample(volume, grid_shape(volume, voxel)), resolution)


def local_correlation(first: Volume, second: Volume, resolution: float) -> FloatArray:
    """Return Pearson's correlation in the Gaussian neighbourhood of each voxel, [nz, ny, nx].

    0 where one of the maps is flat.
    """
    sigma = _sigma(first, resolution)
    a, b = _standard(first.data), _standard(second.data)
    covariance = _blurred(a * b, sigma) - _blurred(a, sigma) * _blurred(b, sigma)
    product = _variance(a, sigma) * _variance(b, sigma)
    varies = product > _NO_VARIANCE**2
    found = np.divide(covariance, np.sqrt(product), out=np.zeros_like(covariance), where=varies)
    return np.asarray(np.clip(found, -1, 1), np.float32)


def flat_voxels(volume: Volume) -> NDArray[np.bool_]:
    """Return the voxels that a mask left at one value, bool [nz, ny, nx]; none where no mask was.

    A value that 5 % of the voxels share is a mask's. Every fourth voxel along each axis is asked.
    """
    thinned = volume.data[::_THINNED, ::_THINNED, ::_THINNED]
    values, counts = np.unique(thinned, return_counts=True)
    most = int(counts.argmax())
    if counts[most] < max(_FLAT_SHARE * thinned.size, 2):
        return np.zeros(volume.shape, np.bool_)
    flat: NDArray[np.bool_] = volume.data == values[most]
    return flat


def _sigma(volume: Volume, resolution: float) -> list[float]:
    """Return the neighbourhood's standard deviation in voxels, (z, y, x)."""
    return [WINDOW * resolution / _FWHM / size for size in reversed(volume.voxel_size)]


def _standard(data: FloatArray) -> FloatArray:
    """Return voxels of mean 0 and standard deviation 1; zeros for a constant map."""
    centred = data - np.float32(data.mean(dtype=np.float64))
    spread = np.float32(centred.std(dtype=np.float64))
    return centred / spread if spread > 0 else np.zeros_like(centred)


def _blurred(data: FloatArray, sigma: list[float]) -> FloatArray:
    return np.asarray(gaussian_filter(data, sigma, mode="nearest"), np.float32)


def _variance(data: FloatArray, sigma: list[float]) -> FloatArray:
    variance = _blurred(data**2, sigma) - _blurred(data, sigma) ** 2
    return np.asarray(np.maximum(variance, 0), np.float32)


def _skewness(data: FloatArray, sigma: list[float]) -> FloatArray:
    """Return the third standardised moment of each neighbourhood, 0 to 2; 0 where it is flat."""
    mean, variance = _blurred(data, sigma), _variance(data, sigma)
    third = _blurred(data * data * data, sigma) - 3 * mean * variance - mean * mean * mean
    varies = variance > _NO_VARIANCE
    found = np.divide(third, variance * np.sqrt(variance), out=np.zeros_like(third), where=varies)
    return np.asarray(np.clip(found, 0, _LARGEST_SKEWNESS), np.float32)
