"""Bringing a model into the frame of its map, and refusing pairs that cannot be compared.

The map is one period of a P1 box whose corner is voxel (0, 0, 0): the model's sites are moved by
minus the map's origin, so that neither the header's frame nor the box's place in space matters.
"""

from __future__ import annotations

import math

import gemmi
import numpy as np

from cryosamu.errors import MapError, ModelError
from cryosamu.volume.volume import FloatArray, Volume

MINIMUM_INSIDE = 0.1
"""Share of the atoms that must lie in the box for a comparison to mean anything."""

_NYQUIST_TOLERANCE = 0.01
_FEWEST_PERIODS = 2
"""Resolutions that the shortest edge of the box must hold: coarser, nothing is left to compare."""


def check_comparable(volume: Volume, structure: gemmi.Structure, resolution: float) -> None:
    """Say why map and model cannot be compared at `resolution` Å.

    Raises
    ------
    MapError
        When the map's voxels or box cannot hold `resolution`, or it is not positive.
    ModelError
        When fewer than a tenth of the atoms are in the box, or an atom has no place.
    """
    check_resolution(volume, resolution)
    atoms = (site.atom for site in structure[0].all())
    if not all(math.isfinite(value) for a in atoms for value in (*a.pos.tolist(), a.b_iso, a.occ)):
        raise ModelError(
            "an atom of the model has a position, B factor or occupancy that is not a number; "
            "check the file."
        )
    check_inside(volume, structure)


def check_inside(volume: Volume, structure: gemmi.Structure) -> None:
    """Refuse a model that is elsewhere.

    Raises
    ------
    ModelError
        When fewer than a tenth of the atoms are in the box.
    """
    share = atoms_inside(volume, structure)
    if share < MINIMUM_INSIDE:
        raise ModelError(
            f"the model lies outside the map: {100 * share:.0f} % of its atoms are in the box; "
            "is it the model of this map, in this map's frame?"
        )


def check_resolution(volume: Volume, resolution: float) -> None:
    """Refuse a resolution in Å that is none, or that the map's voxels or box cannot hold.

    Raises
    ------
    MapError
        When it is not positive, finer than twice the voxel size, or coarser than half the shortest
        edge of the box.
    """
    if not 0 < resolution < np.inf:
        raise MapError(f"the resolution must be a positive number of Å, not {resolution:g}.")
    nyquist = 2 * max(volume.voxel_size)
    if resolution < nyquist * (1 - _NYQUIST_TOLERANCE):
        raise MapError(
            f"a resolution of {resolution:g} Å is finer than this map's voxels can hold "
            f"({nyquist:.2f} Å); check the resolution and the voxel size."
        )
    if resolution * _FEWEST_PERIODS > min(volume.box):
        raise MapError(
            f"a resolution of {resolution:g} Å is too coarse for a box of {min(volume.box):.0f} Å; "
            "check the resolution and the voxel size."
        )


def check_not_constant(data: FloatArray) -> None:
    """Refuse a map without contrast, whose correlation with anything is undefined.

    Raises
    ------
    MapError
        When all voxels have the same value.
    """
    if data.min() == data.max():
        raise MapError("the map is constant: there is no density to compare with the model.")


def atoms_inside(volume: Volume, structure: gemmi.Structure) -> float:
    """Return the share of the model's atoms whose nearest voxel is in the box."""
    positions = np.array([site.atom.pos.tolist() for site in structure[0].all()])
    indices = volume.to_grid(positions)
    inside = (indices >= -0.5) & (indices < np.array(volume.shape[::-1]) - 0.5)
    return float(inside.all(axis=1).mean())


def in_box(structure: gemmi.Structure, volume: Volume) -> gemmi.Structure:
    """Return a copy of the model in the P1 box of the map, whose corner is voxel (0, 0, 0)."""
    moved = structure.clone()
    moved.spacegroup_hm = "P 1"
    moved.cell = gemmi.UnitCell(*volume.box, 90, 90, 90)
    shift = gemmi.Vec3(*(-length for length in volume.origin))
    moved[0].transform_pos_and_adp(gemmi.Transform(gemmi.Mat33(), shift))
    return moved
