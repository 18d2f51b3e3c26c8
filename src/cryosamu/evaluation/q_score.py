"""Q-score: how much the density around an atom looks like that of a well resolved atom.

G. Pintilie et al. (2020), Nature Methods 17, 328-334, in the form of cctbx 2025.11
(`cctbx.maptbx.qscore`): 32 directions, 20 shells of 0.1 to 2.0 Å, trilinear interpolation,
reference σ = 0.6 Å. EMDB's convention differs in its reference (σ = 0.4 Å).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from scipy.spatial import KDTree

from cryosamu.volume.volume import FloatArray, Volume

DEFINITION = "cctbx-2025.11 qscore, sigma 0.6"

REFERENCE_SIGMA = 0.6
DIRECTIONS = 32
SHELLS = np.linspace(0.1, 2.0, 20)
"""Å."""

_CHUNK_ATOMS = 2000
_FLAT = 1e-9
"""Contrast over size of the density below which it is constant."""


def free_radii(positions: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return how far one can go from each atom before another one is nearer.

    Parameters
    ----------
    positions
        float64 [atoms, 3], Å.

    Returns
    -------
    float32 [atoms, directions], Å; infinite where nothing is in the way
    """
    directions = sphere_directions(DIRECTIONS)
    free = np.full((len(positions), DIRECTIONS), np.inf, np.float32)
    tree = KDTree(positions)
    for first in range(0, len(positions), _CHUNK_ATOMS):
        chunk = KDTree(positions[first : first + _CHUNK_ATOMS])
        pairs = chunk.sparse_distance_matrix(tree, 2 * SHELLS[-1], output_type="coo_matrix")
        own, other = pairs.row, pairs.col
        apart = positions[other] - positions[own + first]
        squared = (apart**2).sum(axis=1)
        ahead = apart @ directions.T
        # The plane midway between two atoms is met where 2 r (u · d) = d².
        with np.errstate(divide="ignore", invalid="ignore"):
            met = np.where(ahead > 0, squared[:, None] / (2 * ahead), np.inf)
        np.minimum.at(free, own + first, met.astype(np.float32))
    return free


def sphere_directions(count: int) -> NDArray[np.float64]:
    """Return unit vectors on a spiral over the sphere, [count, 3]."""
    heights = -1 + 2 * np.arange(count) / (count - 1)
    turns = np.zeros(count)
    turns[1:-1] = 3.6 / np.sqrt(count * (1 - heights[1:-1] ** 2))
    angles = np.cumsum(turns)
    across = np.sqrt(np.maximum(1 - heights**2, 0))
    return np.stack([across * np.cos(angles), across * np.sin(angles), heights], axis=1)


def q_scores(
    data: FloatArray,
    grid: Volume,
    positions: NDArray[np.float64],
    free: NDArray[np.float32],
    sigma: float = REFERENCE_SIGMA,
) -> NDArray[np.float64]:
    """Return the Q-score of each atom.

    Points outside the box count as zero density, as in cctbx.

    Parameters
    ----------
    data
        float32 [nz, ny, nx].
    grid
        Its place; the voxels are not used.
    positions
        float64 [atoms, 3], Å, model frame, without hydrogens.
    free
        From `free_radii` of the same atoms.
    sigma
        Width of the reference Gaussian, Å.

    Returns
    -------
    float64 [atoms], -1 to 1; 0 where the density is flat or no point is the atom's own
    """
    offsets = SHELLS[:, None, None] * sphere_directions(DIRECTIONS)
    reference = np.broadcast_to(np.exp(-0.5 * (SHELLS / sigma) ** 2)[:, None], offsets.shape[:2])
    scores = np.empty(len(positions))
    for first in range(0, len(positions), _CHUNK_ATOMS):
        chunk = slice(first, first + _CHUNK_ATOMS)
        own = SHELLS[:, None] <= free[chunk, None, :]
        points = positions[chunk, None, None, :] + offsets
        density = np.zeros(own.shape)
        density[own] = _sample(data, grid, points[own])
        scores[chunk] = _correlate(density, np.broadcast_to(reference, own.shape), own)
    return scores


def _sample(data: FloatArray, grid: Volume, points: NDArray[np.float64]) -> NDArray[np.float64]:
    indices = grid.to_grid(points)
    sampled = map_coordinates(
        data, indices[:, ::-1].T, order=1, mode="grid-wrap", output=np.float64
    )
    counts = np.array(grid.shape[::-1])
    outside = ((indices < 0) | (indices > counts)).any(axis=1)
    sampled[outside] = 0
    return np.asarray(sampled, np.float64)


def _correlate(
    density: NDArray[np.float64], reference: NDArray[np.float64], own: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return Pearson's correlation over each atom's own points, [atoms, shells, directions]."""
    axes = (1, 2)
    count = np.maximum(own.sum(axis=axes, keepdims=True), 1)
    a, b = (
        np.where(own, values - (values * own).sum(axis=axes, keepdims=True) / count, 0)
        for values in (density, reference)
    )
    spread = (a**2).sum(axis=axes)
    # What interpolation's rounding leaves of a constant is no contrast.
    spread[spread <= _FLAT**2 * (density**2).sum(axis=axes)] = 0
    norm = np.sqrt(spread * (b**2).sum(axis=axes))
    covariance = (a * b).sum(axis=axes)
    scores: NDArray[np.float64] = np.divide(
        covariance, norm, out=np.zeros_like(norm), where=norm > 0
    )
    return scores
