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
from functools import cached_property

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

_LEAST_UNEXPLAINED = 1e-6
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

    @property
    def significance(self) -> float:
        """`significance` of the best pose over the one that the model has."""
        return significance(
            self.correlation_deposited, self.correlation_best, self.resolved_volumes
        )


def significance(before: float, after: float, resolved_volumes: float) -> float:
    """Return twice the gain in log likelihood by a better pose: the likelihood-ratio statistic.

    With n independent values, map and model being jointly normal, it is
    n · ln((1 − r²) / (1 − r'²)) for correlations r before and r' after; where the first pose is
    the right one it is distributed as χ² with six degrees of freedom (S. S. Wilks (1938), Ann.
    Math. Stat. 9, 60–62). n is taken as one value a cube of the resolution's edge, the fewest that
    one can argue for: what a map and a model do not share is not white.
    """
    first, second = (
        max(1 - max(correlation, 0.0) ** 2, _LEAST_UNEXPLAINED) for correlation in (before, after)
    )
    return resolved_volumes * math.log(first / second)


@dataclass(frozen=True)
class _Template:
    """Simulated density near the model, zero-mean and of unit norm within its mask.

    `corner` is the voxel index (z, y, x) of its first voxel on the map's grid; it may lie outside.
    """

    density: FloatArray
    mask: FloatArray
    corner: NDArray[np.int64]


def find_best_pose(volume: Volume, atoms: Atoms, resolution: float) -> Pose:
    """Return the rigid motion after which a model fits its map best, as `PoseSearch.best` does.

    Raises
    ------
    MapError, ModelError
        As `PoseSearch`.
    """
    return PoseSearch(volume, atoms, resolution).best()


class PoseSearch:
    """A model over a map, ready to be moved.

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

    def __init__(self, volume: Volume, atoms: Atoms, resolution: float) -> None:
        if len(atoms.positions) == 0 or not np.isfinite(atoms.positions).all():
            raise ModelError("the model has no heavy atoms, or coordinates that are not numbers.")
        if volume.data.min() == volume.data.max():
            raise MapError("the map is constant: there is no density to place a model in.")
        self._atoms, self._resolution = atoms, resolution
        self._searched = _standardised(_binned(volume, atoms, resolution))
        sigma = max(
            gaussian_sigma(resolution, "chimerax"),
            _LEAST_SIGMA_VOXELS * max(self._searched.voxel_size),
        )
        self._template = _template(self._searched, atoms, sigma)
        near = self._template.mask > 0
        voxels = (np.argwhere(near) + self._template.corner)[:, ::-1]
        points = self._searched.to_model_frame(voxels.astype(np.float64))
        self.likeness = LocalCorrelation(self._searched, points, self._template.density[near])
        self.centre: NDArray[np.float64] = atoms.positions.mean(axis=0)
        self._radius = max(
            float(np.sqrt(((atoms.positions - self.centre) ** 2).sum(axis=1).mean())),
            _LEAST_RADIUS,
        )
        self.resolved_volumes = len(points) * math.prod(self._searched.voxel_size) / resolution**3

    @cached_property
    def nearest(self) -> Pose:
        """The top of the hill on which the model stands."""
        still = RigidMotion()
        deposited = self.likeness.at(still)
        motion = self.likeness.refine(self.centre, self._radius, np.zeros(3))
        best = self.likeness.at(motion)
        return self._pose(*((motion, deposited, best) if best > deposited
                            else (still, deposited, deposited)))  # fmt: skip

    @cached_property
    def translation(self) -> NDArray[np.float64]:
        """The best of all translations without a turn: x, y, z in Å, in whole voxels."""
        steps = _best_translation(self._searched.data, self._template)[::-1]
        found: NDArray[np.float64] = steps * np.array(self._searched.voxel_size)
        return found

    def best(self) -> Pose:
        """Return the best pose of all.

        Every translation at which the boxes of model and map overlap is tried, in steps of about
        resolution / 3. From the best of them, and from where the model lies, it climbs by shifts
        and turns. A turn is found as long as it leaves some likeness: those of 10° about the
        centre were (docs/alignment.md); a model upside down is not looked for.
        """
        near, steps = self.nearest, self.translation
        # The best translation is often where the model lies; then one climb is enough.
        if float(np.linalg.norm(steps)) <= self._resolution / 2:
            return near
        far = self.likeness.refine(self.centre, self._radius, steps)
        at_far = self.likeness.at(far)
        positions = self._atoms.positions
        ways = far.apply(positions) - near.motion.apply(positions)
        # Two climbs that end within the resolution of each other were on one hill.
        apart = float(np.sqrt((ways**2).sum(axis=1).mean())) > self._resolution
        if at_far > near.correlation_best + (_ANOTHER_PLACE if apart else 0.0):
            return self._pose(far, near.correlation_deposited, at_far)
        return near

    def _pose(self, motion: RigidMotion, deposited: float, best: float) -> Pose:
        ways = motion.apply(self._atoms.positions) - self._atoms.positions
        x, y, z = (float(value) for value in ways.mean(axis=0))
        return Pose(
            motion=motion,
            shift=(x, y, z),
            displacement=float(np.sqrt((ways**2).sum(axis=1).mean())),
            correlation_deposited=deposited,
            correlation_best=best,
            resolved_volumes=self.resolved_volumes,
        )


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
