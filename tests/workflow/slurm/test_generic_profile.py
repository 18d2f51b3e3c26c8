"""The profile for any scheduler, through its three programs, on the real SLURM."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest
from harness import Pipeline
from scheduler import ONE_BY_ONE, Scheduler, Submitted, wait_until

pytestmark = pytest.mark.workflow


@pytest.fixture
def generic(finished: Pipeline, scheduler: Scheduler, seen: None, tmp_path: Path) -> Submitted:
    return Submitted.through("generic", finished.copy(tmp_path / "run"), scheduler)


def test_a_killed_job_is_submitted_again_and_a_silent_controller_is_waited_for(
    generic: Submitted,
) -> None:
    slurm, undone = generic.scheduler, generic.undo()
    before = slurm.last

    def cancel_and_silence(process: subprocess.Popen[str]) -> None:
        first = generic.running(process, before)
        slurm.ask("scancel", str(first.number))
        generic.working(process, first.number)
        slurm.stop_controller()
        # Longer than SLURM's commands ask.
        time.sleep(12)
        slurm.start_controller()

    run = generic.run_while(cancel_and_silence, *ONE_BY_ONE, "--", *undone)
    assert run.status == 0, run.text
    assert "profiles/generic" in run.text
    jobs = slurm.since(before)
    assert [job.state for job in jobs] == ["CANCELLED", "COMPLETED", "COMPLETED"]
    assert all((generic.pipeline.folder / table).is_file() for table in undone)


def test_ctrl_c_cancels_the_jobs(generic: Submitted) -> None:
    slurm, undone = generic.scheduler, generic.undo()
    before = slurm.last

    def interrupt(process: subprocess.Popen[str]) -> None:
        generic.running(process, before)
        # The archive's server passes it on to Snakemake: once, as a terminal would.
        process.send_signal(signal.SIGINT)

    assert generic.run_while(interrupt, "--", undone[0]).status != 0
    wait_until(lambda: not slurm.queue(), "jobs were left in the queue")
    assert [job.state for job in slurm.since(before)] == ["CANCELLED"]
