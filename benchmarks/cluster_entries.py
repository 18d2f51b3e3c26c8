"""Entries that do not exist, and what each stage takes for one: measured costs, assumed sizes.

Measured are the processor seconds of each stage and how they grow with map and model
(`results/stage_durations.json`, `results/costs.json`), and what clustering takes
(`results/data_set.json`); the sizes of maps and models are assumed and stand in `Assumed`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import nnls

from cryosamu.config import ClusteringSettings

RESULTS = Path(__file__).with_name("results")
STAGES = ("measure", "prepare", "embed", "enhance", "evaluate", "control")
BOX_VOXEL_A = 1.3
"""Å a voxel of the boxes in `costs.json`."""
EXHAUSTIVE = ClusteringSettings().exhaustive_sequences


@dataclass(frozen=True)
class Assumed:
    """What nobody measured here.

    Attributes
    ----------
    boxes
        Edges of maps in voxels, with their shares.
    voxel_a
        Å a voxel of maps at 4-8 Å.
    compressed
        Bytes of a .map.gz over those of the map: that of noise, so an upper bound.
    residues
        Median and the logarithm's standard deviation of a model's residues.
    model_mb
        A model's mmCIF, compressed.
    read_s
        Reading 1,000 residues from mmCIF (0.031 for the models of the embedded archive).
    train_s
        Training, which does not grow with the number of entries.
    """

    boxes: tuple[tuple[int, float], ...] = (
        *((200, 0.2), (256, 0.2), (300, 0.2), (360, 0.15)),
        *((400, 0.12), (480, 0.08), (512, 0.04), (640, 0.01)),
    )
    larger: float = 1.0
    voxel_a: float = 1.3
    compressed: float = 0.93
    residues: tuple[float, float] = (1800.0, 0.9)
    model_mb: float = 0.6
    read_s: float = 0.03
    train_s: float = 4 * 3600.0


@dataclass(frozen=True)
class Entry:
    """A map and its model."""

    emdb_id: str
    megavoxels: float
    megavoxels_of_1_a: float
    residues: float
    map_gz_mb: float
    model_mb: float


@dataclass(frozen=True)
class Funnel:
    """How many entries there are, are candidates, have their maps fetched, and are pairs."""

    catalogued: int
    candidates: int
    mapped: int
    pairs: int


def draw_entries(count: int, assumed: Assumed, seed: int = 1) -> list[Entry]:
    """Return entries whose maps and models have the assumed sizes."""
    random = np.random.default_rng(seed)
    edges, shares = np.array(assumed.boxes).T
    chosen = np.round(random.choice(edges, size=count, p=shares) * assumed.larger)
    residues = random.lognormal(np.log(assumed.residues[0]), assumed.residues[1], size=count)
    return [
        Entry(
            emdb_id=f"EMD-{number + 1000}",
            megavoxels=edge**3 / 1e6,
            megavoxels_of_1_a=(edge * assumed.voxel_a) ** 3 / 1e6,
            residues=float(size),
            map_gz_mb=4 * edge**3 / 1e6 * assumed.compressed,
            model_mb=assumed.model_mb,
        )
        for number, (edge, size) in enumerate(zip(chosen.tolist(), residues, strict=True))
    ]


class Costs:
    """Processor seconds of each stage: a constant, and slopes per megavoxel and 1,000 residues."""

    def __init__(self, rows: Sequence[dict[str, float]]) -> None:
        self.coefficients: dict[str, tuple[float, float, float]] = {}
        self.errors: dict[str, float] = {}
        for stage in STAGES:
            # The slowest stages are not measured on the largest maps.
            timed = [row for row in rows if stage in row]
            seconds = np.array([row[stage] for row in timed])
            design = np.array(
                [[1.0, row["megavoxels_of_1_A"], row["residues"] / 1000] for row in timed]
            )
            # Weighted so that relative errors count: maps differ a thousandfold.
            found, _ = nnls(design / seconds[:, None], np.ones(len(timed)))
            self.coefficients[stage] = (float(found[0]), float(found[1]), float(found[2]))
            self.errors[stage] = float(np.median(np.abs(design @ found / seconds - 1)))

    @classmethod
    def measured(cls) -> Costs:
        """Return those of `results/stage_durations.json`, and of larger boxes in `costs.json`."""
        rows = json.loads((RESULTS / "stage_durations.json").read_text())["pairs"]
        boxes = json.loads((RESULTS / "costs.json").read_text())["boxes"]
        for row in boxes:
            row["megavoxels_of_1_A"] = (row["box"] * BOX_VOXEL_A) ** 3 / 1e6
        return cls([*rows, *boxes])

    def seconds(self, stage: str, entry: Entry) -> float:
        """Return a stage's processor seconds for an entry."""
        constant, per_voxel, per_residue = self.coefficients[stage]
        return constant + per_voxel * entry.megavoxels_of_1_a + per_residue * entry.residues / 1000


def global_seconds(funnel: Funnel) -> dict[str, float]:
    """Return the processor seconds of the jobs that see all entries, scaled from measured ones."""
    record = json.loads((RESULTS / "data_set.json").read_text())
    steps = {row["step"]: row["cpu_s"] for row in record["steps"]}
    sequences = record["different sequences"]
    found = sequences / record["after the metadata filters"] * funnel.candidates
    # Each with each up to 20,000; above, representatives: assumed to grow with their number.
    few = min(found, EXHAUSTIVE)
    clustering = steps["clustering"] * (few / sequences) ** 2 * found / few
    return {
        "filter_metadata": steps["metadata filters"] * funnel.catalogued / record["entries"],
        "filter_models": clustering,
        "filter_maps": 1 + 0.001 * funnel.mapped,
        "split_pairs": steps["split"] * funnel.pairs / record["components"],
    }
