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
    not periodic). This is TEMPy's and molmap's density.

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
    density = np.zeros(grid.shape, np.float32)
    centres = grid.to_grid(atoms.positions)
    voxel = np.asarray(grid.voxel_size)
    limits = np.asarray(grid.shape[::-1])
    for centre, width, weight in zip(centres, sigmas, weights, strict=True):
        reach = _CUTOFF_SIGMAS * width / voxel
        low = np.maximum(np.ceil(centre - reach), 0).astype(int)
        high = np.minimum(np.floor(centre + reach) + 1, limits).astype(int)
        if (low >= high).any():
            continue
        x, y, z = (
            np.exp(-0.5 * ((np.arange(a, b) - c) * step / width) ** 2)
            for a, b, c, step in zip(low, high, centre, voxel, strict=True)
        )
        amplitude = weight / (2 * math.pi * width**2) ** 1.5
        block = (amplitude * z)[:, None, None] * (y[:, None] * x[None, :])
        density[low[2] : high[2], low[1] : high[1], low[0] : high[0]] += block.astype(np.float32)
    return Volume(density, grid.voxel_size, grid.origin, grid.frame)
