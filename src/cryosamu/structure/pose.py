"""Does a model lie where it fits its map best? All translations by FFT, then as a rigid body.

The model's simulated density is moved over the map; at each place the two are correlated over the
voxels near the model: the locally normalised correlation of A. M. Roseman (2003),
Ultramicroscopy 94, 225–236. A correlation over the whole box would draw models towards whatever
is densest and punish a chain for its neighbours. The model starts where it lies in the model
frame, also when that is outside the map's box. From there, and from the best translation, it
climbs with turns as well (`cryosamu.structure.refinement`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from cryosamu.errors import MapError, ModelError
from cryosamu.structure.density import gaussian_sigma, simulate_density
from cryosamu.structure.model import Atoms
from cryosamu.structure.motion import RigidMotion
from cryosamu.structure.refinement import LEAST_VARIANCE, LocalCorrelation
from cryosamu.volume.grid import grid_shape, resample
from cryosamu.volume.volume import FloatArray, Volume

_VOXELS_PER_RESOLUTION = 3
_LARGEST_GRID = 160
"""Voxels along an edge of the searched map, and of the model's box; larger ones are binned."""

_MASK_LEVEL = 0.02
"""Share of the simulated density's maximum above which a voxel counts as near the model."""

_LEAST_DEVIATION = 1e-30
"""Of a map whose detail is all finer than the search: its correlation is then 0 everywhere."""

_ANOTHER_PLACE = 0.05
"""Correlation that the summit next to the model may be short of the best one of the whole map and
still be the best pose: copies of the molecule elsewhere fit nearly alike."""

_REACH_SIGMAS = 4.0
_LEAST_SIGMA_VOXELS = 0.6
_LEAST_RADIUS = 1.0


@dataclass(frozen=True)
class Pose:
    """The best pose of a model in its map.

    Attributes
    ----------
    motion
        From where the model lies to where it fits best.
    shift
        (x, y, z) in Å by which the centre of the model's atoms moves.
    displacement
        Root mean square of the ways that the atoms go, Å.
    correlation_deposited, correlation_best
        Local correlation where the model lies and after the motion, −1 to 1.
    resolved_volumes
        Volume near the model in cubes of the resolution's edge: how much there is to correlate.
    """

    motion: RigidMotion
    shift: tuple[float, float, float]
    displacement: float
    correlation_deposited: float
    correlation_best: float
    resolved_volumes: float


@dataclass(frozen=True)
class _Template:
    """Simulated density near the model, zero-mean and of unit norm within its mask.

    `corner` is the voxel index (z, y, x) of its first voxel on the map's grid; it may lie outside.
    """

    density: FloatArray
    mask: FloatArray
    corner: NDArray[np.int64]


def find_best_pose(volume: Volume, atoms: Atoms, resolution: float) -> Pose:
    """Return the rigid motion after which a model fits its map best.

    Every translation at which the boxes of model and map overlap is tried, in steps of about
    resolution / 3. From the best of them, and from where the model lies, it climbs by shifts and
    turns. A turn is found as long as it leaves some likeness: those of 10° about the centre were
    (docs/alignment.md); a model upside down is not looked for.

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
    near = template.mask > 0
    voxels = (np.argwhere(near) + template.corner)[:, ::-1]
    points = searched.to_model_frame(voxels.astype(np.float64))
    likeness = LocalCorrelation(searched, points, template.density[near])
    steps = _best_translation(searched.data, template)[::-1] * np.array(searched.voxel_size)
    motion, deposited, best = _climb(likeness, atoms, steps, resolution)
    ways = motion.apply(atoms.positions) - atoms.positions
    x, y, z = (float(value) for value in ways.mean(axis=0))
    return Pose(
        motion=motion,
        shift=(x, y, z),
        displacement=float(np.sqrt((ways**2).sum(axis=1).mean())),
        correlation_deposited=deposited,
        correlation_best=best,
        resolved_volumes=len(points) * math.prod(searched.voxel_size) / resolution**3,
    )


def _climb(
    likeness: LocalCorrelation, atoms: Atoms, steps: NDArray[np.float64], resolution: float
) -> tuple[RigidMotion, float, float]:
    """Return the best motion from the deposited place and from the best translation (x, y, z, Å).

    Returns
    -------
    motion, correlation before, correlation after
    """
    centre = atoms.positions.mean(axis=0)
    radius = max(float(np.sqrt(((atoms.positions - centre) ** 2).sum(axis=1).mean())),
                 _LEAST_RADIUS)  # fmt: skip
    still = RigidMotion()
    deposited = likeness.at(still)
    motion = likeness.refine(centre, radius, np.zeros(3))
    best = likeness.at(motion)
    # The best translation is often where the model lies; then one climb is enough.
    if float(np.linalg.norm(steps)) > resolution / 2:
        far = likeness.refine(centre, radius, steps)
        at_far, ways = likeness.at(far), far.apply(atoms.positions) - motion.apply(atoms.positions)
        # Two climbs that end within the resolution of each other were on one hill.
        apart = float(np.sqrt((ways**2).sum(axis=1).mean())) > resolution
        if at_far > best + (_ANOTHER_PLACE if apart else 0.0):
            motion, best = far, at_far
    return (motion, deposited, best) if best > deposited else (still, deposited, deposited)


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


def _best_translation(data: FloatArray, template: _Template) -> NDArray[np.int64]:
    """Return the whole voxels (z, y, x) to the best translation."""
    sizes = zip(data.shape, template.density.shape, strict=True)
    shape = tuple(scipy.fft.next_fast_len(a + b - 1, real=True) for a, b in sizes)
    local = _local_correlations(data, template, shape)
    place = np.array(np.unravel_index(int(local.argmax()), shape))
    # Translations towards negative indices are found at the far end of the transform.
    index = np.where(place >= data.shape, place - shape, place)
    found: NDArray[np.int64] = index - template.corner
    return found


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
    local /= np.sqrt(np.maximum(variance, LEAST_VARIANCE) * count)
    return np.asarray(local, np.float32)
