"""One command line alone, several times on a machine, or once a task of a SLURM step."""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest
import torch
from training_toys import COMMAND, NETWORK, TRAINING, state_file

from cryosamu.errors import CryosamuError
from cryosamu.network.checkpoint import load_checkpoint
from cryosamu.tables import HISTORY, read_table
from cryosamu.tensors import read_tensors
from cryosamu.training.launch import Place, first_host, place_among_processes
from cryosamu.training.parallel import Processes

# Without dropout, whose draws differ between processes.
STEADY = NETWORK.model_copy(update={"dropout": 0.0})
SHARED = TRAINING.model_copy(update={"batch_size": 4, "averaging": 0.9, "accumulation": 2})
STEP = {
    "SLURM_JOB_ID": "4711",
    "SLURM_STEP_ID": "0",
    "SLURM_STEP_NUM_TASKS": "2",
    "SLURM_STEP_NODELIST": "gpu[003-004,7],login",
    "SLURM_PROCID": "1",
    "SLURM_LOCALID": "0",
}


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("node1", "node1"),
        ("a,b", "a"),
        ("gpu[003-010]", "gpu003"),
        ("gpu[7,12-13],cpu[1-2]", "gpu7"),
        ("rack[0-1]node[4-7]", "rack0node4"),
        ("n[1-3]-ib,other", "n1-ib"),
    ],
)
def test_the_first_host_of_slurms_list(nodes, first):
    # What `scontrol show hostnames` prints first.
    assert first_host(nodes) == first


def test_a_steps_task_knows_its_place():
    place = place_among_processes(STEP)
    assert (place.rank, place.size, place.local_rank) == (1, 2, 0)
    host, _, port = place.address.removeprefix("tcp://").partition(":")
    assert host == "gpu003"
    assert 15_000 <= int(port) < 32_000
    other_step = place_among_processes(STEP | {"SLURM_STEP_ID": "1"}).address
    other_job = place_among_processes(STEP | {"SLURM_JOB_ID": "4712"}).address
    assert len({place.address, other_step, other_job}) == 3
    wanted = STEP | {"MASTER_ADDR": "10.0.0.7", "MASTER_PORT": "5555"}
    assert place_among_processes(wanted).address == "tcp://10.0.0.7:5555"


def test_who_is_alone():
    batch_script = {"SLURM_JOB_ID": "1", "SLURM_NTASKS": "8", "SLURM_PROCID": "0"}
    one_task = STEP | {"SLURM_STEP_NUM_TASKS": "1"}
    assert place_among_processes({}) is None
    assert place_among_processes(batch_script) is None
    assert place_among_processes(one_task) is None


def test_torchrun_under_srun_counts():
    torchrun = {"TORCHELASTIC_RUN_ID": "x", "RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1"}
    assert place_among_processes(STEP | torchrun) == Place(5, 8, 1, None)


def test_an_incomplete_step_is_said():
    without = {name: value for name, value in STEP.items() if name != "SLURM_PROCID"}
    with pytest.raises(CryosamuError, match="SLURM_PROCID is not set; start them with srun"):
        place_among_processes(without)


def tasks(world, training, script=COMMAND):
    """Two real processes with the environment that srun gives to the tasks of a step."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = world.arguments("two", "state_of_two", STEADY, training)
    step = STEP | {"SLURM_STEP_NODELIST": "localhost", "MASTER_PORT": str(port)}
    return [
        subprocess.Popen(
            [sys.executable, "-c", script, *arguments],
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ
            | step
            | {"OMP_NUM_THREADS": "1", "SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank)},
        )
        for rank in range(2)
    ]


def own_processes(world, training):
    """The command alone, told to start two of itself."""
    two = training.model_copy(update={"processes": 2})
    arguments = world.arguments("two", "state_of_two", STEADY, two)
    command = [sys.executable, "-m", "cryosamu.cli.main", "train", *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return [subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)]


@pytest.mark.parametrize("start", [tasks, own_processes])
def test_several_processes_train_as_one_does(world, start):
    processes = start(world, SHARED)
    said = [process.communicate(timeout=240)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), said
    assert "".join(said).count("training from scratch") == 1
    assert world.train("one", "state_of_one", STEADY, SHARED) == ["training from scratch"]
    one, two = (read_table(world.files(name).history, HISTORY) for name in ("one", "two"))
    assert two.drop(columns="value").equals(one.drop(columns="value"))
    assert two.value.to_numpy() == pytest.approx(one.value.to_numpy(), rel=1e-4, abs=1e-6)
    (first, _), (second, _) = (
        load_checkpoint(world.files(name).checkpoint) for name in ("one", "two")
    )
    for kept, wanted in zip(second.parameters(), first.parameters(), strict=True):
        # AdamW turns the rounding of a gradient near zero into a part of a step of 2e-3.
        assert torch.allclose(kept, wanted, atol=2e-4)
    # Where a training ran is no part of which training it is.
    assert world.train("one", "state_of_two", STEADY, SHARED)[0].startswith("this training is fini")


LOSES = f"""
import os, signal
import cryosamu.training.loop as loop
real = loop.take_step
def step_or_die(state, *given):
    if state.step == 5 and os.environ["SLURM_PROCID"] == "1":
        os.kill(os.getpid(), signal.SIGKILL)
    return real(state, *given)
loop.take_step = step_or_die
{COMMAND}"""


def test_a_process_that_dies_ends_the_others_in_a_sentence_and_nothing_is_lost(world):
    first, second = tasks(world, SHARED, LOSES)
    _, said = first.communicate(timeout=120)
    second.communicate(timeout=10)
    assert (first.returncode, second.returncode) == (1, -signal.SIGKILL), said
    assert "another process of this training has ended" in said
    assert "Traceback" not in said
    assert read_tensors(state_file(world, "state_of_two"))[1]["step"] == 5


def test_a_warning_ends_processes_that_the_command_started(world):
    long = SHARED.model_copy(update={"steps": 4000, "validate_every": 2000})
    (process,) = own_processes(world, long)
    deadline = time.monotonic() + 120
    while not list((world.folder / "state_of_two").glob("*/state.safetensors")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(signal.SIGUSR1)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "interrupted; finished work is kept" in said
    assert 0 < read_tensors(state_file(world, "state_of_two"))[1]["step"] < 2000


def test_processes_that_see_different_states_do_not_train(world, monkeypatch):
    two = Processes(0, 2)
    monkeypatch.setattr(Processes, "gather", lambda self, own: [*own, ("scratch", "ab", 0)])
    two.require_agreement(("scratch", "ab", 0), world.folder)
    with pytest.raises(CryosamuError, match="different states for different processes"):
        two.require_agreement(("resume", "ab", 10), world.folder)
