"""Simulated cryo-EM maps: a model's density, degraded as an experiment at 4–8 Å degrades it.

What is modelled: mobility that changes smoothly along the molecule (B factors), the loss of
detail with resolution, coloured noise that reaches a little finer than the signal, solvent that
is not empty, a sharpening that is rarely the ideal one, and the mask that many depositors apply.
What is not: anisotropic resolution, a changing CTF, alignment errors that correlate with shape,
other conformations. A network that learns from such maps must be shown to hold on real ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy.ndimage
import scipy.special
from numpy.typing import NDArray

from cryosamu.errors import ModelError
from cryosamu.structure.density import simulate_density
from cryosamu.structure.model import Atoms
from cryosamu.volume.fourier import low_pass, sharpen
from cryosamu.volume.volume import FloatArray, Volume

ATOM_B_FACTOR = 13.5
"""Å²: C, N and O in proteins fall off so as electron scatterers, to 4 Å (ITC C 4.3.2.2)."""

MOLECULE_RADIUS = 3.0
"""Å from an atom's centre that count as inside the molecule: a C–C contact and half a water."""

_FIELD_WAVES = 256
_FINEST_SIGMA_VOXELS = 0.85


@dataclass(frozen=True)
class SimulationParameters:
    """How a map is degraded; with the seed of its generator it says all of a simulated map.

    Attributes
    ----------
    resolution
        Å; the signal's low-pass, and the resolution to report.
    edge_width
        Width of the low-pass's cosine edge as a fraction of 1 / resolution.
    b_factor
        Mean B factor of the atoms, Å².
    b_factor_variation
        Standard deviation of the B factors over their mean; they are gamma distributed.
    b_factor_length
        Å over which the B factors change: a residue's atoms share theirs, nearly.
    sharpening_b_factor
        Å²; negative sharpens. Signal and noise alike, as after a reconstruction.
    noise_to_signal
        Standard deviation of the final noise over that of the final signal, in the molecule.
    noise_resolution_ratio
        The noise is low-passed at this times `resolution`; below 1 it reaches finer.
    noise_b_factor
        Å²; colour of the noise before sharpening: amplitude ∝ exp(−B s² / 4).
    solvent_level
        Density of the solvent over the mean density in the molecule.
    mask_radius
        Å from the atoms beyond which the map is set to zero; None leaves the noise everywhere.
    mask_edge
        Å over which the mask falls from 1 to 0, as a cosine.
    """

    resolution: float
    edge_width: float = 0.3
    b_factor: float = 100.0
    b_factor_variation: float = 0.4
    b_factor_length: float = 8.0
    sharpening_b_factor: float = 0.0
    noise_to_signal: float = 0.2
    noise_resolution_ratio: float = 0.9
    noise_b_factor: float = 50.0
    solvent_level: float = 0.2
    mask_radius: float | None = None
    mask_edge: float = 6.0


def draw_parameters(resolution: float, rng: np.random.Generator) -> SimulationParameters:
    """Draw what differs between experiments that report the same resolution.

    The signal's B factor grows with the square of the resolution, as it does between experiments;
    sharpening misses the ideal by up to 60 Å² either way; half of the maps are masked.
    """
    b_factor = float(rng.uniform(4.0, 8.0)) * resolution**2
    masked = bool(rng.random() < 0.5)
    radius = float(rng.uniform(5.0, 9.0))
    return SimulationParameters(
        resolution=resolution,
        edge_width=float(rng.uniform(0.2, 0.4)),
        b_factor=b_factor,
        b_factor_variation=float(rng.uniform(0.2, 0.6)),
        sharpening_b_factor=float(rng.uniform(-60.0, 60.0)),
        noise_to_signal=float(rng.uniform(0.05, 0.5)),
        noise_resolution_ratio=float(rng.uniform(0.8, 0.95)),
        noise_b_factor=float(rng.uniform(0.3, 0.7)) * b_factor,
        solvent_level=float(rng.uniform(0.0, 0.4)),
        mask_radius=radius if masked else None,
    )


