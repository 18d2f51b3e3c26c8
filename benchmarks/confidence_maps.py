"""What `confidence.py` fits and tests on: real maps and worse copies, enhanced, and the truth."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from real_maps import MEANT_FOR, TUNED, cropped

from cryosamu.config import EnhancementSettings
from cryosamu.enhancement.trust.confidence import DEFAULT_RESOLUTION, half_map_bound
from cryosamu.enhancement.trust.confidence_evidence import (
    coarse_map,
    evidence_of,
    local_correlation,
)
from cryosamu.enhancement.trust.half_maps import averaged
from cryosamu.enhancement.whole_map import enhance
from cryosamu.evaluation.methods import phases_random_beyond, randomise_phases
from cryosamu.evaluation.reference import ModelReference
from cryosamu.network.checkpoint import load_checkpoint
from cryosamu.structure.model import read_model
from cryosamu.volume.grid import resample
from cryosamu.volume.io import read_map
from cryosamu.volume.volume import FloatArray, Volume

KINDS = ("as it is", "noise", "random fine phases", "simulated halves")
SEED = 2024

Enhancement = Callable[[Volume, float], Volume]


@dataclass(frozen=True)
class Judged:
    """Voxels of one enhanced map inside the model's mask.

    Attributes
    ----------
    values
        Predictors, [4, voxels].
    truth, density
        [voxels]: local correlation with the model's map; the input's density, low-passed.
    bound
        [voxels], what half maps bound the confidence by; None without.
    unknown_resolution
        Predictors where the resolution is not told, [4, voxels]; None for copies.
    """

    values: FloatArray
    truth: FloatArray
    density: FloatArray
    bound: FloatArray | None
    unknown_resolution: FloatArray | None


@dataclass(frozen=True)
class Part:
    """One map of the folder and its copies."""

    name: str
    entry: str
    resolution: float
    kinds: dict[str, Judged]

    @property
    def tuned(self) -> bool:
        """Whether its entry is among those that the coefficients are fitted on."""
        return self.entry.removeprefix("EMD-") in TUNED

    @property
    def meant(self) -> bool:
        """Whether it is of a resolution that the network is meant for."""
        return MEANT_FOR[0] <= self.resolution <= MEANT_FOR[1]


def enhancement(checkpoint: Path) -> Enhancement:
    """Return the checkpoint as a function of a map."""
    network, header = load_checkpoint(checkpoint)
    settings = EnhancementSettings(device="cpu")

    def enhanced_of(volume: Volume, resolution: float) -> Volume:
        return enhance(
            volume, network, header, settings=settings, progress=False, resolution=resolution
        ).volume

    return enhanced_of


def measured(entry: dict, root: Path, enhanced_of: Enhancement) -> Part:
    """Return a map's predictors and truth, and those of its copies."""
    resolution = float(entry["resolution"])
    structure = read_model(root / entry["model"])
    volume = cropped(read_map(root / entry["map"]), structure)
    reference = ModelReference(volume, structure, resolution)
    calculated = coarse_map(volume.with_data(reference.calculated), resolution)
    inside = resample(volume.with_data(reference.inside.astype(np.float32)), calculated.shape)
    mask = inside.data > 0.5

    def noise(beyond: float, seed: int = SEED) -> Volume:
        return volume.with_data(randomise_phases(volume, beyond, seed))

    def judged(shown: Volume, halves=None, unknown: bool = False) -> Judged:
        enhanced = enhanced_of(shown, resolution)
        evidence = evidence_of(shown, enhanced, resolution)
        bound = None if halves is None else half_map_bound(halves, resolution)[mask]
        told = None
        if unknown:
            nearest = np.clip(DEFAULT_RESOLUTION, 2 * max(volume.voxel_size), min(volume.box) / 2)
            other = evidence_of(shown, enhanced, float(nearest))
            told = np.stack([
                resample(other.grid.with_data(one), calculated.shape).data[mask]
                for one in other.values
            ])  # fmt: skip
        truth = local_correlation(evidence.grid, calculated, resolution)[mask]
        density = coarse_map(shown, resolution).data[mask]
        return Judged(evidence.values[:, mask], truth, density, bound, told)

    halves = tuple(
        volume.with_data(volume.data + noise(math.inf, SEED + number).data) for number in (1, 2)
    )
    kinds = {
        "as it is": judged(volume, unknown=True),
        "noise": judged(noise(math.inf), (noise(math.inf, SEED + 1), noise(math.inf, SEED + 2))),
        "random fine phases": judged(noise(phases_random_beyond(resolution))),
        "simulated halves": judged(averaged(halves), halves),
    }
    return Part(f"{entry['emdb']} {entry['part']}", entry["emdb"], resolution, kinds)
