"""A rigid motion in the model frame: a rotation, then a translation."""

from __future__ import annotations

import gemmi
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

_Row = tuple[float, float, float]


class RigidMotion(BaseModel):
    """x ↦ rotation · x + translation.

    Attributes
    ----------
    rotation
        Three rows of three; model frame, columns x, y, z.
    translation
        (x, y, z) in Å.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    rotation: tuple[_Row, _Row, _Row] = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    translation: _Row = (0.0, 0.0, 0.0)

    @classmethod
    def about(
        cls,
        centre: NDArray[np.float64],
        rotation: NDArray[np.float64],
        shift: NDArray[np.float64],
    ) -> RigidMotion:
        """Return the rotation [3, 3] about `centre` (x, y, z in Å), followed by a shift in Å."""
        first, second, third = (_row(row) for row in rotation)
        return cls(
            rotation=(first, second, third), translation=_row(centre - rotation @ centre + shift)
        )

    def apply(self, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return moved positions, [..., 3] in Å."""
        moved: NDArray[np.float64] = positions @ np.array(self.rotation).T + self.translation
        return moved

    @property
    def angle(self) -> float:
        """The rotation's angle in degrees, 0 to 180."""
        matrix = np.array(self.rotation)
        # By both sine and cosine: the cosine alone is blind to small angles.
        sine = np.linalg.norm(matrix - matrix.T) / np.sqrt(2)
        return float(np.degrees(np.arctan2(sine, np.trace(matrix) - 1)))


def move_structure(structure: gemmi.Structure, motion: RigidMotion) -> None:
    """Move all atoms, ligands and waters too, with their ADPs and symmetry operators, in place.

    An operator O of an assembly or of non-crystallographic symmetry becomes T O T⁻¹, so that the
    copies it makes move along. A crystal's cell and space group would not, and are dropped: a
    model in a cryo-EM map has neither.
    """
    move = gemmi.Transform(gemmi.Mat33(motion.rotation), gemmi.Vec3(*motion.translation))
    back = move.inverse()
    for model in structure:
        model.transform_pos_and_adp(move)
    for assembly in structure.assemblies:
        for generator in assembly.generators:
            for operator in generator.operators:
                operator.transform = move.combine(operator.transform).combine(back)
    moved = [
        gemmi.NcsOp(move.combine(one.tr).combine(back), one.id, one.given) for one in structure.ncs
    ]
    structure.ncs.clear()
    for one in moved:
        structure.ncs.append(one)
    structure.has_origx = False
    structure.cell, structure.spacegroup_hm = gemmi.UnitCell(), "P 1"


def _row(values: NDArray[np.float64]) -> _Row:
    x, y, z = (float(value) for value in values)
    return x, y, z