def simulate_map(
    atoms: Atoms, grid: Volume, parameters: SimulationParameters, rng: np.random.Generator
) -> Volume:
    """Return a map as an experiment would give it, on the grid and in the frame of `grid`.

    Parameters
    ----------
    atoms
        Positions in the model frame, Å; their own B factors are not used.
    grid
        Gives shape, voxel size, origin and frame; its voxels are not used. The box is one period
        of the noise and of the filters, so leave a margin of about the resolution.
    rng
        Draws the B-factor field first, then the noise: the same seed gives the same map.

    Returns
    -------
    Volume
        Solvent at 0 on average, standard deviation 1 over the box.

    Raises
    ------
    ModelError
        When no atom lies in the box.
    """
    distance = distance_to_atoms(atoms, grid)
    inside = distance <= MOLECULE_RADIUS
    b_factors = smooth_b_factors(atoms.positions, parameters, rng)
    signal = _in_solvent(_density(atoms, grid, b_factors), distance, parameters.solvent_level)
    signal = low_pass(signal, parameters.resolution, parameters.edge_width)
    signal = sharpen(signal, parameters.sharpening_b_factor)
    noise = coloured_noise(grid, parameters, rng)
    ratio = parameters.noise_to_signal * signal.data[inside].std() / noise.data[inside].std()
    data = signal.data + np.float32(ratio) * noise.data
    data -= data[~inside].mean()
    if parameters.mask_radius is not None:
        data *= soft_edge(distance, parameters.mask_radius, parameters.mask_edge)
    return grid.with_data(np.asarray(data / data.std(), np.float32))


def smooth_b_factors(
    positions: NDArray[np.float64], parameters: SimulationParameters, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return B factors [atoms] in Å²: gamma distributed, smooth in space.

    A Gaussian random field with covariance exp(−r² / 2ℓ²), made of random plane waves (random
    Fourier features, Rahimi and Recht 2007), then mapped through the gamma quantiles.
    """
    waves = rng.standard_normal((3, _FIELD_WAVES)) / parameters.b_factor_length
    phases = rng.uniform(0.0, 2 * math.pi, _FIELD_WAVES)
    field = np.cos(positions @ waves + phases).sum(axis=1) * math.sqrt(2 / _FIELD_WAVES)
    if parameters.b_factor_variation == 0:
        return np.full(len(positions), parameters.b_factor)
    shape = parameters.b_factor_variation**-2
    quantiles = scipy.special.gammaincinv(shape, scipy.special.ndtr(field))
    return np.asarray(quantiles * parameters.b_factor / shape, np.float64)


def coloured_noise(
    grid: Volume, parameters: SimulationParameters, rng: np.random.Generator
) -> Volume:
    """Return noise with amplitude exp(−B s² / 4), sharpened and low-passed like the signal."""
    white = grid.with_data(rng.standard_normal(grid.shape, np.float32))
    reach = parameters.resolution * parameters.noise_resolution_ratio
    noise = sharpen(white, parameters.noise_b_factor + parameters.sharpening_b_factor)
    return low_pass(noise, reach, parameters.edge_width)


def distance_to_atoms(atoms: Atoms, grid: Volume) -> NDArray[np.float64]:
    """Return the distance in Å of each voxel [nz, ny, nx] to the nearest voxel with an atom.

    Raises
    ------
    ModelError
        When no atom lies in the box.
    """
    indices = np.rint(grid.to_grid(atoms.positions)).astype(np.int64)[:, ::-1]
    within = ((indices >= 0) & (indices < grid.shape)).all(axis=1)
    if not within.any():
        raise ModelError("no atom of the model lies in the box; give a grid that surrounds it.")
    empty = np.ones(grid.shape, np.bool_)
    empty[tuple(indices[within].T)] = False
    distance = scipy.ndimage.distance_transform_edt(empty, sampling=grid.voxel_size[::-1])
    return np.asarray(distance, np.float64)


def soft_edge(distance: NDArray[np.float64], radius: float, width: float) -> FloatArray:
    """Return 1 at distances (Å, any shape) up to `radius`, 0 beyond + `width`, a cosine between."""
    phase = np.clip((distance - radius) / width, 0.0, 1.0)
    return np.asarray(0.5 + 0.5 * np.cos(np.pi * phase), np.float32)


def _density(atoms: Atoms, grid: Volume, b_factors: NDArray[np.float64]) -> Volume:
    """Return the atoms' density, without the aliasing of atoms sharper than the grid.

    Atoms are laid down with a blur that the grid can hold; the blur is then divided out of the
    spectrum (Ten Eyck 1977). A B factor is 8π² times the variance.
    """
    widths = b_factors + ATOM_B_FACTOR
    narrowest = 8 * math.pi**2 * (_FINEST_SIGMA_VOXELS * max(grid.voxel_size)) ** 2
    blur = max(0.0, narrowest - float(widths.min()))
    sigmas = np.sqrt((widths + blur) / (8 * math.pi**2))
    return sharpen(simulate_density(atoms, grid, sigmas), -blur)


def _in_solvent(density: Volume, distance: NDArray[np.float64], level: float) -> Volume:
    """Fill what is not the molecule with `level` times the molecule's mean density."""
    outside = 1 - soft_edge(distance, MOLECULE_RADIUS, MOLECULE_RADIUS)
    mean = density.data[distance <= MOLECULE_RADIUS].mean()
    return density.with_data(density.data + np.float32(level * mean) * outside)
