"""The demo from nothing to the report, every job of it through the scheduler."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from harness import Pipeline
from scheduler import Scheduler, Submitted

pytestmark = pytest.mark.workflow


def test_the_demo_gives_the_same_bytes_as_on_one_machine_and_is_then_done(
    finished: Pipeline, scheduler: Scheduler, seen: None, tmp_path: Path
) -> None:
    here = Submitted.through("slurm", Pipeline(tmp_path / "run", finished.archive), scheduler)
    before = scheduler.last
    run = here.run_while(lambda _: None, {})
    assert run.status == 0, run.text
    assert "Using workflow specific profile" in run.text
    assert here.pipeline.checksums() == finished.checksums()
    assert (here.pipeline.folder / "results/report/report.html").is_file()

    jobs = {job.number: job for job in scheduler.since(before)}
    assert {job.state for job in jobs.values()} == {"COMPLETED"}
    declared = dict(submissions(run.text))
    assert set(declared) == set(jobs), "jobs that Snakemake names, and jobs that SLURM knows"
    assert {number: job.memory for number, job in jobs.items()} == declared

    again = here.run_while(lambda _: None, {})
    assert again.status == 0, again.text
    assert again.nothing_to_do


def submissions(text: str) -> list[tuple[int, str]]:
    """SLURM's id of each job that Snakemake submitted, and the memory its rule declares."""
    memory = dict(
        re.findall(r"^    jobid: (\d+)\n(?:    .*\n)*?    resources: .*?mem_mb=(\d+)", text, re.M)
    )
    sent = re.findall(r"^Job (\d+) has been submitted with SLURM jobid (\d+)", text, re.M)
    return [(int(number), f"{memory[job]}M") for job, number in sent]
