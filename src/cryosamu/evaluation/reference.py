"""What a model says of the map on a grid, worked out once for all the maps held against it."""

from __future__ import annotations

from functools import cached_property

import gemmi
import numpy as np
import scipy.fft
from numpy.typing import NDArray

from cryosamu.evaluation.frame import atoms_inside, check_comparable, in_box
from cryosamu.evaluation.local_correlation import image_radius, local_radius, near_atoms
from cryosamu.evaluation.masks import model_mask, soft_model_mask
from cryosamu.evaluation.q_score import free_radii
from cryosamu.evaluation.reflections import Reflections, sorted_reflections
from cryosamu.evaluation.residues import Residues, residues_of
from cryosamu.evaluation.structure_factors import corner_spacing, model_coefficients
from cryosamu.volume.volume import FloatArray, Volume


class ModelReference:
    """A model seen on a map's grid at a resolution; each part is made when first asked for.

    Attributes
    ----------
    grid
        Gives the grid; its voxels are not used.
    resolution
        Å.
    """

    def __init__(self, grid: Volume, structure: gemmi.Structure, resolution: float) -> None:
        check_comparable(grid, structure, resolution)
        self.grid = grid
        self.resolution = resolution
        self._structure = structure

    @cached_property
    def boxed(self) -> gemmi.Structure:
        """The model in the P1 box of the map."""
        return in_box(self._structure, self.grid)

    @cached_property
    def atoms_inside(self) -> float:
        """Share of the atoms in the box."""
        return atoms_inside(self.grid, self._structure)

    @cached_property
    def coefficients(self) -> NDArray[np.complex64]:
        """Structure factors to the box's corner, complex64 [nz, ny, nx // 2 + 1]."""
        return model_coefficients(self.boxed, self.grid, corner_spacing(self.grid))

    @cached_property
    def calculated(self) -> FloatArray:
        """The model's map at the resolution, float32 [nz, ny, nx], of no particular scale."""
        coefficients = model_coefficients(self.boxed, self.grid, self.resolution)
        data = scipy.fft.irfftn(coefficients, s=self.grid.shape, workers=-1, overwrite_x=True)
        return np.asarray(data, np.float32)

    @cached_property
    def inside(self) -> NDArray[np.bool_]:
        """Voxels inside the model's mask, bool [nz, ny, nx]."""
        return model_mask(self.boxed, self.grid)

    @cached_property
    def soft_mask(self) -> FloatArray:
        """The soft mask of the masked FSC, float32 [nz, ny, nx]."""
        return soft_model_mask(self.boxed, self.grid, self.resolution)

    @cached_property
    def reflections(self) -> Reflections:
        """The unique reflections of the grid, finest first."""
        return sorted_reflections(self.grid)

    @cached_property
    def mean_b_factor(self) -> float:
        """Mean over all atoms, Å²: of anisotropic ones the isotropic equivalent."""
        return float(np.mean([_b_equivalent(site.atom) for site in self._structure[0].all()]))

    @cached_property
    def in_image(self) -> NDArray[np.bool_]:
        """Voxels that the image of an atom reaches, bool [nz, ny, nx]."""
        radius = image_radius(self.resolution, self.mean_b_factor)
        return near_atoms(self.boxed[0], self.grid, radius)

    @cached_property
    def local_radius(self) -> float:
        """Å round the atoms over which residues and chains are correlated."""
        return local_radius(self.resolution, self.mean_b_factor)

    @cached_property
    def residues(self) -> Residues:
        """The residues where the model has them."""
        return residues_of(self._structure[0])

    @cached_property
    def heavy_positions(self) -> NDArray[np.float64]:
        """Positions of all atoms but hydrogens, float64 [atoms, 3]."""
        return self.residues.positions[~self.residues.hydrogen]

    @cached_property
    def free_radii(self) -> NDArray[np.float32]:
        """How far each heavy atom's density is its own, float32 [atoms, directions], Å."""
        return free_radii(self.heavy_positions)

    @cached_property
    def calculated_fully(self) -> FloatArray:
        """The model's map with all that the grid holds, float32 [nz, ny, nx]."""
        data = scipy.fft.irfftn(self.coefficients, s=self.grid.shape, workers=-1)
        return np.asarray(data, np.float32)


def _b_equivalent(atom: gemmi.Atom) -> float:
    if atom.aniso.nonzero():
        return float(8 * np.pi**2 * atom.aniso.trace() / 3)
    return float(atom.b_iso)
