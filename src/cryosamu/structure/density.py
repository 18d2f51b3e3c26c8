"""Density simulated from a model as a sum of Gaussians: the training target."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cryosamu.structure.model import Atoms
from cryosamu.volume.volume import Volume

SigmaRule = Literal["cryoten", "tempy", "chimerax", "eman"]
_CUTOFF_SIGMAS = 4.0
_BATCH_ATOMS = 8192


def gaussian_sigma(resolution: float, rule: SigmaRule) -> float:
    """Return the standard deviation in Å of the Gaussian that stands for `resolution` in Å.

    Rules
    -----
    cryoten : k = (π / 0.9 R)², σ = 1 / √(2k) (CryoTEN)
    tempy : σ = 0.356 R (TEMPy's StructureBlurrer)
    chimerax : σ = 0.225 R (ChimeraX molmap)
    eman : k = (π / (2.4 + 0.8 R))² (EMAN, the EMReady family)
    """
    match rule:
        case "cryoten":
            return 0.9 * resolution / (math.pi * math.sqrt(2))
        case "tempy":
            return 0.356 * resolution
        case "chimerax":
            return 0.225 * resolution
        case "eman":
            return (2.4 + 0.8 * resolution) / (math.pi * math.sqrt(2))


def simulate_density(
    atoms: Atoms,
    grid: Volume,
    sigma: float | NDArray[np.float64],
    weights: NDArray[np.float64] | None = None,
) -> Volume:
    """Return ρ(x) = Σ θ_i w_i exp(−|x − r_i|² / 2σ_i²), θ_i = (2πσ_i²)^(−3/2), on a map's grid.

    Each atom is cut off at 4σ along each axis; what lies outside the box is dropped (the box is
    not periodic). This is TEMPy's and molmap's density, exact up to the cut-off: no atom is moved
    to a voxel.

    Parameters
    ----------
    atoms
        Positions in the model frame, Å.
    grid
        Gives shape, voxel size and origin; its voxels are not used.
    sigma
        Å; one for all atoms, or one an atom.
    weights
        [atoms]; atomic number times occupancy where None.
    """
    weights = atoms.atomic_numbers * atoms.occupancies if weights is None else weights
    sigmas = np.broadcast_to(np.asarray(sigma, np.float64), weights.shape)
    # Atoms of like width share a block size, so that they can be spread together.
    order = np.argsort(sigmas, kind="stable")
    centres = grid.to_grid(atoms.positions)[order]
    sigmas, weights = sigmas[order], np.asarray(weights, np.float64)[order]
    density = np.zeros(grid.shape, np.float32)
    for start in range(0, len(order), _BATCH_ATOMS):
        batch = slice(start, start + _BATCH_ATOMS)
        _spread(density, centres[batch], sigmas[batch], weights[batch], grid.voxel_size)
    return Volume(density, grid.voxel_size, grid.origin, grid.frame)


def _spread(
    density: NDArray[np.float32],
    centres: NDArray[np.float64],
    sigmas: NDArray[np.float64],
    weights: NDArray[np.float64],
    voxel_size: tuple[float, float, float],
) -> None:
    """Add one batch of Gaussians to `density` [nz, ny, nx], in place.

    A Gaussian is the product of three profiles, one an axis; all atoms of the batch are added at
    one offset in z and y at a time.
    """
    (x, gx), (y, gy), (z, gz) = (
        _profiles(centres[:, axis], sigmas / voxel_size[axis], density.shape[2 - axis])
        for axis in range(3)
    )
    _, ny, nx = density.shape
    gz *= (weights / (2 * math.pi * sigmas**2) ** 1.5)[:, None]
    flat = density.reshape(-1)
    for k in range(z.shape[1]):
        for j in range(y.shape[1]):
            row = (z[:, k] * ny + y[:, j]) * nx
            values = (gz[:, k] * gy[:, j])[:, None] * gx
            np.add.at(flat, (row[:, None] + x).ravel(), values.ravel().astype(np.float32))


def _profiles(
    centres: NDArray[np.float64], sigmas: NDArray[np.float64], length: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return voxel indices and Gaussian values [atoms, reach] along one axis, in voxels.

    Beyond the cut-off or the box the value is 0 and the index is that of an edge voxel.
    """
    reach = math.ceil(2 * _CUTOFF_SIGMAS * float(sigmas.max())) + 1
    # An atom far outside is brought near, where it still reaches no voxel.
    near = np.clip(centres, -reach, length + reach)
    first = np.ceil(near - _CUTOFF_SIGMAS * sigmas).astype(np.int64)
    indices = first[:, None] + np.arange(reach)
    deviations = (indices - near[:, None]) / sigmas[:, None]
    values = np.exp(-0.5 * deviations**2)
    values[(np.abs(deviations) > _CUTOFF_SIGMAS) | (indices < 0) | (indices >= length)] = 0
    return np.clip(indices, 0, length - 1), values
