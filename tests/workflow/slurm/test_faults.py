"""Killed jobs, jobs short of memory, heads that die, a controller that restarts: real ones."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest
from scheduler import Submitted, wait_until

pytestmark = pytest.mark.workflow

# Two short jobs, one after the other: the last filters, and the split.
STRICTER = {"curation": {"correlation": {"minimum": 0.95}}}
FIRST, SECOND = "results/curate/decisions.parquet", "results/split/split.parquet"
FIRST_RULE = "filter_maps"


def test_killed_jobs_are_submitted_again_with_what_the_next_attempt_asks_for(
    submitted: Submitted,
) -> None:
    slurm = submitted.scheduler
    before = slurm.last

    def cancel_and_kill(_: subprocess.Popen[str]) -> None:
        first = submitted.running(before)
        slurm.ask("scancel", str(first.number))
        second = submitted.running(first.number)
        wait_until(lambda: slurm.command_of(second), "the second attempt ran no command")
        os.kill(slurm.command_of(second)[0], signal.SIGKILL)

    run = submitted.run_while(cancel_and_kill, STRICTER, *growing_memory(1000), "--", FIRST)
    assert run.status == 0, run.text
    jobs = slurm.since(before)
    assert [job.state for job in jobs] == ["CANCELLED", "FAILED", "COMPLETED"]
    assert [job.memory for job in jobs] == ["1000M", "2000M", "3000M"]
    assert {job.name for job in jobs} == {FIRST_RULE}


def test_a_preempted_job_goes_back_into_the_queue_and_snakemake_waits_for_it(
    submitted: Submitted,
) -> None:
    slurm = submitted.scheduler
    before = slurm.last

    def requeue(_: subprocess.Popen[str]) -> None:
        number = str(submitted.running(before).number)
        slurm.ask("scontrol", "requeue", number)
        wait_until(lambda: slurm.since(before)[0].state == "PENDING", "not in the queue again")
        # SLURM holds it back for two minutes, so that its node forgets the first try.
        slurm.ask("scontrol", "update", f"JobId={number}", "StartTime=now+3")

    run = submitted.run_while(requeue, STRICTER, "--", FIRST)
    assert run.status == 0, run.text
    (job,) = slurm.since(before)
    assert (job.state, job.restarts) == ("COMPLETED", 1)


def test_a_job_that_takes_more_memory_than_it_asked_for_is_submitted_again_with_more(
    submitted: Submitted,
) -> None:
    slurm = submitted.scheduler
    before = slurm.last
    # Python, NumPy and PyArrow alone take more than the first attempt gets.
    run = submitted.run_while(lambda _: None, STRICTER, *growing_memory(150), "--", FIRST)
    assert run.status == 0, run.text
    *failed, last = slurm.since(before)
    assert failed
    assert {job.state for job in failed} == {"FAILED"}
    assert last.state == "COMPLETED"
    assert [job.memory for job in (*failed, last)] == [
        f"{150 * attempt}M" for attempt in range(1, len(failed) + 2)
    ]
    logs = [path.read_text() for path in submitted.pipeline.folder.glob("logs/slurm/*/**/*.log")]
    assert sum("exceeded memory limit" in log for log in logs) == len(failed)


def growing_memory(megabytes: int) -> tuple[str, str]:
    """Options by which the first job asks for so much memory an attempt."""
    return "--set-resources", f"{FIRST_RULE}:mem_mb=attempt * {megabytes}"


def test_ctrl_c_empties_the_queue_and_a_killed_head_is_resumed_without_repeating_what_is_done(
    submitted: Submitted,
) -> None:
    slurm, pipeline = submitted.scheduler, submitted.pipeline
    before = slurm.last

    def interrupt(process: subprocess.Popen[str]) -> None:
        second = submitted.running(before, nth=2)
        wait_until(lambda: slurm.command_of(second), "the second job ran no command")
        # The archive's server passes it on to Snakemake: once, as a terminal would.
        process.send_signal(signal.SIGINT)

    run = submitted.run_while(interrupt, STRICTER, "--", SECOND)
    assert run.status != 0
    wait_until(lambda: not slurm.queue(), "jobs were left in the queue")
    first, second = slurm.since(before)
    assert (first.state, second.state) == ("COMPLETED", "CANCELLED")

    def kill(process: subprocess.Popen[str]) -> None:
        submitted.running(second.number)
        os.killpg(process.pid, signal.SIGKILL)

    run = submitted.run_while(kill, STRICTER, "--", SECOND)
    assert run.status == -signal.SIGKILL
    assert slurm.queue(), "the job of a killed head goes on"
    slurm.cancel_run()
    assert pipeline.run(STRICTER, "--", SECOND).status != 0, "the killed run left no lock"
    unlocked = pipeline.run(STRICTER, "--unlock")
    assert unlocked.status == 0, unlocked.text
    run = pipeline.run(STRICTER, "--", SECOND)
    assert run.status == 0, run.text
    names = [job.name for job in slurm.since(before)]
    assert names == [first.name, second.name, second.name, second.name]
    assert pipeline.run(STRICTER, "--", SECOND).nothing_to_do


def test_a_controller_that_restarts_loses_no_job(submitted: Submitted) -> None:
    slurm = submitted.scheduler
    before = slurm.last

    def restart(_: subprocess.Popen[str]) -> None:
        submitted.running(before)
        slurm.stop_controller()
        # SLURM's commands ask for 9 s before they give up.
        time.sleep(6)
        slurm.start_controller()

    run = submitted.run_while(restart, STRICTER, "--", SECOND)
    assert run.status == 0, run.text
    assert [job.state for job in slurm.since(before)] == ["COMPLETED", "COMPLETED"]
