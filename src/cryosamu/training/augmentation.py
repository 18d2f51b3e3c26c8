"""Crops as another experiment might have given them: other contrast, other sharpening."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cryosamu.config import AugmentationSettings

HalfArray = NDArray[np.float16]

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
    values = torch.from_numpy(density.copy()).float()
    if settings.b_factor:
        b_factor = random.uniform(-settings.b_factor, settings.b_factor)
        values = refiltered(values, b_factor, voxel_size)
    if settings.intensity:
        limits = -settings.intensity, settings.intensity
        gain, gamma = np.exp(random.uniform(*limits, 2)).tolist()
        values = values.clamp(0, 1).pow_(gamma).mul_(gain)
    half: HalfArray = values.clamp(0, 1).half().numpy()
    return half


def refiltered(values: Tensor, b_factor: float, voxel_size: float) -> Tensor:
    """Return a crop times exp(−B s² / 4) in Fourier space; positive B blurs, negative sharpens.

    A cosine transform, in which a crop goes on as its own mirror image, so that nothing of one face
    reaches the other. Beyond 1/4 Å the factor stays what it is there, since sharpening would raise
    nothing but noise; so only what lies below, an eighth of the coefficients of 1 Å voxels, has to
    be transformed: the rest is the crop itself times that factor. The crop keeps its mean and
    standard deviation, as a whole map would have been normalised anew.

    Parameters
    ----------
    values
        float32 [z, y, x].
    b_factor
        Å².
    voxel_size
        Å.
    """
    shape = tuple(values.shape)
    (z, y, x), squares = _low_waves(shape, voxel_size)
    finest = math.exp(-b_factor / 4 * _FINEST**-2)
    gain = torch.exp(-b_factor / 4 * squares) - finest
    low = gain * (z.T @ (y.T @ (values @ x)).flatten(1)).view(squares.shape)
    filtered = y @ (z @ low.flatten(1)).view(shape[0], *low.shape[1:]) @ x.T
    filtered.add_(values, alpha=finest)
    # The factor of the mean is 1, so that it is still there. Norms of what is centred take a tenth
    # of the time of torch's standard deviations.
    mean = float(values.mean())
    wanted, spread = float((values - mean).norm()), float(filtered.sub_(mean).norm())
    if spread == 0:
        return values
    return filtered.mul_(wanted / spread).add_(mean)


@lru_cache(maxsize=4)
def _low_waves(shape: tuple[int, ...], voxel_size: float) -> tuple[list[Tensor], Tensor]:
    """Return the cosine waves that are longer than 4 Å, and the s² of their products.

    Returns
    -------
    list
        float32 [edge, waves] for each axis: columns of the orthonormal DCT-II.
    Tensor
        float32 [waves, waves, waves]: s² in 1/Å², at most that of 4 Å.
    """
    waves, squares = [], []
    for edge in shape:
        frequency = np.arange(edge) / (2 * edge * voxel_size)
        kept = frequency[frequency < 1 / _FINEST]
        places = np.arange(edge)[:, None] + 0.5
        wave = math.sqrt(2 / edge) * np.cos(np.pi / edge * places * np.arange(len(kept)))
        wave[:, 0] /= math.sqrt(2)
        waves.append(torch.from_numpy(wave.astype(np.float32)))
        squares.append(torch.from_numpy(kept.astype(np.float32)) ** 2)
    z, y, x = squares
    return waves, (z[:, None, None] + y[:, None] + x).clamp(max=_FINEST**-2)
