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
from typing import Any

import numpy as np
from cluster_model import Job, Member, Step
from scipy.optimize import nnls

from cryosamu.config import ClusteringSettings
from cryosamu.shards import shard_of

RESULTS = Path(__file__).with_name("results")
STAGES = ("measure", "prepare", "embed", "enhance", "evaluate", "control")
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
    workers: int = 4


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
    mapped, pairs = entries[: funnel.mapped], entries[: funnel.pairs]
    held_out = round(0.2 * len(pairs))
    test, training = pairs[:held_out], pairs[held_out:]
    alone = global_seconds(funnel)
    answers = json.loads((RESULTS / "catalogue.json").read_text())
    requests = 0 if fetched else round(funnel.catalogued * answers["requests"] / answers["maps"])

    def fetch(size: Size) -> Work:
        return lambda one: Member() if fetched else Member(requests=1, download_mb=size(one))

    def compute(stage: str, size: Size) -> Work:
        return lambda one: Member(costs.seconds(stage, one), file_mb=size(one))

    deal = _Dealer(shards.workers)
    catalogue = deal.alone("query_catalogue", Member(requests=requests), downloads=True)
    work = Member(alone["filter_metadata"])
    metadata = deal.alone("filter_metadata", work, catalogue, local=True)
    candidates = deal.groups(entries[: funnel.candidates], shards.candidates)
    models = deal.stage("fetch_models", candidates, [(fetch(_model_mb), 1)], metadata)
    read = sum(one.residues for one in entries[: funnel.candidates]) / 1000 * assumed.read_s
    work = Member(alone["filter_models"] + read)
    clustered = deal.alone("filter_models", work, models, cores=4)
    # One job of the cluster: the maps are measured where they were downloaded.
    steps = [(fetch(_map_mb), 1), (compute("measure", _map_mb), shards.workers)]
    maps = deal.groups(mapped, shards.candidates)
    measured = deal.stage("measured_maps", maps, steps, clustered)
    judged = deal.alone("filter_maps", Member(alone["filter_maps"]), measured, local=True)
    split = deal.alone("split_pairs", Member(alone["split_pairs"]), judged, local=True)
    dealt = deal.alone("deal_pairs", Member(1 + 0.001 * funnel.pairs), split, local=True)
    parts = {
        part: deal.groups(chosen, shards.pairs)
        for part, chosen in (("training", training), ("test", test))
    }
    written = compute("prepare", lambda one: one.map_gz_mb + 4 * one.megavoxels_of_1_a)
    prepared = deal.stage("prepare_pairs", parts["training"], deal.pool(written), dealt)
    tokens = compute("embed", _model_mb)
    embedded = {
        part: deal.stage(f"embed_models {part}", groups, deal.pool(tokens), dealt)
        for part, groups in parts.items()
    }
    inputs = (*prepared, *embedded["training"])
    trained = deal.alone("train_network", Member(assumed.train_s), inputs, cores=8)
    made = compute("enhance", lambda one: one.map_gz_mb + 4 * one.megavoxels)
    enhanced = [
        deal.stage(f"enhance_maps {condition}", parts["test"], deal.pool(made), trained)
        for condition in ("enhanced", "enhanced_no_structure")
    ]
    judge = compute("evaluate", lambda one: one.map_gz_mb + 8 * one.megavoxels)
    evaluated = deal.stage("evaluate_maps", parts["test"], deal.pool(judge), (), enhanced)
    control = compute("control", _map_mb)
    controls = deal.stage("control_maps", parts["test"], deal.pool(control), trained)
    summary = deal.alone("compare_methods", Member(2 + 0.002 * len(test)), evaluated)
    deal.alone("write_report", Member(60 + 0.05 * len(test)), (*summary, *controls))
    return deal.jobs


def _map_mb(one: Entry) -> float:
    return one.map_gz_mb


def _model_mb(one: Entry) -> float:
    return one.model_mb


class _Dealer:
    """Makes jobs: of a stage's shards, or of all entries together."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.jobs: list[Job] = []

    def pool(self, work: Work) -> list[tuple[Work, int]]:
        """Return the one step of a job in which as many workers compute as it has cores."""
        return [(work, self.workers)]

    def alone(self, name: str, work: Member, after: Names = (), **options: Any) -> Names:
        """Add a job for all entries together."""
        self.jobs.append(Job(name, name, (Step((work,)),), tuple(after), **options))
        return (name,)

    def groups(self, entries: Sequence[Entry], shards: int) -> list[list[Entry]]:
        """Deal entries to shards as the workflow does; 0 shards: each by itself."""
        if not shards:
            return [[one] for one in entries]
        groups: list[list[Entry]] = [[] for _ in range(shards)]
        for one in entries:
            groups[shard_of(one.emdb_id, shards)].append(one)
        return groups

    def stage(
        self,
        stage: str,
        groups: Sequence[Sequence[Entry]],
        steps: Sequence[tuple[Work, int]],
        after: Names = (),
        beside: Sequence[Names] = (),
    ) -> Names:
        """Add a stage's jobs, after all of some jobs and after the same shard of other stages."""
        downloads = stage in ("fetch_models", "measured_maps")
        cores = max(workers for _, workers in steps)
        names = []
        for number, group in enumerate(groups):
            needs = (*after, *(shards[number] for shards in beside))
            work = tuple(Step(tuple(map(make, group)), workers) for make, workers in steps)
            names.append(f"{stage} {number}")
            self.jobs.append(Job(names[-1], stage, work, needs, cores, downloads))
        return tuple(names)
