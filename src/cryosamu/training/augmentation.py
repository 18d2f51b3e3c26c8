"""Crops as another experiment might have given them: other contrast, other sharpening."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import scipy.fft
import torch
from numpy.typing import NDArray

from cryosamu.config import AugmentationSettings

HalfArray = NDArray[np.float16]
FloatArray = NDArray[np.float32]

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
    # torch converts float16 ten times faster than numpy.
    values = torch.from_numpy(density.copy()).float().numpy()
    if settings.b_factor:
        b_factor = random.uniform(-settings.b_factor, settings.b_factor)
        values = refiltered(values, b_factor, voxel_size)
    if settings.intensity:
        limits = -settings.intensity, settings.intensity
        gain, gamma = np.exp(random.uniform(*limits, 2)).astype(np.float32)
        values = gain * np.clip(values, 0, 1) ** gamma
    half: HalfArray = torch.from_numpy(np.clip(values, 0, 1)).half().numpy()
    return half


def refiltered(values: FloatArray, b_factor: float, voxel_size: float) -> FloatArray:
    """Return a crop times exp(−B s² / 4) in Fourier space; positive B blurs, negative sharpens.

    A cosine transform, in which a crop goes on as its own mirror image, so that nothing of one face
    reaches the other. Beyond 1/4 Å the factor stays what it is there, since sharpening would raise
    nothing but noise. The crop keeps its mean and standard deviation, as a whole map would have
    been normalised anew.

    Parameters
    ----------
    values
        float32 [z, y, x].
    b_factor
        Å².
    voxel_size
        Å.
    """
    spectrum = scipy.fft.dctn(values, norm="ortho")
    spectrum *= np.exp(np.float32(-b_factor / 4) * _squared_frequency(values.shape, voxel_size))
    filtered = scipy.fft.idctn(spectrum, norm="ortho", overwrite_x=True)
    spread, mean = filtered.std(), filtered.mean()
    if spread == 0:
        return values
    scaled = (filtered - mean) * (values.std() / spread) + mean
    return np.asarray(scaled, np.float32)


@lru_cache(maxsize=4)
def _squared_frequency(shape: tuple[int, ...], voxel_size: float) -> FloatArray:
    """Return s² in 1/Å² for each coefficient of a cosine transform, at most that of 4 Å."""
    axes = (np.arange(edge) / (2 * edge * voxel_size) for edge in shape)
    z, y, x = np.meshgrid(*axes, indexing="ij", sparse=True)
    return np.asarray(np.minimum(z**2 + y**2 + x**2, _FINEST**-2), np.float32)
