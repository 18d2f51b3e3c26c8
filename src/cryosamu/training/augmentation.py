"""Crops as another experiment might have given them: other contrast, other sharpening."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from cryosamu.config import AugmentationSettings

HalfArray = NDArray[np.float16]
FloatArray = NDArray[np.float32]

# Voxels of reflection around a crop, so that a filter does not carry one face to the other; the
# widest blur, 200 Å², has a σ of 1.6 Å.
_BORDER = 8
# Å: finer detail, of which maps at 4-8 Å hold only noise, is changed no more than this.
_FINEST = 4.0


def augmented(
    density: HalfArray,
    settings: AugmentationSettings,
    voxel_size: float,
    random: np.random.Generator,
) -> HalfArray:
    """Return a crop of a normalised map, blurred or sharpened, then brightened or darkened.

    Parameters
    ----------
    density
        [z, y, x] in [0, 1]; so is what is returned.
    settings
        Limits of the jitter; zero leaves a crop as it is.
    voxel_size
        Å.
    """
    values = density.astype(np.float32)
    if settings.b_factor:
        b_factor = random.uniform(-settings.b_factor, settings.b_factor)
        values = refiltered(values, b_factor, voxel_size)
    if settings.intensity:
        gain, gamma = np.exp(random.uniform(-settings.intensity, settings.intensity, 2))
        values = gain * np.clip(values, 0, 1) ** gamma
    return np.clip(values, 0, 1).astype(np.float16)


def refiltered(values: FloatArray, b_factor: float, voxel_size: float) -> FloatArray:
    """Return a crop times exp(−B s² / 4) in Fourier space; positive B blurs, negative sharpens.

    Beyond 1/4 Å the factor stays what it is there, since sharpening would raise nothing but noise.
    The crop keeps its mean and standard deviation, as a whole map would have been normalised anew.

    Parameters
    ----------
    values
        float32 [z, y, x].
    b_factor
        Å².
    voxel_size
        Å.
    """
    padded = np.pad(values, _BORDER, mode="reflect")
    transfer = np.exp(-b_factor / 4 * _squared_frequency(padded.shape, voxel_size))
    spectrum = scipy.fft.rfftn(padded) * transfer.astype(np.float32)
    inner = (slice(_BORDER, -_BORDER),) * 3
    filtered = scipy.fft.irfftn(spectrum, padded.shape)[inner]
    spread = filtered.std()
    if spread == 0:
        return values
    scaled = (filtered - filtered.mean()) * (values.std() / spread) + values.mean()
    return np.asarray(scaled, np.float32)


@lru_cache(maxsize=4)
def _squared_frequency(shape: tuple[int, ...], voxel_size: float) -> FloatArray:
    """Return s² in 1/Å² for each coefficient of a real transform, at most that of 4 Å."""
    axes = [np.fft.fftfreq(shape[0]), np.fft.fftfreq(shape[1]), np.fft.rfftfreq(shape[2])]
    z, y, x = np.meshgrid(*(axis / voxel_size for axis in axes), indexing="ij", sparse=True)
    return np.asarray(np.minimum(z**2 + y**2 + x**2, _FINEST**-2), np.float32)
