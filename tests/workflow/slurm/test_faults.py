"""Killed jobs, jobs short of memory, heads that die, a controller that restarts: real ones."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest
from scheduler import ONE_BY_ONE, REDONE, Submitted, wait_until

pytestmark = pytest.mark.workflow


def test_killed_jobs_are_submitted_again_with_what_the_next_attempt_asks_for(
    submitted: Submitted, undone: list[str]
) -> None:
    slurm = submitted.scheduler
    before = slurm.last

    def cancel_and_kill(process: subprocess.Popen[str]) -> None:
        first = submitted.running(process, before)
        slurm.ask("scancel", str(first.number))
        second = submitted.working(process, first.number)
        os.kill(slurm.command_of(second)[0], signal.SIGKILL)

    run = submitted.run_while(cancel_and_kill, *growing_memory("1000 * attempt"), "--", undone[0])
    assert run.status == 0, run.text
    jobs = slurm.since(before)
    assert [job.state for job in jobs] == ["CANCELLED", "FAILED", "COMPLETED"]
    assert [job.memory for job in jobs] == ["1000M", "2000M", "3000M"]
    assert len({job.name for job in jobs}) == 1


def test_a_preempted_job_goes_back_into_the_queue_and_snakemake_waits_for_it(
    submitted: Submitted, undone: list[str]
) -> None:
    slurm = submitted.scheduler
    before = slurm.last

    def requeue(process: subprocess.Popen[str]) -> None:
        number = str(submitted.running(process, before).number)
        slurm.ask("scontrol", "requeue", number)
        wait_until(lambda: slurm.since(before)[0].state == "PENDING", "not in the queue again")
        # SLURM holds it back for two minutes, so that its node forgets the first try.
        slurm.ask("scontrol", "update", f"JobId={number}", "StartTime=now+3")

    run = submitted.run_while(requeue, "--", undone[0])
    assert run.status == 0, run.text
    (job,) = slurm.since(before)
    assert (job.state, job.restarts) == ("COMPLETED", 1)


def test_a_job_that_takes_more_memory_than_it_asked_for_is_submitted_again_with_more(
    submitted: Submitted, undone: list[str]
) -> None:
    slurm = submitted.scheduler
    before = slurm.last
    # Snakemake within the job alone takes more than the first attempt gets, all the while: SLURM
    # looks once a second, and a rule's own command may be done by then.
    run = submitted.pipeline.run(None, *growing_memory("50 * 30 ** (attempt - 1)"), "--", undone[0])
    assert run.status == 0, run.text
    failed, last = slurm.since(before)
    assert (failed.state, last.state) == ("FAILED", "COMPLETED")
    assert (failed.memory, last.memory) == ("50M", "1500M")
    logs = [path.read_text() for path in submitted.pipeline.folder.glob("logs/slurm/*/**/*.log")]
    assert sum("exceeded memory limit" in log for log in logs) == 1


def growing_memory(megabytes: str) -> tuple[str, str]:
    """Options by which a job asks for so much memory, in which `attempt` counts."""
    return "--set-resources", f"{REDONE}:mem_mb={megabytes}"


def test_ctrl_c_empties_the_queue_and_a_killed_head_is_resumed_without_repeating_what_is_done(
    submitted: Submitted, undone: list[str]
) -> None:
    slurm, pipeline = submitted.scheduler, submitted.pipeline
    before = slurm.last

    def interrupt(process: subprocess.Popen[str]) -> None:
        submitted.working(process, before, nth=2)
        # The archive's server passes it on to Snakemake: once, as a terminal would.
        process.send_signal(signal.SIGINT)

    run = submitted.run_while(interrupt, *ONE_BY_ONE, "--", *undone)
    assert run.status != 0
    wait_until(lambda: not slurm.queue(), "jobs were left in the queue")
    first, second = slurm.since(before)
    assert (first.state, second.state) == ("COMPLETED", "CANCELLED"), run.text

    def kill(process: subprocess.Popen[str]) -> None:
        submitted.running(process, second.number)
        os.killpg(process.pid, signal.SIGKILL)

    run = submitted.run_while(kill, *ONE_BY_ONE, "--", *undone)
    assert run.status == -signal.SIGKILL
    assert slurm.queue(), "the job of a killed head goes on"
    slurm.cancel_run()
    assert pipeline.run(None, *ONE_BY_ONE, "--", *undone).status != 0, "the killed run left no lock"
    unlocked = pipeline.run(None, "--unlock")
    assert unlocked.status == 0, unlocked.text
    run = pipeline.run(None, *ONE_BY_ONE, "--", *undone)
    assert run.status == 0, run.text
    names = [job.name for job in slurm.since(before)]
    assert names == [first.name, second.name, second.name, second.name]
    assert pipeline.run(None, *ONE_BY_ONE, "--", *undone).nothing_to_do


def test_a_controller_that_restarts_loses_no_job(submitted: Submitted, undone: list[str]) -> None:
    slurm = submitted.scheduler
    before = slurm.last

    def restart(process: subprocess.Popen[str]) -> None:
        submitted.working(process, before)
        slurm.stop_controller()
        # SLURM's commands ask for 9 s before they give up.
        time.sleep(6)
        slurm.start_controller()

    run = submitted.run_while(restart, *ONE_BY_ONE, "--", *undone)
    assert run.status == 0, run.text
    assert [job.state for job in slurm.since(before)] == ["COMPLETED", "COMPLETED"]
