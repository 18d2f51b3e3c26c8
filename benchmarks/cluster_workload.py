"""The workflow's jobs for many entries that do not exist, as Snakemake would submit them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cluster_entries import RESULTS, Assumed, Costs, Entry, Funnel, global_seconds
from cluster_model import Job, Member, Step

from cryosamu.shards import shard_of

MEASURING = 2
"""Workers of the rule that measures, which holds its cores while the maps are fetched."""

Size = Callable[[Entry], float]
Work = Callable[[Entry], Member]
Names = Sequence[str]


@dataclass(frozen=True)
class Shards:
    """How many shards, and processes in each; 0 shards stands for a job an entry."""

    candidates: int
    pairs: int
    workers: int = 4


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
    steps = [(fetch(_map_mb), 1), (compute("measure", _map_mb), MEASURING)]
    maps = deal.groups(mapped, shards.candidates)
    measured = deal.stage("measured_maps", maps, steps, clustered)
    judged = deal.alone("filter_maps", Member(alone["filter_maps"]), measured, local=True)
    split = deal.alone("split_pairs", Member(alone["split_pairs"]), judged, local=True)
    repaired = deal.alone("repair_models", Member(), judged, cores=4)
    work = Member(1 + 0.001 * funnel.pairs)
    dealt = deal.alone("deal_pairs", work, (*split, *repaired), local=True)
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
    # One map after the other, each one's time its own; the second core is not counted on.
    made = compute("enhance", lambda one: one.map_gz_mb + 4 * one.megavoxels)
    enhanced = [
        deal.stage(f"enhance_maps {condition}", parts["test"], [(made, 1)], trained, cores=2)
        for condition in ("enhanced", "enhanced_no_structure")
    ]
    judge = compute("evaluate", lambda one: one.map_gz_mb + 8 * one.megavoxels)
    evaluated = deal.stage("evaluate_maps", parts["test"], deal.pool(judge), (), enhanced)
    control = compute("control", _map_mb)
    controls = deal.stage("control_maps", parts["test"], [(control, 1)], trained, cores=2)
    summary = deal.alone("compare_methods", Member(2 + 0.002 * len(test)), evaluated)
    # Held-out chains are compared with those that were trained on, as the clustering does.
    work = Member(alone["filter_models"] * funnel.pairs / funnel.candidates)
    leakage = deal.alone("compare_with_training", work, evaluated, cores=2)
    ends = (*summary, *leakage, *controls)
    deal.alone("write_report", Member(60 + 0.05 * len(test)), ends)
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
        cores: int | None = None,
    ) -> Names:
        """Add a stage's jobs, after all of some jobs and after the same shard of other stages."""
        downloads = stage in ("fetch_models", "measured_maps")
        cores = cores or max(workers for _, workers in steps)
        names = []
        for number, group in enumerate(groups):
            needs = (*after, *(shards[number] for shards in beside))
            work = tuple(Step(tuple(map(make, group)), workers) for make, workers in steps)
            names.append(f"{stage} {number}")
            self.jobs.append(Job(names[-1], stage, work, needs, cores, downloads))
        return tuple(names)
