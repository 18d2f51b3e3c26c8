"""Filters of a map in Fourier space: low-pass and B-factor sharpening."""

from __future__ import annotations

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from cryosamu.volume.volume import Volume


def spatial_frequency_squared(volume: Volume) -> NDArray[np.float32]:
    """Return s² in 1/Å² of the half-complex transform, [nz, ny, nx // 2 + 1]."""
    nz, ny, nx = volume.shape
    x, y, z = volume.voxel_size
    sz = np.fft.fftfreq(nz, z)[:, None, None]
    sy = np.fft.fftfreq(ny, y)[None, :, None]
    sx = np.fft.rfftfreq(nx, x)[None, None, :]
    return np.asarray(sz**2 + sy**2 + sx**2, np.float32)


def low_pass(volume: Volume, resolution: float, width: float = 0.0) -> Volume:
    """Return the map without detail finer than `resolution` Å.

    Parameters
    ----------
    width
        Width of the cosine edge as a fraction of 1 / resolution, centred on it; 0 is a hard cut.
    """
    s = np.sqrt(spatial_frequency_squared(volume))
    cut = 1.0 / resolution
    if width == 0:
        gain = (s <= cut).astype(np.float32)
    else:
        phase = np.clip((s / cut - (1 - width / 2)) / width, 0, 1)
        gain = (0.5 + 0.5 * np.cos(np.pi * phase)).astype(np.float32)
    return multiply_spectrum(volume, gain)


def sharpen(volume: Volume, b_factor: float) -> Volume:
    """Return the map times exp(−B s² / 4); a negative `b_factor` (Å²) sharpens."""
    return multiply_spectrum(volume, np.exp(-b_factor / 4 * spatial_frequency_squared(volume)))


def multiply_spectrum(volume: Volume, gain: NDArray[np.floating]) -> Volume:
    """Return the map with its half-complex spectrum [nz, ny, nx // 2 + 1] multiplied by `gain`."""
    spectrum = scipy.fft.rfftn(volume.data, workers=-1)
    spectrum *= gain
    data = scipy.fft.irfftn(spectrum, s=volume.shape, workers=-1, overwrite_x=True)
    return volume.with_data(np.asarray(data, np.float32))
