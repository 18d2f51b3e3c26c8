"""The simulator held against Snakemake itself: the same jobs, which sleep instead of computing.

A small workflow, its durations scaled down, is run by the real Snakemake with as many cores as
asked for; workers, turns at the archive and places for downloads are real. First every job
runs empty: what it takes calibrates the head process and a job's start. Then the simulated
time is compared with the real one, from the first job's start to the last one's end.

    python benchmarks/simulated_against_real.py --output FILE
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from cluster_entries import Assumed, Costs, draw_entries
from cluster_model import Cluster, Job, Member, Step, simulate
from cluster_simulation import every
from cluster_workload import Shards, workflow_jobs

from cryosamu.files import write_text
from cryosamu.provenance import source_commit

JOB = Path(__file__).with_name("sleeping_job.py")
REQUEST_S = 0.2
STREAM_MB_S = 3.0


def small_workflow(pairs: int, shards: int, workers: int, core_seconds: float) -> list[Job]:
    """Return the workflow's jobs for a few pairs, scaled to so many core-seconds in all."""
    assumed = Assumed()
    entries = draw_entries(pairs, assumed)
    dealt = Shards(shards, shards, workers)
    jobs = workflow_jobs(entries, every(pairs), dealt, Costs.measured(), assumed)
    jobs = [job if job.stage != "train_network" else _lasting(job, 3600) for job in jobs]
    whole = sum(member.processor_s for job in jobs for member in job.members)
    loaded = sum(member.download_mb for job in jobs for member in job.members) / STREAM_MB_S

    def scaled(member: Member) -> Member:
        return Member(
            processor_s=member.processor_s * core_seconds / whole,
            requests=min(member.requests, 1),
            download_mb=member.download_mb * core_seconds / 4 / loaded,
        )

    return [
        replace(
            job,
            steps=tuple(
                replace(step, members=tuple(map(scaled, step.members))) for step in job.steps
            ),
        )
        for job in jobs
    ]


def _lasting(job: Job, seconds: float) -> Job:
    return replace(job, steps=(Step((Member(processor_s=seconds),)),))


def write_workflow(folder: Path, jobs: Sequence[Job]) -> None:
    """Write a Snakefile with a rule a job, and the work of each."""
    rules = [f"rule all:\n    input: {[_marker(job.name) for job in jobs]}\n"]
    for number, job in enumerate(jobs):
        work = folder / f"{number}.json"
        write_text(work, json.dumps([asdict(step) for step in job.steps]))
        rules.append(
            f"rule job_{number}:\n"
            f"    input: {[_marker(name) for name in job.needs]}\n"
            f"    output: {_marker(job.name)!r}\n"
            f"    threads: {job.cores}\n"
            f"    resources: downloads={int(job.downloads)}\n"
            f"    localrule: {job.local}\n"
            f"    shell: '{sys.executable} {JOB} {work} {{output}} {REQUEST_S} {STREAM_MB_S}'\n"
        )
    write_text(folder / "Snakefile", "\n".join(rules))


def _marker(name: str) -> str:
    return f"done/{name.replace(' ', '_')}.json"


def real_seconds(jobs: Sequence[Job], cores: int, downloads: int) -> tuple[float, float]:
    """Return what Snakemake takes for the jobs, and how long the jobs themselves took in all."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_workflow(folder, jobs)
        command = [sys.executable, "-m", "snakemake", "--directory", name, "--quiet", "all"]
        command += ["--snakefile", str(folder / "Snakefile"), "--cores", str(cores)]
        command += ["--resources", f"downloads={downloads}"]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        times = [json.loads((folder / _marker(job.name)).read_text()) for job in jobs]
    began, ended = zip(*times, strict=True)
    return max(ended) - min(began), sum(ended) - sum(began)


def compare(jobs: list[Job], cores: int, downloads: int = 2) -> dict[str, float]:
    """Return real and simulated seconds of the jobs on so many cores."""
    empty = [replace(job, steps=()) for job in jobs]
    idle, _ = real_seconds(empty, cores, downloads)
    cluster = Cluster(cores, submit_s=0, queue_s=0, start_s=0, downloads=downloads)
    cluster = replace(cluster, request_s=REQUEST_S, stream_mb_s=STREAM_MB_S, archive_mb_s=1e9)
    rounds = simulate(empty, replace(cluster, start_s=1)).makespan_s
    start_s = idle / rounds
    real, _ = real_seconds(jobs, cores, downloads)
    simulated = simulate(jobs, replace(cluster, start_s=start_s)).makespan_s
    ideal = simulate(jobs, cluster).makespan_s
    row = {
        "cores": cores,
        "jobs": len(jobs),
        "empty_s": idle,
        "start_s": start_s,
        "real_s": real,
        "simulated_s": simulated,
        "without_overhead_s": ideal,
        "error": simulated / real - 1,
    }
    return {key: round(value, 3) for key, value in row.items()}


def main() -> None:
    """Compare for several numbers of cores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cores", type=int, nargs="*", default=[4, 16])
    parser.add_argument("--pairs", type=int, default=120)
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--core-seconds", type=float, default=600)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    rows = []
    for cores in options.cores:
        jobs = small_workflow(options.pairs, options.shards, options.workers, options.core_seconds)
        rows.append(compare(jobs, cores))
        print(rows[-1], flush=True)
    record: dict[str, object] = {"date": time.strftime("%Y-%m-%d"), "cores": os.cpu_count()}
    record |= {"commit": source_commit(), "load": os.getloadavg()[0], "rows": rows}
    if options.output:
        write_text(options.output, json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
