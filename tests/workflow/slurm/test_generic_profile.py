"""The profile for any scheduler, through its three programs, on the real SLURM."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from harness import Pipeline
from scheduler import Scheduler, Submitted, wait_until
from test_faults import FIRST, SECOND, STRICTER

pytestmark = pytest.mark.workflow


@pytest.fixture
def generic(finished: Pipeline, scheduler: Scheduler, seen: None, tmp_path: Path) -> Submitted:
    return Submitted.through("generic", finished.copy(tmp_path / "run"), scheduler)


def test_a_killed_head_takes_up_its_jobs_again_and_a_silent_controller_is_waited_for(
    generic: Submitted,
) -> None:
    slurm, pipeline = generic.scheduler, generic.pipeline
    before = slurm.last

    def kill(process: subprocess.Popen[str]) -> None:
        generic.running(before)
        os.killpg(process.pid, signal.SIGKILL)

    assert generic.run_while(kill, STRICTER, "--", SECOND).status == -signal.SIGKILL
    unlocked = pipeline.run(STRICTER, "--unlock")
    assert unlocked.status == 0, unlocked.text

    def silence(_: subprocess.Popen[str]) -> None:
        generic.running(before, nth=2)
        slurm.stop_controller()
        # Longer than SLURM's commands ask.
        time.sleep(12)
        slurm.start_controller()

    run = generic.run_while(silence, STRICTER, "--", SECOND)
    assert run.status == 0, run.text
    assert "Resuming incomplete job" in run.text
    first, second = slurm.since(before)
    assert (first.state, second.state) == ("COMPLETED", "COMPLETED")
    assert first.name != second.name


def test_ctrl_c_cancels_the_jobs(generic: Submitted) -> None:
    slurm = generic.scheduler
    before = slurm.last

    def interrupt(process: subprocess.Popen[str]) -> None:
        generic.running(before)
        os.killpg(process.pid, signal.SIGINT)

    assert generic.run_while(interrupt, STRICTER, "--", FIRST).status != 0
    wait_until(lambda: not slurm.queue(), "jobs were left in the queue")
    assert [job.state for job in slurm.since(before)] == ["CANCELLED"]
