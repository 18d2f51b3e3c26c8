"""Fourier shell correlation of two maps on one grid, in shells of equal width.

W. O. Saxton & W. Baumeister (1982), J. Microsc. 127, 127-138.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from cryosamu.volume.fourier import spatial_frequency_squared
from cryosamu.volume.volume import FloatArray, Volume

DEFINITION = "FSC 1, shells of 1 / longest edge"

_BLOCK_VOXELS = 300_000
"""Voxels that are worked on at once: as many as stay in the processor's cache."""


@dataclass(frozen=True)
class MapFsc:
    """A curve, coarse to fine, to the Nyquist limit of the coarsest axis.

    Attributes
    ----------
    spatial_frequency
        float64 [shells], 1/Å: the middle of each shell, from one shell above 0 on.
    fsc
        float64 [shells].
    counts
        int64 [shells]: coefficients, both of each Friedel pair.
    """

    spatial_frequency: NDArray[np.float64]
    fsc: NDArray[np.float64]
    counts: NDArray[np.int64]

    def average(self, resolution: float) -> float:
        """Return Σ N FSC / Σ N over the shells no finer than `resolution` Å."""
        counted = self.spatial_frequency <= 1 / resolution
        return float(np.average(self.fsc[counted], weights=self.counts[counted]))

    def mean(self, resolution: float) -> float:
        """Return the mean over the shells to `resolution` Å, each counted once."""
        return float(self.fsc[self.spatial_frequency <= 1 / resolution].mean())


def map_fsc(first: FloatArray, second: FloatArray, grid: Volume) -> MapFsc:
    """Return the FSC of two maps, [nz, ny, nx] each, on the grid of `grid`.

    Shell i holds |s| · longest edge within i ± 1/2.
    """
    one, two = (scipy.fft.rfftn(data, workers=-1) for data in (first, second))
    width = 1 / max(grid.box)
    sums = _shell_sums(one, two, grid.shape, grid.voxel_size, width)
    fsc = _ratio(sums, empty=0.0)
    last = int(0.5 / max(grid.voxel_size) / width + 0.5)
    shells = slice(1, last + 1)
    return MapFsc(
        np.asarray(np.arange(len(fsc))[shells] * width, np.float64),
        fsc[shells],
        np.rint(sums[3]).astype(np.int64)[shells],
    )


def power_beyond(data: FloatArray, grid: Volume, frequency: float) -> float:
    """Return the share of a map's power, its mean's left out, at `frequency` (1/Å) and finer.

    Parameters
    ----------
    data
        [nz, ny, nx] on the grid of `grid`; 0 is returned for a constant map.
    """
    spectrum = np.abs(scipy.fft.rfftn(data, workers=-1)) ** 2
    spectrum[0, 0, 0] = 0
    power = spectrum * _multiplicity(grid.shape[2])
    total = float(power.sum(dtype=np.float64))
    # Single precision must not decide over coefficients at the very frequency.
    beyond = spatial_frequency_squared(grid) >= frequency**2 * (1 - 1e-6)
    return float(power[beyond].sum(dtype=np.float64)) / total if total > 0 else 0.0


def shell_correlations(
    first: NDArray[np.complex64],
    second: NDArray[np.complex64],
    shape: tuple[int, ...],
    voxel_size: tuple[float, float, float],
    width: float,
) -> NDArray[np.float64]:
    """Return the FSC, [shells], of two half-complex transforms [nz, ny, nx // 2 + 1].

    In shells i · width (1/Å), i = 0, 1, …, to the Nyquist limit of the coarsest axis; not a
    number where one side has nothing.
    """
    fsc = _ratio(_shell_sums(first, second, shape, voxel_size, width), empty=float("nan"))
    return fsc[: max(int(0.5 / max(voxel_size) / width + 0.5) + 1, 2)]


def _ratio(sums: NDArray[np.float64], empty: float) -> NDArray[np.float64]:
    """Return the FSC of shells from their sums; `empty` where one side has nothing."""
    cross, one, two, _ = sums
    norm = np.sqrt(one * two)
    fsc: NDArray[np.float64] = np.divide(cross, norm, out=np.full_like(norm, empty), where=norm > 0)
    return fsc


def _shell_sums(
    first: NDArray[np.complex64],
    second: NDArray[np.complex64],
    shape: tuple[int, ...],
    voxel_size: tuple[float, float, float],
    width: float,
) -> NDArray[np.float64]:
    """Return Re F G*, |F|², |G|² and the number of coefficients of each shell, [4, shells].

    Mirrored planes and rows are added before they are sorted into shells: s is the same in all
    eight octants of an orthogonal box, and sorting is what takes the time.
    """
    nz, ny, nx = shape
    z, y, x = (
        (np.arange(count // 2 + 1) / (count * step * width)) ** 2
        for count, step in zip(shape, reversed(voxel_size), strict=True)
    )
    shells = int(np.sqrt(z[-1] + y[-1] + x[-1]) + 0.5) + 1
    pairs = _multiplicity(ny)[:, None] * _multiplicity(nx)
    sums = np.zeros((4, shells))
    for planes, mirrored in _plane_blocks(nz, ny * nx):
        products = _products(first[planes], second[planes])
        if mirrored is not None:
            products += _products(first[mirrored], second[mirrored])
        folded = products[:, :, : ny // 2 + 1].astype(np.float64)
        folded[:, :, 1 : (ny + 1) // 2] += products[:, :, : ny // 2 : -1]
        folded *= _multiplicity(nx)
        squared = z[planes, None, None] + y[:, None] + x
        places = (np.sqrt(squared) + 0.5).astype(np.intp).ravel()
        for row, values in enumerate(folded):
            sums[row] += np.bincount(places, values.ravel(), shells)
        twice = 1 if mirrored is None else 2
        counts = np.broadcast_to(twice * pairs, squared.shape)
        sums[3] += np.bincount(places, counts.ravel(), shells)
    return sums


def _plane_blocks(count: int, plane: int) -> Iterator[tuple[slice, slice | None]]:
    """Yield slices of planes 0 to n / 2 and of those that mirror them, None where they are one."""
    yield slice(0, 1), None
    thickness = max(1, _BLOCK_VOXELS // plane)
    end = (count + 1) // 2
    for first in range(1, end, thickness):
        last = min(first + thickness, end)
        yield slice(first, last), slice(count - first, count - last, -1)
    if count % 2 == 0:
        yield slice(count // 2, count // 2 + 1), None


def _products(f: NDArray[np.complex64], g: NDArray[np.complex64]) -> FloatArray:
    products = np.empty((3, *f.shape), np.float32)
    np.multiply(f.real, g.real, out=products[0])
    products[0] += f.imag * g.imag
    for row, values in ((1, f), (2, g)):
        np.multiply(values.real, values.real, out=products[row])
        products[row] += values.imag * values.imag
    return products


def _multiplicity(count: int) -> NDArray[np.float64]:
    """Return how many of ±h there are for h = 0, …, n // 2."""
    twice = np.full(count // 2 + 1, 2.0)
    twice[0] = 1
    if count % 2 == 0:
        twice[-1] = 1
    return twice
