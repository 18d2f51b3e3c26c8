"""Electron structure factors of a model, as many as the map's grid holds."""

from __future__ import annotations

import math

import gemmi
import numpy as np
import scipy.fft
from numpy.typing import NDArray

from cryosamu.evaluation.atom_density import (
    Sampling,
    Scatterers,
    choose_sampling,
    density_slabs,
    scatterers_of,
)
from cryosamu.volume.fourier import spatial_frequency_squared
from cryosamu.volume.volume import Volume

_ROUNDING = 1e-6
"""Relative room for the rounding of s², so that the finest coefficient is not lost."""


def model_coefficients(
    boxed: gemmi.Structure, volume: Volume, d_min: float
) -> NDArray[np.complex64]:
    """Return the model's structure factors as a half-complex transform of the map's grid.

    Zero where d < d_min, where |h| > (n − 1) // 2 on an axis, and at 000. Of no particular scale.

    Parameters
    ----------
    boxed
        The model in the map's box, from `frame.in_box`.
    volume
        Gives the grid.
    d_min
        Å.

    Returns
    -------
    complex64 [nz, ny, nx // 2 + 1]
        In the phase convention and order of `scipy.fft.rfftn`.

    Raises
    ------
    ModelError
        When no atom has a positive occupancy.
    """
    scatterers = scatterers_of(boxed[0])
    sampling = choose_sampling(scatterers, volume.box, d_min)
    coefficients = _transform(scatterers, sampling, volume.shape)
    s_squared = spatial_frequency_squared(volume)
    kept = (s_squared <= (1 + _ROUNDING) / d_min**2) & measured(volume.shape)
    gain = np.exp(
        np.float32(sampling.blur / 4) * s_squared, where=kept, out=np.zeros_like(s_squared)
    )
    coefficients *= gain
    return coefficients


def measured(shape: tuple[int, int, int]) -> NDArray[np.bool_]:
    """Return where |h| <= (n − 1) // 2 on every axis and hkl is not 000."""
    nx = shape[2]
    # At an even grid's own Nyquist frequency, which is left out, the phase is not known.
    z, y, x = (np.arange(count) != count / 2 for count in shape)
    mask: NDArray[np.bool_] = z[:, None, None] & y[None, :, None] & x[None, None, : nx // 2 + 1]
    mask[0, 0, 0] = False
    return mask


def corner_spacing(volume: Volume) -> float:
    """Return d in Å of the finest coefficient of a grid, in the corner of its box."""
    counts = reversed(volume.shape)
    limits = [(count - 1) // 2 / edge for count, edge in zip(counts, volume.box, strict=True)]
    return 1 / math.hypot(*limits)


def _transform(
    scatterers: Scatterers, sampling: Sampling, shape: tuple[int, int, int]
) -> NDArray[np.complex64]:
    """Return the transform of the model's density at the frequencies that both grids hold.

    The density is made slab by slab along z, and each axis keeps what is needed alone, so that
    neither the fine grid nor its transform is ever in memory as a whole.
    """
    fine = tuple(reversed(sampling.shape))
    z, y, x = (
        _common_frequencies(count, fine_count)
        for count, fine_count in zip(shape, fine, strict=True)
    )
    x = x[x >= 0]
    planes = np.zeros((fine[0], len(y), len(x)), np.complex64)
    for first, density in density_slabs(scatterers, sampling):
        lines = scipy.fft.rfft(density, axis=2, workers=-1)[:, :, x]
        slab = scipy.fft.fft(lines, axis=1, workers=-1, overwrite_x=True)[:, y]
        planes[np.arange(first, first + len(slab)) % fine[0]] += slab
    common = scipy.fft.fft(planes, axis=0, workers=-1, overwrite_x=True)[z]
    coefficients = np.zeros((shape[0], shape[1], shape[2] // 2 + 1), np.complex64)
    coefficients[np.ix_(z, y, x)] = common
    return coefficients


def _common_frequencies(count: int, fine_count: int) -> NDArray[np.intp]:
    """Return the signed frequencies 0, 1, …, −1 that grids of both sizes hold."""
    top = (min(count, fine_count) - 1) // 2
    return np.concatenate([np.arange(top + 1), np.arange(-top, 0)])
