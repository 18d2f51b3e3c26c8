"""What a model says of a map: its Fourier coefficients and its mask, on the map's own grid.

The map is one period of a P1 box whose corner is voxel (0, 0, 0): the model's sites are moved by
minus the map's origin, so that neither the header's frame nor the box's place in space matters.
"""

from __future__ import annotations

import gemmi
import numpy as np
import scipy.fft
from numpy.typing import NDArray

from cryosamu.errors import MapError, ModelError
from cryosamu.volume.volume import Volume

MINIMUM_INSIDE = 0.1
"""Share of the atoms that must lie in the box for a comparison to mean anything."""

SOLVENT_RADIUS = 1.1
"""Å beyond the van der Waals radius that a mask reaches before it is shrunk."""

SHRINK_RADIUS = 0.9
"""Å by which a mask is shrunk again from outside."""

_OVERSAMPLING = 1.5
_NYQUIST_TOLERANCE = 0.01


def check_comparable(volume: Volume, structure: gemmi.Structure, resolution: float) -> float:
    """Return the share of atoms in the box, or say why map and model cannot be compared.

    Raises
    ------
    MapError
        When the map is constant, or too coarse to hold `resolution` (Å).
    ModelError
        When fewer than a tenth of the atoms are in the box.
    """
    if not resolution > 0:
        raise MapError(f"the resolution must be a positive number of Å, not {resolution:g}.")
    nyquist = 2 * max(volume.voxel_size)
    if resolution < nyquist * (1 - _NYQUIST_TOLERANCE):
        raise MapError(
            f"a resolution of {resolution:g} Å is finer than this map's voxels can hold "
            f"({nyquist:.2f} Å); check the resolution and the voxel size."
        )
    if volume.data.min() == volume.data.max():
        raise MapError("the map is constant: there is no density to compare with the model.")
    share = atoms_inside(volume, structure)
    if share < MINIMUM_INSIDE:
        raise ModelError(
            f"the model lies outside the map: {100 * share:.0f} % of its atoms are in the box; "
            "is it the model of this map, in the map's frame?"
        )
    return share


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


def model_coefficients(
    boxed: gemmi.Structure, volume: Volume, d_min: float
) -> NDArray[np.complex64]:
    """Return the model's electron structure factors as a half-complex transform of the grid.

    Scattering factors of ITC vol. C 4.3.2.2, deposited B factors and occupancies, all atoms. The
    Gaussians are laid on a finer grid with an extra blur that is taken off again afterwards.

    Parameters
    ----------
    boxed
        From `in_box`.
    d_min
        Å; coefficients with d <= d_min are zero, as are F000 and |h| > (n − 1) // 2.

    Returns
    -------
    complex64 [nz, ny, nx // 2 + 1]
        In the phase convention and order of `scipy.fft.rfftn`.
    """
    calculator = gemmi.DensityCalculatorE()
    calculator.d_min = d_min
    calculator.rate = _OVERSAMPLING
    calculator.set_grid_cell_and_spacegroup(boxed)
    calculator.set_refmac_compatible_blur(boxed[0])
    calculator.put_model_density_on_grid(boxed[0])
    fine = np.array(calculator.grid, copy=False).T
    coefficients = _cropped_transform(fine, volume.shape)
    s_squared = box_frequency_squared(volume)
    with np.errstate(over="ignore"):
        gain = np.exp(np.float32(calculator.blur / 4) * s_squared)
    gain[(s_squared >= 1 / d_min**2) | ~measured(volume.shape)] = 0
    coefficients *= gain
    return coefficients


def _cropped_transform(
    fine: NDArray[np.float32], shape: tuple[int, int, int]
) -> NDArray[np.complex64]:
    """Return rfftn of a fine grid, cut to the frequencies of `shape` after each axis."""
    nz, ny, nx = shape
    out = scipy.fft.rfft(fine, axis=2, workers=-1)[:, :, : nx // 2 + 1]
    out = scipy.fft.fft(out, axis=1, workers=-1)
    out = np.take(out, _wrapped(ny, fine.shape[1]), axis=1)
    out = scipy.fft.fft(out, axis=0, workers=-1)
    return np.take(out, _wrapped(nz, fine.shape[0]), axis=0)


def _wrapped(count: int, fine_count: int) -> NDArray[np.intp]:
    return np.fft.fftfreq(count, 1 / count).astype(np.intp) % fine_count


def box_frequency_squared(volume: Volume) -> NDArray[np.float32]:
    """Return s² in 1/Å² of the half-complex transform, [nz, ny, nx // 2 + 1]."""
    from cryosamu.volume.fourier import spatial_frequency_squared

    return spatial_frequency_squared(volume)


def measured(shape: tuple[int, int, int]) -> NDArray[np.bool_]:
    """Return where |h| <= (n − 1) // 2 on every axis and hkl is not 000."""
    inside = [np.abs(np.fft.fftfreq(count, 1 / count)) <= (count - 1) // 2 for count in shape]
    inside[2] = np.arange(shape[2] // 2 + 1) <= (shape[2] - 1) // 2
    mask: NDArray[np.bool_] = (
        inside[0][:, None, None] & inside[1][None, :, None] & inside[2][None, None, :]
    )
    mask[0, 0, 0] = False
    return mask


def model_mask(boxed: gemmi.Structure, volume: Volume, extra: float = 0.0) -> NDArray[np.bool_]:
    """Return the voxels inside the model, as cctbx's solvent mask has them.

    Inside is closer than the van der Waals radius + `extra` + 1.1 Å to an atom, unless a voxel
    that is not so lies within 0.9 Å. Periodic; hydrogens and atoms of zero occupancy count.

    Returns
    -------
    bool [nz, ny, nx]
    """
    nz, ny, nx = volume.shape
    grid = gemmi.FloatGrid(nx, ny, nz)
    grid.spacegroup = gemmi.SpaceGroup("P 1")
    grid.set_unit_cell(boxed.cell)
    masker = gemmi.SolventMasker(gemmi.AtomicRadiiSet.Cctbx)
    masker.rprobe = SOLVENT_RADIUS + extra
    masker.rshrink = SHRINK_RADIUS
    masker.ignore_hydrogen = False
    masker.ignore_zero_occupancy_atoms = False
    masker.island_min_volume = 0
    masker.put_mask_on_float_grid(grid, boxed[0])
    inside: NDArray[np.bool_] = np.ascontiguousarray(np.array(grid, copy=False).T < 0.5)
    return inside
