"""The training rule as several tasks of one job, as for several GPUs or nodes."""

from __future__ import annotations

import json

import pytest
from scheduler import Submitted

pytestmark = pytest.mark.workflow

# Another learning rate, so that there is something to train.
OTHER_RATE = {"training": {"learning_rate": 0.001}}
TWO_TASKS = (
    *("--set-resources", "train_network:mpi=srun", "train_network:gpu=0", "train_network:tasks=2"),
    "train_network:launcher='srun --ntasks=2 --kill-on-bad-exit=1'",
)


def test_two_tasks_of_a_job_train_together(submitted: Submitted) -> None:
    folder = submitted.pipeline.folder
    before = submitted.scheduler.last
    checkpoint = "results/train/main/checkpoint.safetensors"
    run = submitted.pipeline.run(OTHER_RATE, *TWO_TASKS, "--", checkpoint)
    assert run.status == 0, run.text
    (job,) = submitted.scheduler.since(before)
    assert (job.state, job.tasks) == ("COMPLETED", 2)
    about = max(
        folder.glob("results/train/main/state/*/about.json"), key=lambda path: path.stat().st_mtime
    )
    assert json.loads(about.read_text())["processes"] == 2
