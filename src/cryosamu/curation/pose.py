"""Does a model lie where it fits its map best? A search over all translations by FFT.

The model's simulated density is moved over the map; at each translation the two are correlated
over the voxels near the model: the locally normalised correlation of A. M. Roseman (2003),
Ultramicroscopy 94, 225–236. A correlation over the whole box would draw models towards whatever
is densest and punish a chain for its neighbours. The model starts where it lies in the model
frame, also when that is outside the map's box.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from cryosamu.errors import MapError, ModelError
from cryosamu.structure.density import gaussian_sigma, simulate_density
from cryosamu.structure.model import Atoms
from cryosamu.volume.grid import grid_shape, resample
from cryosamu.volume.volume import FloatArray, Volume

_VOXELS_PER_RESOLUTION = 3
_LARGEST_GRID = 160
"""Voxels along an edge of the searched map, and of the model's box; larger ones are binned."""

_MASK_LEVEL = 0.02
"""Share of the simulated density's maximum above which a voxel counts as near the model."""

_LEAST_VARIANCE = 0.1
"""Floor of the local variance as a share of the map's: a region without density is no fit."""

_LEAST_DEVIATION = 1e-30
"""Of a map whose detail is all finer than the search: its correlation is then 0 everywhere."""

_REACH_SIGMAS = 4.0
_LEAST_SIGMA_VOXELS = 0.6


@dataclass(frozen=True)
class Pose:
    """The best translation of a model in its map.

    Attributes
    ----------
    shift
        (x, y, z) in Å to add to the model's coordinates.
    correlation_deposited, correlation_best
        Local correlation where the model lies and after the shift, −1 to 1.
    """

    shift: tuple[float, float, float]
    correlation_deposited: float
    correlation_best: float

    @property
    def length(self) -> float:
        """Length of the shift in Å."""
        return float(np.linalg.norm(self.shift))


@dataclass(frozen=True)
class _Template:
    """Simulated density near the model, zero-mean and of unit norm within its mask.

    `corner` is the voxel index (z, y, x) of its first voxel on the map's grid; it may lie outside.
    """

    density: FloatArray
    mask: FloatArray
    corner: NDArray[np.int64]


def find_best_pose(volume: Volume, atoms: Atoms, resolution: float) -> Pose:
    """Return the translation at which a model fits its map best.

    Every translation at which the boxes of model and map overlap is tried, in steps of about
    resolution / 3. The best is refined between the voxels by a parabola, and the correlation
    there is that of the model simulated anew.

    Parameters
    ----------
    atoms
        Model frame, Å.
    resolution
        Å; the model is simulated at it with the width of ChimeraX's molmap.

    Raises
    ------
    MapError, ModelError
        When the map is constant, or the model has no heavy atoms, coordinates or occupancies.
    """
    if len(atoms.positions) == 0 or not np.isfinite(atoms.positions).all():
        raise ModelError("the model has no heavy atoms, or coordinates that are not numbers.")
    if volume.data.min() == volume.data.max():
        raise MapError("the map is constant: there is no density to place a model in.")
    searched = _standardised(_binned(volume, atoms, resolution))
    sigma = max(
        gaussian_sigma(resolution, "chimerax"), _LEAST_SIGMA_VOXELS * max(searched.voxel_size)
    )
    template = _template(searched, atoms, sigma)
    deposited = _correlation_at_home(searched.data, template)
    steps, offset = _best_translation(searched.data, template)
    tried = {(0.0, 0.0, 0.0): deposited}
    for voxels in (steps, steps + offset):
        x, y, z = (voxels[::-1] * searched.voxel_size).tolist()
        moved = replace(atoms, positions=atoms.positions + np.array([x, y, z]))
        tried[x, y, z] = _correlation_at_home(searched.data, _template(searched, moved, sigma))
    shift = max(tried, key=lambda one: tried[one])
    return Pose(shift, deposited, tried[shift])


def _binned(volume: Volume, atoms: Atoms, resolution: float) -> Volume:
    """Return the map on voxels of about resolution / 3, coarser where map or model is large."""
    extent = max(*volume.box, *np.ptp(atoms.positions, axis=0))
    voxel_size = max(resolution / _VOXELS_PER_RESOLUTION, extent / _LARGEST_GRID)
    coarse = grid_shape(volume, voxel_size)
    nz, ny, nx = (min(few, many) for few, many in zip(coarse, volume.shape, strict=True))
    return volume if (nz, ny, nx) == volume.shape else resample(volume, (nz, ny, nx))


