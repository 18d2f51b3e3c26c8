"""The whole workflow on clusters that do not exist: hours, use of the cores, where it is held up.

    python benchmarks/cluster_simulation.py --output benchmarks/results/cluster_simulation.json

Each row is one simulated run. `path` says what the hours consist of: the stages on the chain of
jobs that held each other up, waiting for cores, places and the head process included.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

from cluster_entries import Assumed, Costs, Funnel, draw_entries
from cluster_model import Cluster, Outcome, simulate
from cluster_workload import Shards, workflow_jobs

from cryosamu.files import write_text
from cryosamu.provenance import source_commit

WHOLE_EMDB = 60_000
FROM = {True: "maps in the store", False: "from nothing"}
RECIPE = Funnel(WHOLE_EMDB, 8_457, 4_185, 2_092)
"""EMDB under the recipe: shares of `results/data_set.json`, half of the maps assumed to pass."""


@dataclass(frozen=True)
class Scenario:
    """One run: how many entries, on what, in how many shards."""

    name: str
    funnel: Funnel
    shards: int
    cluster: Cluster
    fetched: bool = False
    workers: int = 4
    assumed: Assumed = field(default_factory=Assumed)


def slurm(cores: int, **options: Any) -> Cluster:
    """Return a cluster of so many cores whose head process looks after its jobs every 10 s."""
    return replace(Cluster(cores, poll_s=10), **options)


def every(count: int) -> Funnel:
    """Return a funnel in which nothing is dropped."""
    return Funnel(count, count, count, count)


def scenarios() -> Iterator[Scenario]:
    """Yield the runs of docs/scaling.md."""
    for cores, count in product((10, 100, 1000), (64, 256, 500)):
        name = f"60,000 pairs, {FROM[True]}"
        yield Scenario(name, every(WHOLE_EMDB), count, slurm(cores), fetched=True)
    for cores in (10, 100, 1000):
        yield Scenario(f"60,000 pairs, {FROM[False]}", every(WHOLE_EMDB), 256, slurm(cores))
    for cores, fetched in product((10, 100, 1000), (True, False)):
        yield Scenario(f"recipe, {FROM[fetched]}", RECIPE, 128, slurm(cores), fetched)
    for pairs, count in product((400, 4_000), (0, 8, 16, 32, 64, 128, 256, 512)):
        yield Scenario(f"{pairs:,} pairs, {FROM[True]}", every(pairs), count, slurm(100), True)
    yield from varied(Scenario("recipe", RECIPE, 128, slurm(100)))


def varied(wide: Scenario) -> Iterator[Scenario]:
    """Yield a scenario with one assumption or setting changed at a time."""
    for downloads in (1, 4, 8, 16, 32):
        cluster = slurm(100, downloads=downloads)
        yield replace(wide, name=f"{wide.name}, {downloads} downloads", cluster=cluster)
    for larger in (0.75, 1.33):
        assumed = Assumed(larger=larger)
        yield replace(wide, name=f"{wide.name}, boxes times {larger}", assumed=assumed)
    for passing in (0.1, 1.0):
        funnel = replace(RECIPE, pairs=round(passing * RECIPE.mapped))
        yield replace(wide, name=f"{wide.name}, {passing:.0%} of maps pass", funnel=funnel)
    for queue_s in (0.0, 60.0, 600.0):
        name = f"{wide.name}, {FROM[True]}, {queue_s:g} s in the queue"
        yield replace(wide, name=name, cluster=slurm(100, queue_s=queue_s), fetched=True)
    for jobs in (50, 100):
        name = f"{wide.name}, {FROM[True]}, {jobs} jobs at a time"
        yield replace(wide, name=name, cluster=slurm(1000, jobs=jobs), fetched=True)
    for workers in (1, 2, 8):
        name = f"{wide.name}, {FROM[True]}, {workers} workers"
        yield replace(wide, name=name, workers=workers, fetched=True)


def run(scenario: Scenario, costs: Costs) -> dict[str, object]:
    """Simulate one scenario and return its row."""
    entries = draw_entries(scenario.funnel.candidates, scenario.assumed)
    jobs = workflow_jobs(
        entries,
        scenario.funnel,
        Shards(scenario.shards, scenario.shards, scenario.workers),
        costs,
        scenario.assumed,
        fetched=scenario.fetched,
    )
    outcome = simulate(jobs, scenario.cluster)
    members = [member for job in jobs for member in job.members]
    return {
        "scenario": scenario.name,
        "funnel": asdict(scenario.funnel),
        "shards": scenario.shards,
        "workers": scenario.workers,
        "cluster": asdict(scenario.cluster),
        "larger": scenario.assumed.larger,
        "jobs": len(jobs),
        "hours": round(outcome.makespan_s / 3600, 2),
        "core_hours": round(outcome.processor_s / 3600, 1),
        "utilisation": round(outcome.utilisation, 4),
        "requests": sum(member.requests for member in members),
        "downloaded_gb": round(sum(member.download_mb for member in members) / 1e3),
        "files_gb": round(sum(member.file_mb for member in members) / 1e3),
        "longest_job_h": round(max(r.freed - r.started for r in outcome.ran.values()) / 3600, 2),
        "path": path_hours(outcome),
    }


def path_hours(outcome: Outcome) -> dict[str, float]:
    """Return the hours that each stage contributes to the makespan, the largest first."""
    hours: dict[str, float] = defaultdict(float)
    before = 0.0
    for ran in outcome.critical_path():
        hours[ran.job.stage] += (ran.ended - before) / 3600
        before = ran.ended
    return {stage: round(one, 2) for stage, one in sorted(hours.items(), key=lambda x: -x[1])}


def table(rows: list[dict[str, object]]) -> str:
    """Return the rows as a Markdown table."""
    lines = ["| run | cores | shards | jobs | hours | use | where | ", "| --- " * 7 + "|"]
    for row in rows:
        path, cluster = row["path"], row["cluster"]
        assert isinstance(path, dict)
        assert isinstance(cluster, dict)
        where = ", ".join(f"{stage} {hours:g}" for stage, hours in list(path.items())[:3])
        lines.append(
            f"| {row['scenario']} | {cluster['cores']} | {row['shards']} | {row['jobs']} "
            f"| {row['hours']} | {row['utilisation']:.0%} | {where} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Run the scenarios whose name holds a text, print the table and write the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="text that a scenario's name must hold")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    costs = Costs.measured()
    rows = []
    for scenario in scenarios():
        if options.only in scenario.name:
            rows.append(run(scenario, costs))
            print(table(rows[-1:]).splitlines()[-1], flush=True)
    record = {
        "date": time.strftime("%Y-%m-%d"),
        "commit": source_commit(),
        "assumed": asdict(Assumed()),
        "costs": {
            stage: {"constant_per_megavoxel_per_1000_residues": found, "error": costs.errors[stage]}
            for stage, found in costs.coefficients.items()
        },
        "rows": rows,
    }
    if options.output:
        write_text(options.output, json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
