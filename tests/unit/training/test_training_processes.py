"""Several processes under the real torchrun, and a stop in the middle of what takes long."""

import os
import signal
import subprocess
import sys
import time

import pytest
from training_toys import COMMAND, NETWORK, TRAINING, WIDTH

import cryosamu.training.loop as loop
from cryosamu.errors import ConfigError
from cryosamu.network import build_network
from cryosamu.network.checkpoint import load_checkpoint
from cryosamu.tables import HISTORY, read_table
from cryosamu.tensors import read_tensors
from cryosamu.training.parallel import Processes
from cryosamu.training.run import _require_shares

# Without dropout, whose draws differ between processes.
STEADY = NETWORK.model_copy(update={"dropout": 0.0})
SHARED = TRAINING.model_copy(update={"batch_size": 4, "averaging": 0.9, "accumulation": 2})


def torchrun(world, name, training):
    """The command in two processes; its script stands in a file as torchrun wants it."""
    script = world.folder / "train.py"
    script.write_text(COMMAND)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    arguments = world.arguments(name, "state_of_two", STEADY, training)
    return subprocess.Popen(
        [*launcher, "--nproc-per-node", "2", str(script), *arguments],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def values(world, name):
    history = read_table(world.files(name).history, HISTORY)
    return history.set_index(["step", "split", "metric"]).value


def state_step(world, state):
    found = list((world.folder / state).glob("*/state.safetensors"))
    return read_tensors(found[0])[1]["step"] if found else -1


def wait_for(condition, process):
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_two_processes_stopped_and_resumed_train_as_one_does(world):
    long = SHARED.model_copy(update={"steps": 80, "validate_every": 10})
    process = torchrun(world, "two", long)
    wait_for(lambda: state_step(world, "state_of_two") >= 10, process)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    done = state_step(world, "state_of_two")
    assert 10 <= done < 80
    process = torchrun(world, "two", long)
    _, said = process.communicate(timeout=240)
    assert process.returncode == 0, said
    assert said.count(f"resuming at step {done}") == 1
    world.train("one", "state_of_one", STEADY, long)
    one, two = values(world, "one"), values(world, "two")
    assert list(one.index) == list(two.index)
    assert two.to_numpy() == pytest.approx(one.to_numpy(), rel=2e-3, abs=1e-5)
    early = [key for key in one.index if key[0] <= 10]
    assert two[early].to_numpy() == pytest.approx(one[early].to_numpy(), rel=1e-4, abs=1e-6)
    first, second = (load_checkpoint(world.files(name).checkpoint) for name in ("one", "two"))
    assert first[1].training.best_step == second[1].training.best_step


def test_each_process_needs_a_crop():
    network = build_network(NETWORK, WIDTH)
    _require_shares(TRAINING, network, Processes(0, 2))
    with pytest.raises(ConfigError, match="is 2, and 3 processes train together"):
        _require_shares(TRAINING, network, Processes(0, 3))


@pytest.mark.parametrize("place", ["step", "validation"])
def test_a_stop_does_not_wait_for_what_takes_long(world, monkeypatch, place):
    """It is answered within one part of a step, or one batch of a validation; nothing differs."""
    training = TRAINING.model_copy(update={"accumulation": 2})
    world.train("whole", "state_of_whole", training=training)
    real, calls = loop.training_loss, []
    real_measure = loop.Validation.measure

    def loss_and_signal(*given):
        calls.append(1)
        if len(calls) == 9:
            signal.raise_signal(signal.SIGTERM)
        return real(*given)

    def signal_and_measure(self, network, stop):
        calls.append(1)
        if len(calls) == 3:
            signal.raise_signal(signal.SIGTERM)
        return real_measure(self, network, stop)

    with monkeypatch.context() as patch:
        if place == "step":
            patch.setattr(loop, "training_loss", loss_and_signal)
        else:
            patch.setattr(loop.Validation, "measure", signal_and_measure)
        with pytest.raises(KeyboardInterrupt):
            world.train("stopped", training=training)
    assert len(calls) == {"step": 9, "validation": 3}[place]
    kept = {"step": 4, "validation": 6}[place]
    assert state_step(world, "state") == kept
    assert world.train("stopped", training=training) == [f"resuming at step {kept}"]
    assert world.outputs("stopped") == world.outputs("whole")
