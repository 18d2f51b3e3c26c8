"""Training under a real SLURM of this machine: tasks of a step, a requeued and a warned job."""

import shlex
import sys
import time

import pytest
from harness import REPOSITORY
from scheduler import Scheduler

sys.path.insert(0, str(REPOSITORY / "tests" / "unit" / "training"))

from training_toys import COMMAND, NETWORK, TRAINING, World, state_file

from cryosamu.tables import HISTORY, read_table
from cryosamu.tensors import read_tensors_header

pytestmark = pytest.mark.workflow

STEADY = NETWORK.model_copy(update={"dropout": 0.0})
# Too many steps for a test, unless it is stopped.
LONG = TRAINING.model_copy(update={"steps": 500, "validate_every": 250})


@pytest.fixture
def world(tmp_path):
    return World(tmp_path).add(1, "train").add(2, "train").add(3, "validation")


class Job:
    """A job that runs what the rule's shell runs."""

    def __init__(
        self, slurm: Scheduler, world, name, training, tasks=1, launcher="", network=NETWORK
    ):
        self.slurm, self.world = slurm, world
        arguments = shlex.join(world.arguments(name, f"state_of_{name}", network, training))
        command = shlex.join([sys.executable, "-c", COMMAND])
        self.log = world.folder / f"{name}.log"
        script = world.folder / f"{name}.sh"
        script.write_text(
            f"#!/bin/bash\nexport OMP_NUM_THREADS=1\n"
            f"bash -c {shlex.quote(f'set -euo pipefail; exec {launcher} {command} {arguments}')}\n"
        )
        options = ["--parsable", "--requeue", f"--ntasks={tasks}", "--mem=4000"]
        options += [f"--output={self.log}", "--open-mode=append", f"--chdir={world.folder}"]
        self.number = self.call("sbatch", *options, str(script)).strip()

    def call(self, *command):
        return self.slurm.ask(*command)

    def status(self):
        return self.call("squeue", "-h", "-t", "all", "-j", self.number, "-o", "%T").strip()

    def wait(self, condition, seconds=600):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.2)

    def wait_for_training(self):
        states = self.world.folder / f"state_of_{self.log.stem}"
        self.wait(lambda: list(states.glob("*/state.safetensors")))
        time.sleep(1)

    def said(self):
        return f"{self.status()} {self.log.read_text() if self.log.exists() else ''}"


def test_the_tasks_of_a_step_train_as_one_process_does(scheduler, world):
    shared = TRAINING.model_copy(update={"batch_size": 4})
    launcher = "srun --kill-on-bad-exit=1"
    job = Job(scheduler, world, "two", shared, 2, launcher, STEADY)
    job.wait(lambda: job.status() in ("COMPLETED", "FAILED"))
    assert job.status() == "COMPLETED", job.said()
    assert job.log.read_text().count("training from scratch") == 1
    world.train("one", "state_of_one", STEADY, shared)
    one, two = (read_table(world.files(name).history, HISTORY) for name in ("one", "two"))
    assert two.drop(columns="value").equals(one.drop(columns="value"))
    assert two.value.to_numpy() == pytest.approx(one.value.to_numpy(), rel=1e-4, abs=1e-6)
    # Both tasks were counted, though the job's own script is none of them.
    about = next((world.folder / "state_of_two").glob("*/about.json")).read_text()
    assert '"processes": 2' in about


def test_a_requeued_job_goes_on_where_it_was(scheduler, world, monkeypatch):
    job = Job(scheduler, world, "again", LONG)
    job.wait_for_training()
    job.call("scontrol", "requeue", job.number)
    # SLURM leaves a requeued job alone for two minutes, so that its node forgets the first try.
    job.wait(lambda: job.status() == "PENDING")
    job.call("scontrol", "update", f"JobId={job.number}", "StartTime=now+3")
    job.wait(lambda: "resuming at step" in job.log.read_text())
    step = int(job.log.read_text().partition("resuming at step ")[2].split()[0])
    assert step > 0
    job.wait(lambda: job.status() in ("COMPLETED", "FAILED"))
    assert job.status() == "COMPLETED", job.said()
    # In a process with as many threads as the job's: equal bits need them.
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    whole = world.command("whole", "state_of_whole", LONG)
    _, said = whole.communicate()
    assert whole.returncode == 0, said
    assert world.outputs("again") == world.outputs("whole")


def test_a_warned_job_keeps_its_steps_and_fails_so_that_it_is_tried_again(scheduler, world):
    """What `sbatch --signal=USR1@60` sends a minute before the end, sent at once."""
    job = Job(scheduler, world, "warned", LONG, launcher="srun")
    job.wait_for_training()
    job.call("scancel", "--signal=USR1", job.number)
    job.wait(lambda: job.status() == "FAILED")
    kept = read_tensors_header(state_file(world, "state_of_warned"))
    assert 0 < kept["step"] < 500
    assert len(kept["losses"]) == kept["step"] % 250
