"""A cluster's warning: what is finished is on disk at once, whatever is being computed."""

import os
import shlex
import signal
import subprocess
import sys
import threading
import time

import pytest
from training_toys import COMMAND, NETWORK, TRAINING, state_file

from cryosamu.tensors import read_tensors
from cryosamu.training.interruption import SIGNALS, StopRequest, stop_requests

LONG = TRAINING.model_copy(update={"steps": 4000, "validate_every": 2000})
# In the loss of the eighth step the main thread waits in C for a lock that nobody gives back: as
# deaf to Python's handlers as a backward pass, or a wait for another process.
DEAF = f"""
import ctypes
import sys
import cryosamu.training.loop as loop
real, calls = loop.training_loss, []
def loss_that_hangs(*given):
    calls.append(1)
    if len(calls) == 8:
        print("deaf", file=sys.stderr, flush=True)
        lock = ctypes.create_string_buffer(64)
        for _ in range(2):
            ctypes.CDLL(None).pthread_mutex_lock(lock)
    return real(*given)
loop.training_loss = loss_that_hangs
{COMMAND}"""


def read_step(world):
    return read_tensors(state_file(world))[1]["step"]


def wait_until(condition, process, seconds=120.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_warning_in_the_middle_of_a_long_computation_keeps_all_finished_steps(world, number):
    training = TRAINING.model_copy(update={"steps": 12, "validate_every": 5})
    process = world.command("stopped", training=training, script=DEAF)
    assert [process.stderr.readline() for _ in range(2)][1] == "deaf\n"
    assert read_step(world) == 5
    process.send_signal(number)
    wait_until(lambda: read_step(world) == 7, process, seconds=20)
    process.kill()
    process.communicate()
    assert world.train("stopped", training=training) == ["resuming at step 7"]
    world.train("whole", "state_of_whole", training=training)
    assert world.outputs("stopped") == world.outputs("whole")


def test_what_is_kept_is_never_between_two_steps(world):
    """Signal after signal, from another process: each state that is found resumes to one end."""
    training = TRAINING.model_copy(update={"steps": 240, "validate_every": 80, "averaging": 0.9})
    world.train("whole", "state_of_whole", training=training)
    process = world.command("stopped", training=training)
    wait_until(lambda: list((world.folder / "state").glob("*/state.safetensors")), process)
    time.sleep(0.1)
    for _ in range(5):
        process.send_signal(signal.SIGUSR1)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    header = read_tensors(state_file(world))[1]
    assert len(header["losses"]) == header["step"] % 80
    world.train("stopped", training=training)
    assert world.outputs("stopped") == world.outputs("whole")


@pytest.mark.parametrize("target", ["shell", "group"])
def test_a_warning_to_snakemakes_shell_reaches_the_training(world, target):
    """Snakemake runs `bash -c "set -euo pipefail; ..."`; the rule's command begins with exec."""
    arguments = shlex.join(world.arguments("a", "state", NETWORK, LONG))
    script = shlex.join([sys.executable, "-c", COMMAND])
    log = world.folder / "train.log"
    process = subprocess.Popen(
        ["bash", "-c", f"set -euo pipefail; exec  {script} {arguments} 2> {log}"],
        start_new_session=True,
    )
    wait_until(lambda: list((world.folder / "state").glob("*/state.safetensors")), process)
    time.sleep(0.3)
    if target == "shell":
        process.terminate()
    else:
        os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(60) == 130, log.read_text()
    assert 0 < read_step(world) < 2000


def test_the_rules_command_replaces_its_shell(repository):
    rule = (repository / "workflow" / "rules" / "train.smk").read_text()
    command = rule.partition("shell:")[2]
    assert command.split('"')[1].startswith("exec ")


def test_handlers_threads_and_pipes_are_as_before():
    handlers = [signal.getsignal(number) for number in SIGNALS]
    files = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    kept = threading.Event()
    with stop_requests(kept.set) as stop:
        assert not stop.made
        signal.raise_signal(signal.SIGUSR1)
        assert kept.wait(10)
        assert stop.made
    assert [signal.getsignal(number) for number in SIGNALS] == handlers
    assert signal.set_wakeup_fd(-1) == -1
    assert len(os.listdir("/proc/self/fd")) == files  # noqa: PTH208
    assert not [one for one in threading.enumerate() if one.name == "stop-requests"]


def test_a_second_ctrl_c_does_not_wait_and_a_second_warning_does():
    request = StopRequest()
    request.make(signal.SIGTERM, None)
    request.make(signal.SIGTERM, None)
    assert request.made
    with pytest.raises(KeyboardInterrupt):
        request.make(signal.SIGINT, None)
