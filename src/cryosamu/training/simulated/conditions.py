"""What differs between experiments: the numbers of one simulated map, drawn at random.

The ranges were set by what half of the entries that the project measures itself on show
(docs/simulation.md): the fall-off of their amplitudes against their models', and the map-model FSC,
inside tight and wide masks. Then some were widened: networks trained so do better on real maps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from cryosamu.config import SimulationSettings


@dataclass(frozen=True)
class Conditions:
    """How one map is degraded. B factors in Å²; s is the spatial frequency in 1/Å.

    Attributes
    ----------
    resolution
        Å; what the map would be reported at.
    local_b_factor
        The largest B factor by which a place is worse than the best of the map.
    net_b_factor
        Mean fall-off of the signal that the depositors' sharpening left; negative: over-sharpened.
    noise_b_factor
        By how much sharpening has raised the noise: amplitude ∝ exp(+B s² / 4).
    noise_resolution
        Å; where that noise's power is three times the signal's: FSC of half maps 0.143.
    mismatch
        Power over the signal's of the error that resolution does not explain: flexibility,
        alignment, what the model leaves out. The same at all frequencies.
    noise_volume
        Volume over which noise adds up in the FSC, over the volume of the molecule.
    noise_outside
        Noise far from the molecule over the noise in it.
    anisotropy
        B factor of the worst over the best direction, `axis` (unit vector x, y, z) the worst.
    low_pass, low_pass_edge
        Å, and the width of the cosine edge as a fraction of 1 / low_pass.
    voxel_size
        Å of the depositors' grid, whose corners and not those of a sphere limit the map.
    solvent, halo
        Solvent's density over the molecule's; share of the lowest frequencies that is lost.
    halo_length
        Å beyond which they are lost.
    offset
        Of the solvent from zero, in standard deviations of the map in the molecule.
    mask_radius, mask_edge
        Å from the atoms at which the map falls to zero, and the Å over which it does; None
        leaves the map whole.
    gain
        What the brightest voxel of the rest of the map has over the brightest here.
    """

    resolution: float
    local_b_factor: float
    net_b_factor: float
    noise_b_factor: float
    noise_resolution: float
    mismatch: float
    noise_volume: float
    noise_outside: float
    anisotropy: float
    axis: tuple[float, float, float]
    low_pass: float
    low_pass_edge: float
    voxel_size: float
    solvent: float
    halo: float
    halo_length: float
    offset: float
    mask_radius: float | None
    mask_edge: float
    gain: float


def draw_conditions(
    settings: SimulationSettings, masked: bool, random: np.random.Generator
) -> Conditions:
    """Draw one experiment; most B factors grow with the square of its resolution."""
    finest, coarsest = settings.finest_resolution, settings.coarsest_resolution
    # Even in the logarithm: as many maps at 4-5 Å as at 6-7.5 Å.
    resolution = math.exp(random.uniform(math.log(finest), math.log(coarsest)))
    square = resolution**2
    direction = random.standard_normal(3)
    low_pass, edge = _filter(resolution, random)
    return Conditions(
        resolution=resolution,
        local_b_factor=float(random.uniform(1, 20)) * square,
        net_b_factor=float(random.uniform(-60, 120 + 52 * resolution)),
        noise_b_factor=float(random.uniform(1, 10)) * square,
        noise_resolution=resolution * float(random.uniform(0.95, 1.25)),
        mismatch=math.exp(random.uniform(math.log(0.05), math.log(1.5))),
        noise_volume=float(random.uniform(1.5, 3.0)),
        noise_outside=float(random.uniform(0.4, 1.0)),
        anisotropy=float(random.random() < 0.4) * float(random.uniform(0, 3)) * square,
        axis=tuple(direction / np.linalg.norm(direction)),
        low_pass=low_pass,
        low_pass_edge=edge,
        voxel_size=float(random.uniform(1.0, min(2.1, resolution / 2.3))),
        solvent=float(random.uniform(0.0, 0.7)),
        halo=float(random.random() < 0.5) * float(random.uniform(0, 0.8)),
        halo_length=float(random.uniform(25, 80)),
        offset=float(random.normal(0.05, 0.2)),
        mask_radius=float(random.uniform(2.5, 6.5)) if masked else None,
        mask_edge=float(random.uniform(0, 5)) if random.random() < 0.6 else 0.0,
        gain=1 + abs(float(random.normal(0, 0.15))),
    )


def _filter(resolution: float, random: np.random.Generator) -> tuple[float, float]:
    """Return where a map is cut and how softly: hard, soft, or hardly at all."""
    kind = random.random()
    if kind < 0.45:
        return resolution * float(random.uniform(0.88, 1.1)), float(random.uniform(0.0, 0.15))
    if kind < 0.85:
        return resolution * float(random.uniform(0.78, 1.1)), float(random.uniform(0.15, 0.6))
    return resolution * float(random.uniform(0.55, 0.8)), float(random.uniform(0.1, 0.5))
