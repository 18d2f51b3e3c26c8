"""Map-model correlation around atoms, residues and chains, as in cctbx 2025.11.

`mmtbx.maps.map_model_cc` (per residue and chain) and `five_cc` (CC_image): Pearson's correlation
over the voxels within a radius of the atoms. The radius follows from how a carbon atom looks at
the resolution: A. Urzhumtsev, P. V. Afonine & V. Y. Lunin (2012), Acta Cryst. D68, 1-8.
"""

from __future__ import annotations

from dataclasses import dataclass

import gemmi
import numpy as np
from numpy.typing import NDArray

from cryosamu.evaluation.residues import Residues
from cryosamu.volume.volume import FloatArray, Volume

DEFINITION = "cctbx-2025.11 map_model_cc"

_IMAGE_STEP = 0.01
_RESIDUE_STEP = 0.1
"""Å: how finely cctbx samples the atom's image, for CC_image and for residues and chains."""

_FARTHEST = 15.0
_INTEGRATION_STEPS = 2000
_RADIUS_RANGE = (3.0, 10.0)
_MINIMUM_VOXELS = 3


@dataclass(frozen=True)
class LocalCorrelations:
    """Correlations over the voxels near residues and near chains.

    Attributes
    ----------
    residues
        float64 [residues]; not a number where fewer than three voxels are near.
    chains
        Author chain to correlation.
    """

    residues: NDArray[np.float64]
    chains: dict[str, float]


def image_radius(resolution: float, b_factor: float, step: float = _IMAGE_STEP) -> float:
    """Return twice the distance (Å) of the first inflection of a carbon atom's image.

    Parameters
    ----------
    resolution
        Å; the image has all that is coarser.
    b_factor
        Å².
    step
        Å between the points at which the image is known.
    """
    s = np.linspace(0, 1 / resolution, _INTEGRATION_STEPS + 1)
    carbon = gemmi.Element("C").c4322
    factor = sum(
        a * np.exp(-(b + b_factor) * s**2 / 4) for a, b in zip(carbon.a, carbon.b, strict=True)
    )
    weights = np.ones(len(s))
    weights[1:-1:2], weights[2:-1:2] = 4, 2  # Simpson's rule
    radii = np.arange(0, max(_FARTHEST, resolution), step)
    # sin(2πrs) / r goes over into 2πs at r = 0.
    waves = 2 * s * np.sinc(2 * radii[:, None] * s)
    image = waves @ (weights * s * factor)
    curvature = image[:-2] + image[2:] - 2 * image[1:-1]
    first = int(np.argmax(curvature > 0)) + 1
    return float(radii[first - 1] + radii[first])


def local_radius(resolution: float, b_factor: float) -> float:
    """Return the radius (Å) round the atoms of residues and chains: 3 to 10."""
    radius = max(resolution, image_radius(resolution, b_factor, _RESIDUE_STEP))
    return float(np.clip(radius, *_RADIUS_RANGE))


def near_atoms(model: gemmi.Model, volume: Volume, radius: float) -> NDArray[np.bool_]:
    """Return the voxels within `radius` Å of any atom, periodic, bool [nz, ny, nx].

    Parameters
    ----------
    model
        In the map's box, from `frame.in_box`.
    volume
        Gives the grid.
    """
    nz, ny, nx = volume.shape
    grid = gemmi.Int8Grid(nx, ny, nz)
    grid.spacegroup = gemmi.SpaceGroup("P 1")
    grid.set_unit_cell(gemmi.UnitCell(*volume.box, 90, 90, 90))
    for site in model.all():
        grid.set_points_around(site.atom.pos, radius, 1)
    near: NDArray[np.bool_] = np.ascontiguousarray(np.array(grid, copy=False).T > 0)
    return near


def local_correlations(
    data: FloatArray,
    calculated: FloatArray,
    grid: Volume,
    residues: Residues,
    radius: float,
) -> LocalCorrelations:
    """Correlate a map with the model's over the voxels near each residue and each chain.

    Parameters
    ----------
    data, calculated
        float32 [nz, ny, nx].
    grid
        Their place in the frame of `residues`; its voxels are not used.
    radius
        Å, from `local_radius`.
    """
    found = np.full(len(residues), np.nan)
    chains: dict[str, float] = {}
    for chain in dict.fromkeys(residues.chains):
        covered = np.zeros(grid.shape, np.bool_)
        for number in np.flatnonzero(np.array(residues.chains) == chain):
            first, last = residues.edges[number : number + 2]
            box, near = _near(residues.positions[first:last] - grid.origin, grid, radius)
            found[number] = _pearson(data[box][near], calculated[box][near])
            covered[box] |= near
        chains[chain] = _pearson(data[covered], calculated[covered])
    return LocalCorrelations(found, chains)


def _near(
    positions: NDArray[np.float64], grid: Volume, radius: float
) -> tuple[tuple[NDArray[np.intp], ...], NDArray[np.bool_]]:
    """Return a box around positions (Å from voxel 0) as indices, and its voxels within reach."""
    places, squares = [], []
    for axis in range(3):
        count, step = grid.shape[2 - axis], grid.voxel_size[axis]
        along = positions[:, axis]
        low = int(np.ceil((along.min() - radius) / step))
        high = int(np.floor((along.max() + radius) / step))
        indices = np.arange(low, min(high, low + count - 1) + 1)
        apart = indices * step - along[:, None]
        apart -= count * step * np.round(apart / (count * step))
        places.append(indices % count)
        squares.append(apart**2)
    x, y, z = squares
    distances = (z[:, :, None, None] + y[:, None, :, None] + x[:, None, None, :]).min(axis=0)
    return np.ix_(places[2], places[1], places[0]), distances <= radius**2


def _pearson(first: FloatArray, second: FloatArray) -> float:
    if first.size < _MINIMUM_VOXELS:
        return float("nan")
    a, b = first - first.mean(dtype=np.float64), second - second.mean(dtype=np.float64)
    norm = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / norm if norm > 0 else 0.0
