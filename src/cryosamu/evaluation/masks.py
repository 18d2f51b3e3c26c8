"""Masks of a model on a map's grid, as cctbx 2025.11 makes them (`mmtbx.masks`)."""

from __future__ import annotations

import gemmi
import numpy as np
from numpy.typing import NDArray

from cryosamu.volume.fourier import multiply_spectrum, spatial_frequency_squared
from cryosamu.volume.volume import FloatArray, Volume

PROBE_RADIUS = 1.1
"""Å beyond the van der Waals radius that the mask reaches before it is shrunk."""

SHRINK_RADIUS = 0.9
"""Å by which the mask is shrunk again from outside; a voxel at just this distance stays."""

_JUST_BELOW = 1 - 1e-12
"""gemmi counts that voxel, cctbx does not: at voxels of 0.9 Å a quarter of the mask hangs on it."""

SOFT_RADIUS_RATIO = 2.0
"""Both the widening and the σ of the soft mask, as multiples of the resolution."""


def model_mask(boxed: gemmi.Structure, volume: Volume, extra: float = 0.0) -> NDArray[np.bool_]:
    """Return the voxels inside the model.

    Inside is what is closer than the van der Waals radius + `extra` + 1.1 Å to an atom and has
    no voxel outside within 0.9 Å. (cctbx tells a core closer than the radius itself apart; a core
    voxel never has an outside voxel that near, so the core needs no care.) Periodic; hydrogens
    and atoms of zero occupancy count; radii as in cctbx (C 1.775, N 1.50, O 1.45, S 1.80 Å …).

    Parameters
    ----------
    boxed
        The model in the map's box, from `frame.in_box`.
    volume
        Gives the grid.
    extra
        Å.

    Returns
    -------
    bool [nz, ny, nx]
    """
    nz, ny, nx = volume.shape
    grid = gemmi.FloatGrid(nx, ny, nz)
    grid.spacegroup = gemmi.SpaceGroup("P 1")
    grid.set_unit_cell(boxed.cell)
    masker = gemmi.SolventMasker(gemmi.AtomicRadiiSet.Cctbx)
    masker.rprobe = PROBE_RADIUS + extra
    masker.rshrink = SHRINK_RADIUS * _JUST_BELOW
    masker.ignore_hydrogen = False
    masker.ignore_zero_occupancy_atoms = False
    masker.island_min_volume = 0
    masker.put_mask_on_float_grid(grid, boxed[0])
    inside: NDArray[np.bool_] = np.ascontiguousarray(np.array(grid, copy=False).T < 0.5)
    return inside


def soft_model_mask(boxed: gemmi.Structure, volume: Volume, resolution: float) -> FloatArray:
    """Return mtriage's mask: the model's, widened by 2 · resolution and blurred by as much.

    Returns
    -------
    float32 [nz, ny, nx], from 0 to about 1
    """
    radius = SOFT_RADIUS_RATIO * resolution
    hard = volume.with_data(model_mask(boxed, volume, extra=radius).astype(np.float32))
    return np.maximum(gaussian_blur(hard, radius).data, 0)


def gaussian_blur(volume: Volume, sigma: float) -> Volume:
    """Return a map convolved with a Gaussian of standard deviation `sigma` Å, periodically."""
    gain = np.exp(np.float32(-2 * np.pi**2 * sigma**2) * spatial_frequency_squared(volume))
    return multiply_spectrum(volume, gain)