def _standardised(volume: Volume) -> Volume:
    """Return the map with its background (the median) at 0 and a standard deviation of 1.

    What lies outside the box is then 0 as well: background.
    """
    deviation = np.float32(max(volume.data.std(dtype=np.float64), _LEAST_DEVIATION))
    return volume.with_data((volume.data - np.median(volume.data)) / deviation)


def _template(searched: Volume, atoms: Atoms, sigma: float) -> _Template:
    indices = searched.to_grid(atoms.positions)
    reach = _REACH_SIGMAS * sigma / np.array(searched.voxel_size) + 1
    low = np.floor(indices.min(axis=0) - reach).astype(np.int64)
    high = np.ceil(indices.max(axis=0) + reach).astype(np.int64)
    x, y, z = (float(value) for value in searched.to_model_frame(low))
    empty = np.zeros((high - low + 1)[::-1], np.float32)
    density = simulate_density(atoms, Volume(empty, searched.voxel_size, (x, y, z)), sigma).data
    if density.max() <= 0:
        raise ModelError("the model's atoms all have an occupancy of zero.")
    mask = density > _MASK_LEVEL * density.max()
    density = np.where(mask, density - density[mask].mean(dtype=np.float64), 0)
    norm = np.sqrt((density**2).sum(dtype=np.float64))
    return _Template((density / norm).astype(np.float32), mask.astype(np.float32), low[::-1])


def _correlation_at_home(data: FloatArray, template: _Template) -> float:
    """Return the local correlation with the template where it lies; background outside the box."""
    under = np.zeros_like(template.density)
    low = np.maximum(template.corner, 0)
    high = np.minimum(template.corner + template.density.shape, data.shape)
    if (low < high).all():
        there = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        here = tuple(slice(a, b) for a, b in zip(low - template.corner, high - template.corner,
                                                 strict=True))  # fmt: skip
        under[here] = data[there]
    values = under[template.mask > 0].astype(np.float64)
    variance = max(float(values.var()), _LEAST_VARIANCE)
    product = float((under * template.density).sum(dtype=np.float64))
    return product / math.sqrt(variance * values.size)


def _best_translation(
    data: FloatArray, template: _Template
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the whole voxels (z, y, x) to the best translation, and the peak's offset there."""
    sizes = zip(data.shape, template.density.shape, strict=True)
    shape = tuple(scipy.fft.next_fast_len(a + b - 1, real=True) for a, b in sizes)
    local = _local_correlations(data, template, shape)
    place = np.array(np.unravel_index(int(local.argmax()), shape))
    # Translations towards negative indices are found at the far end of the transform.
    index = np.where(place >= data.shape, place - shape, place)
    return index - template.corner, _offset_of_peak(local, place)


def _local_correlations(
    data: FloatArray, template: _Template, shape: tuple[int, ...]
) -> FloatArray:
    """Return Roseman's equations 4 to 6 for all translations at once, zero-padded to `shape`."""
    mask = np.conj(scipy.fft.rfftn(template.mask, s=shape, workers=-1))
    squares = scipy.fft.rfftn(data**2, s=shape, workers=-1)
    spectrum = scipy.fft.rfftn(data, s=shape, workers=-1)
    count = float(template.mask.sum(dtype=np.float64))
    mean = scipy.fft.irfftn(spectrum * mask, s=shape, workers=-1) / count
    squares *= mask
    variance = scipy.fft.irfftn(squares, s=shape, workers=-1, overwrite_x=True) / count - mean**2
    del squares, mask, mean
    spectrum *= np.conj(scipy.fft.rfftn(template.density, s=shape, workers=-1))
    local = scipy.fft.irfftn(spectrum, s=shape, workers=-1, overwrite_x=True)
    local /= np.sqrt(np.maximum(variance, _LEAST_VARIANCE) * count)
    return np.asarray(local, np.float32)


def _offset_of_peak(local: FloatArray, place: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return where between the voxels (z, y, x) the peak is, by a parabola along each axis."""
    offset = np.zeros(3)
    for axis, step in enumerate(np.eye(3, dtype=np.int64)):
        before, peak, after = (
            float(local[tuple((place + way * step) % local.shape)]) for way in (-1, 0, 1)
        )
        curvature = before - 2 * peak + after
        if curvature < 0:
            offset[axis] = 0.5 * (before - after) / curvature
    return np.clip(offset, -0.5, 0.5)
