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
    run = here.pipeline.run()
    assert run.status == 0, run.text
    assert "Using workflow specific profile" in run.text
    assert here.pipeline.checksums() == finished.checksums()
    assert (here.pipeline.folder / "results/report/report.html").is_file()

    jobs = scheduler.since(before)
    assert {job.state for job in jobs} == {"COMPLETED"}
    submitted = re.findall(r"has been submitted with SLURM jobid (\d+)", run.text)
    assert {job.number for job in jobs} == set(map(int, submitted))
    declared = declared_memory(run.text)
    for job in jobs:
        name, *_ = job.name.split("_wildcards_")
        # A group is called after its rules, and asks for what the largest of a chain asks for.
        rules = [name] if name in declared else [rule for rule in declared if rule in name]
        assert job.memory == f"{max(declared[rule] for rule in rules)}M", job.name

    again = here.pipeline.run()
    assert again.status == 0, again.text
    assert again.nothing_to_do


def declared_memory(text: str) -> dict[str, int]:
    """What each rule asks for, as Snakemake says when it starts a job, in MB."""
    job = r"^ *(?:rule|checkpoint) (\w+):\n(?: +.*\n)*? +resources: .*?mem_mb=(\d+)"
    return {rule: int(number) for rule, number in re.findall(job, text, re.MULTILINE)}
