"""Which voxels belong to protein, nucleic acid, glycans and ligands."""

from __future__ import annotations

import gemmi
import numpy as np
from numpy.typing import NDArray

from cryosamu.evaluation.frame import in_box
from cryosamu.volume.volume import Volume

_NEAR = 3.0
"""Å from an atom."""


def kinds_near(structure: gemmi.Structure, volume: Volume) -> dict[str, NDArray[np.bool_]]:
    """Return kind of molecule to the voxels within 3 Å of its atoms, bool [nz, ny, nx].

    protein, nucleic, glycan, ligand, those that the model has; and `unmodelled`, near no atom.
    Waters count as nothing.
    """
    boxed = in_box(structure, volume)
    grids: dict[str, gemmi.FloatGrid] = {}
    for chain in boxed[0]:
        for residue in chain:
            if residue.is_water():
                continue
            kind = kind_of(residue)
            grid = grids.setdefault(kind, _empty(boxed, volume))
            for atom in residue:
                grid.set_points_around(atom.pos, _NEAR, 1)
    near = {kind: np.array(grid, copy=False).T > 0 for kind, grid in grids.items()}
    anything = np.zeros(volume.shape, np.bool_)
    for voxels in near.values():
        anything |= voxels
    return {**near, "unmodelled": ~anything}


def kind_of(residue: gemmi.Residue) -> str:
    """Return protein, nucleic, glycan or ligand; not asked of waters."""
    info = gemmi.find_tabulated_residue(residue.name)
    if info.is_amino_acid():
        return "protein"
    if info.is_nucleic_acid():
        return "nucleic"
    if info.kind in (gemmi.ResidueKind.PYR, gemmi.ResidueKind.KET):
        return "glycan"
    return "ligand"


def _empty(boxed: gemmi.Structure, volume: Volume) -> gemmi.FloatGrid:
    nz, ny, nx = volume.shape
    grid = gemmi.FloatGrid(nx, ny, nz)
    grid.spacegroup = gemmi.SpaceGroup("P 1")
    grid.set_unit_cell(boxed.cell)
    return grid
