"""Runs stopped in any step, killed, or asked to stop: resumed with the same bits."""

import signal
import time

import pytest
from training_toys import TRAINING, state_file, train_until

import cryosamu.training.loop as loop
from cryosamu.errors import CheckpointError
from cryosamu.tensors import read_tensors
from cryosamu.training.validation import Validation


@pytest.mark.parametrize("step", [0, 1, 3, 7, 11])
def test_a_run_stopped_in_any_step_ends_in_the_same_bits(world, monkeypatch, step):
    world.train("whole", "state_of_whole")
    train_until(world, monkeypatch, step)
    assert not world.files("stopped").checkpoint.exists()
    said = world.train("stopped")
    assert said == [f"resuming at step {step // 3 * 3}"]
    assert world.outputs("stopped") == world.outputs("whole")


def test_a_killed_process_resumes_in_another_with_the_same_bits(world):
    training = TRAINING.model_copy(update={"steps": 100, "validate_every": 5})
    process = world.command("killed", training=training)
    wait_for_step(world, process, 10)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    state_file(world).with_name(".part-0.safetensors").write_bytes(b"half")
    assert not list(world.folder.glob("killed.*"))
    done = read_tensors(state_file(world))[1]["step"]
    assert 10 <= done < 100
    assert world.train("killed", training=training) == [f"resuming at step {done}"]
    world.train("whole", "state_of_whole", training=training)
    assert world.outputs("killed") == world.outputs("whole")
    assert not list((world.folder / "state").rglob(".part-*"))


def wait_for_step(world, process, step):
    """Wait until the process has kept the state of this step or a later one."""
    deadline = time.monotonic() + 120
    while not any(
        read_tensors(path)[1]["step"] >= step
        for path in (world.folder / "state").glob("*/state.safetensors")
    ):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_sigterm_keeps_every_step_done(world):
    training = TRAINING.model_copy(update={"steps": 5000, "validate_every": 2500})
    process = world.command("a", training=training)
    wait_for_step(world, process, 0)
    time.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130, said
    assert said.splitlines()[0] == "training from scratch"
    header = read_tensors(state_file(world))[1]
    assert 0 < header["step"] < 2500
    assert len(header["losses"]) == header["step"]


def test_a_stop_between_validations_ends_in_the_same_bits(world, monkeypatch):
    handler = signal.getsignal(signal.SIGINT)
    world.train("whole", "state_of_whole")
    real = loop.training_batch

    def batch_and_signal(pairs, settings, step, processes):
        if step == 4:
            signal.raise_signal(signal.SIGINT)
        return real(pairs, settings, step, processes)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "training_batch", batch_and_signal)
        with pytest.raises(KeyboardInterrupt):
            world.train("stopped")
    assert world.train("stopped") == ["resuming at step 4"]
    assert world.outputs("stopped") == world.outputs("whole")
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_rate_that_has_fallen_stays_down_when_resumed(world, monkeypatch):
    monkeypatch.setattr(
        Validation, "measure", lambda self, network, stop: {"validation": {"loss": 0.5}}
    )
    world.train("whole", "state_of_whole")
    train_until(world, monkeypatch, 10)
    world.train("stopped")
    assert world.outputs("stopped") == world.outputs("whole")


def test_a_continued_run_resumes_as_well(world, monkeypatch):
    world.train("first", "state")
    world.train("first", "state_of_whole")
    world.add(4, "train")
    world.train("whole", "state_of_whole")
    train_until(world, monkeypatch, 3)
    assert world.train("stopped")[0] == "resuming at step 3"
    assert world.outputs("stopped") == world.outputs("whole")


def test_a_damaged_state_is_said(world, monkeypatch):
    train_until(world, monkeypatch, 4)
    path = state_file(world)
    content = path.read_bytes()
    path.write_bytes(content[:-10])
    with pytest.raises(CheckpointError, match=r"state\.safetensors: is cut short"):
        world.train()


def test_a_latest_run_without_a_name_is_said(world):
    world.train("first")
    (world.folder / "state" / "latest.json").write_text("{}")
    with pytest.raises(CheckpointError, match="names no run; remove the folder"):
        world.train("next", training=TRAINING.model_copy(update={"seed": 99}))
