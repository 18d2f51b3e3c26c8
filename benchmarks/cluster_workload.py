"""The workflow's jobs for many entries that do not exist: measured costs, assumed sizes.

Measured are the processor seconds of each stage and how they grow with map and model
(`results/stage_durations.json`), and what clustering and catalogue take (`results/data_set.json`,
`results/catalogue.json`); the sizes of maps and models are assumed and stand in `Assumed`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from cluster_model import Job, Member
from scipy.optimize import nnls

from cryosamu.config import ClusteringSettings
from cryosamu.shards import shard_of

RESULTS = Path(__file__).with_name("results")
STAGES = ("measure", "prepare", "embed", "enhance", "evaluate", "control")
OF_CANDIDATES = ("fetch_models", "fetch_maps", "measure_pairs")
"""Stages dealt to the candidates' shards; the others go to the pairs' shards."""
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


Size = Callable[[Entry], float]
Work = Callable[[Entry], Member]
Names = Sequence[str]


@dataclass(frozen=True)
class Funnel:
    """How many entries there are, are candidates, have their maps fetched, and are pairs."""

    catalogued: int
    candidates: int
    mapped: int
    pairs: int


@dataclass(frozen=True)
class Shards:
    """How many shards, and processes in each; 0 shards stands for a job an entry."""

    candidates: int
    pairs: int
    workers: int = 1


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
            seconds = np.array([row[stage] for row in rows])
            design = np.array(
                [[1.0, row["megavoxels_of_1_A"], row["residues"] / 1000] for row in rows]
            )
            # Weighted so that relative errors count: maps differ a thousandfold.
            found, _ = nnls(design / seconds[:, None], np.ones(len(rows)))
            self.coefficients[stage] = (float(found[0]), float(found[1]), float(found[2]))
            self.errors[stage] = float(np.median(np.abs(design @ found / seconds - 1)))

    @classmethod
    def measured(cls) -> Costs:
        """Return those of `results/stage_durations.json`."""
        return cls(json.loads((RESULTS / "stage_durations.json").read_text())["pairs"])

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


def workflow_jobs(
    entries: Sequence[Entry],
    funnel: Funnel,
    shards: Shards,
    costs: Costs,
    assumed: Assumed,
    fetched: bool = False,
) -> list[Job]:
    """Return the jobs of the whole workflow.

    Parameters
    ----------
    entries
        At least the funnel's candidates; those that come first pass.
    fetched
        Whether maps and models lie in the store already.
    """
    bundle = _Bundler(shards)
    mapped, pairs = entries[: funnel.mapped], entries[: funnel.pairs]
    test = pairs[: round(0.2 * len(pairs))]
    alone = global_seconds(funnel)
    answers = json.loads((RESULTS / "catalogue.json").read_text())
    requests = round(funnel.catalogued * answers["requests"] / answers["maps"])

    def fetch(size: Size) -> Work:
        return lambda one: Member() if fetched else Member(requests=1, download_mb=size(one))

    def compute(stage: str, size: Size) -> Work:
        return lambda one: Member(costs.seconds(stage, one), file_mb=size(one))

    catalogue = bundle.one("query_catalogue", Member(requests=0 if fetched else requests))
    metadata = bundle.one("filter_metadata", Member(alone["filter_metadata"]), catalogue)
    candidates = entries[: funnel.candidates]
    models = bundle.deal("fetch_models", candidates, fetch(_model_mb), after=metadata)
    read = sum(one.residues for one in candidates) / 1000 * assumed.read_s
    work = Member(alone["filter_models"] + read)
    clustered = bundle.one("filter_models", work, models, cores=2)
    maps = bundle.deal("fetch_maps", mapped, fetch(_map_mb), after=clustered)
    measured = bundle.deal("measure_pairs", mapped, compute("measure", _map_mb), beside=(maps,))
    judged = bundle.one("filter_maps", Member(alone["filter_maps"]), measured)
    split = bundle.one("split_pairs", Member(alone["split_pairs"]), judged)
    dealt = compute("prepare", lambda one: one.map_gz_mb + 4 * one.megavoxels_of_1_a)
    prepared = bundle.deal("prepare_pairs", pairs[len(test) :], dealt, after=split)
    embedded = bundle.deal("embed_models", pairs, compute("embed", _model_mb), after=split)
    inputs = [*prepared, *embedded]
    trained = bundle.one("train_network", Member(assumed.train_s), inputs, cores=8)
    dealt = compute("enhance", lambda one: one.map_gz_mb + 4 * one.megavoxels)
    conditions = ("enhanced", "enhanced_no_structure")
    enhanced = [bundle.deal(f"enhance_maps {one}", test, dealt, trained) for one in conditions]
    dealt = compute("evaluate", lambda one: one.map_gz_mb + 8 * one.megavoxels)
    evaluated = bundle.deal("evaluate_maps", test, dealt, beside=enhanced)
    controls = bundle.deal("control_maps", test, compute("control", _map_mb), after=trained)
    summary = bundle.one("compare_methods", Member(2 + 0.002 * len(test)), evaluated)
    bundle.one("write_report", Member(60 + 0.05 * len(test)), [*summary, *controls])
    return bundle.jobs


def _map_mb(one: Entry) -> float:
    return one.map_gz_mb


def _model_mb(one: Entry) -> float:
    return one.model_mb


class _Bundler:
    """Deals members to shards, or makes a job of each."""

    def __init__(self, shards: Shards) -> None:
        self.shards = shards
        self.jobs: list[Job] = []

    def one(self, name: str, work: Member, after: Names = (), cores: int = 1) -> Names:
        """Add a job for all entries together."""
        self.jobs.append(Job(name, name, (work,), tuple(after), cores))
        return (name,)

    def deal(
        self,
        stage: str,
        entries: Sequence[Entry],
        work: Work,
        after: Names = (),
        beside: Sequence[Names] = (),
    ) -> Names:
        """Add a stage's jobs, after all of some and after the same shard of other stages."""
        count = self.shards.candidates if stage in OF_CANDIDATES else self.shards.pairs
        groups: list[list[Entry]] = [[] for _ in range(count)]
        for one in entries:
            if count:
                groups[shard_of(one.emdb_id, count)].append(one)
            else:
                groups.append([one])
        downloads = stage.startswith("fetch")
        workers = 1 if downloads or not count else self.shards.workers
        names = []
        for number, group in enumerate(groups):
            needs = (*after, *(shards[number] for shards in beside))
            members = tuple(map(work, group))
            name = f"{stage} {number}"
            self.jobs.append(Job(name, stage, members, needs, workers, workers, downloads))
            names.append(name)
        return tuple(names)
