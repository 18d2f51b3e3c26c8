"""Moving a model as a rigid body, uphill in the local correlation with its map.

The correlation is that of `cryosamu.structure.pose`: over the voxels near the model, which move
with it. The map is read between its voxels by cubic splines, so that six numbers, a rotation
vector and a shift, can be climbed by their gradient (BFGS).
"""

from __future__ import annotations

import math

import numpy as np
import scipy.ndimage
import scipy.optimize
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from cryosamu.structure.motion import RigidMotion
from cryosamu.volume.volume import FloatArray, Volume

LEAST_VARIANCE = 0.1
"""Floor of the local variance as a share of the map's: a region without density is no fit."""

_POINTS_CLIMBED = 10_000
"""Of a larger model this many points, drawn with a fixed seed, are followed uphill."""

_POINTS_REPORTED = 400_000
_DIFFERENCE = 1e-3
"""Å between the two samples whose difference is the map's slope."""

_PADDING = 4
"""Voxels of background around the map: a spline's tail is then 0 where the map ends."""

_MOST_STEPS = 60
_FLAT = 1e-4
"""Slope, correlation per Å, at which the climb ends."""


def local_correlation(values: NDArray[np.floating], template: NDArray[np.floating]) -> float:
    """Return the correlation of a map's values with a template of zero mean and unit norm.

    Parameters
    ----------
    values, template
        [points]; the map's values have a standard deviation of 1 over the whole map.
    """
    variance = max(float(values.var(dtype=np.float64)), LEAST_VARIANCE)
    product = float(np.sum(values * template, dtype=np.float64))
    return product / math.sqrt(variance * values.size)


class LocalCorrelation:
    """The local correlation of a map with a model's density, as a function of a rigid motion.

    Parameters
    ----------
    searched
        Map with its background at 0 and a standard deviation of 1.
    points
        [points, 3]: x, y, z in Å, model frame, of the voxels near the model where it lies.
    density
        [points]: the model's density there.
    """

    def __init__(
        self, searched: Volume, points: NDArray[np.float64], density: NDArray[np.floating]
    ) -> None:
        padded = np.pad(searched.data, _PADDING)
        self._spline: FloatArray = scipy.ndimage.spline_filter(padded, 3, output=np.float32)
        self._corner = np.array(searched.origin) - _PADDING * np.array(searched.voxel_size)
        self._voxel_size = np.array(searched.voxel_size)
        order = np.random.default_rng(0).permutation(len(points))[:_POINTS_REPORTED]
        self._points, self._density = points[order], np.asarray(density[order], np.float64)

    def at(self, motion: RigidMotion) -> float:
        """Return the local correlation after a motion, −1 to 1."""
        values = self._values(motion.apply(self._points))
        return local_correlation(values, _normalised(self._density))

    def roughly(self, motion: RigidMotion) -> float:
        """Return `at` by 10,000 points alone, for trying many motions."""
        values = self._values(motion.apply(self._points[:_POINTS_CLIMBED]))
        return local_correlation(values, _normalised(self._density[:_POINTS_CLIMBED]))

    def refine(
        self, centre: NDArray[np.float64], radius: float, start: NDArray[np.float64]
    ) -> RigidMotion:
        """Return the motion at the top of the hill on which the model stands.

        Parameters
        ----------
        centre
            x, y, z in Å, about which it is turned.
        radius
            Å, of gyration: a turn counts as the way that atoms at this radius go.
        start
            Shift (x, y, z) in Å from which the climb begins.
        """
        points = self._points[:_POINTS_CLIMBED]
        template = _normalised(self._density[:_POINTS_CLIMBED])

        def downhill(pose: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            turn = pose[:3] / radius
            arms = (points - centre) @ Rotation.from_rotvec(turn).as_matrix().T
            correlation, pulls = self._pulls(arms + centre + pose[3:], template)
            torque = np.cross(arms, pulls).sum(axis=0) @ _left_jacobian(turn)
            return -correlation, -np.concatenate([torque / radius, pulls.sum(axis=0)])

        found = scipy.optimize.minimize(
            downhill, np.concatenate([np.zeros(3), start]), jac=True, method="BFGS",
            options={"maxiter": _MOST_STEPS, "gtol": _FLAT},
        )  # fmt: skip
        rotation = Rotation.from_rotvec(found.x[:3] / radius).as_matrix()
        return RigidMotion.about(centre, rotation, found.x[3:])

    def _pulls(
        self, positions: NDArray[np.float64], template: NDArray[np.float64]
    ) -> tuple[float, NDArray[np.float64]]:
        """Return the correlation and its derivative [points, 3], 1/Å, by each point's position."""
        values = self._values(positions)
        correlation = local_correlation(values, template)
        variance = float(values.var())
        by_value = template / math.sqrt(max(variance, LEAST_VARIANCE) * values.size)
        if variance > LEAST_VARIANCE:
            by_value -= correlation * (values - values.mean()) / (variance * values.size)
        slopes = [(self._values(positions + step) - values) / _DIFFERENCE
                  for step in _DIFFERENCE * np.eye(3)]  # fmt: skip
        return correlation, by_value[:, None] * np.stack(slopes, axis=1)

    def _values(self, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the map at positions [points, 3] by cubic splines; background outside the box."""
        indices = ((positions - self._corner) / self._voxel_size)[:, ::-1].T
        values: NDArray[np.float64] = scipy.ndimage.map_coordinates(
            self._spline, indices, np.float64, order=3, mode="grid-constant", prefilter=False
        )
        return values


def _normalised(density: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return density with zero mean and unit norm; flat density stays 0."""
    centred = density - density.mean()
    unit: NDArray[np.float64] = centred / max(
        float(np.linalg.norm(centred)), np.finfo(np.float64).tiny
    )
    return unit


def _left_jacobian(turn: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return J such that R(turn + ε) = R(J ε) R(turn) to first order (SO(3)'s left Jacobian)."""
    angle = float(np.linalg.norm(turn))
    x, y, z = turn
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    # 1e-4: the series' next term is then below rounding.
    first = (1 - math.cos(angle)) / angle**2 if angle > 1e-4 else 0.5
    second = (angle - math.sin(angle)) / angle**3 if angle > 1e-4 else 1 / 6
    jacobian: NDArray[np.float64] = np.eye(3) + first * cross + second * cross @ cross
    return jacobian
