"""Batches and windows that are halved until memory suffices, or one sentence."""

import math
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from small_networks import Known, header_of, noise, random_network

from cryosamu.config import EnhancementSettings
from cryosamu.enhancement.inference import memory
from cryosamu.enhancement.inference.memory import allowed_memory, free_memory
from cryosamu.enhancement.inference.planning import Limits, predicted
from cryosamu.enhancement.inference.predictor import (
    DevicePredictor,
    is_out_of_memory,
)
from cryosamu.enhancement.whole_map import enhance
from cryosamu.errors import CryosamuError
from cryosamu.volume.volume import Volume

CPU = torch.device("cpu")
EXACT = EnhancementSettings(device="cpu", precision="float32")


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


class Greedy(Known):
    """Runs out of memory for more than so many voxels."""

    def __init__(self, most):
        super().__init__(self.answer)
        self.most, self.asked = most, []

    def answer(self, density):
        self.asked.append(tuple(density.shape))
        if density.numel() > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return 2 * density


def test_a_batch_is_halved_until_memory_suffices():
    network = Greedy(2 * 16**3)
    run = DevicePredictor(network, CPU, torch.float32, at_once=8)
    windows = np.random.default_rng(0).random((7, 16, 16, 16)).astype(np.float32)
    assert np.array_equal(run(windows), 2 * windows)
    assert [shape[0] for shape in network.asked] == [7, 3, 1, 1, 1, 1, 1, 1, 1]
    assert run.at_once == 1


def test_then_the_window_is_halved():
    network, data = Greedy(20_000), noise((48, 48, 48)).data
    settings = EnhancementSettings(device="cpu", margin=8)
    run = DevicePredictor(network, CPU, torch.float32)
    answer, plan, limits = predicted(data, network, [run], settings, Limits(48**3, 1, 4))
    assert np.array_equal(answer, 2 * data)
    assert limits.voxels <= 20_000 * 2
    assert limits.times_halved > 0
    assert math.prod(plan.window) <= 20_000
    assert plan.count > 1


def test_memory_that_suffices_for_nothing_ends_in_a_sentence():
    network = Greedy(10)
    run = DevicePredictor(network, CPU, torch.float32)
    with pytest.raises(CryosamuError, match="memory does not suffice"):
        predicted(noise((24, 24, 24)).data, network, [run], EXACT, Limits(24**3, 1, 1))


def test_a_process_with_little_memory_goes_on_with_smaller_windows():
    """A real limit, which the settings deny: what torch raises is what is caught."""
    folder = str(Path(__file__).parent)
    script = f"""
import resource, sys
sys.path.insert(0, {folder!r})
import numpy as np, psutil, torch
torch.set_num_threads(1)
from small_networks import Known, header_of
from cryosamu.config import EnhancementSettings
from cryosamu.enhancement.whole_map import enhance
from cryosamu.volume.volume import Volume

def hungry(density):
    return density + 0 * torch.ones((1, 200, *density.shape[2:])).mean(1, keepdim=True)

data = np.random.default_rng(5).normal(size=(96, 96, 96)).astype(np.float32)
volume, network = Volume(data, (1.0, 1.0, 1.0)), Known(hungry)
settings = EnhancementSettings(device="cpu", memory=1000.0, margin=8)
small = Volume(data[:16, :16, :16].copy(), (1.0, 1.0, 1.0))
enhance(small, network, header_of(), settings=settings)
limit = psutil.Process().memory_info().vms + 400_000_000
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
made = enhance(volume, network, header_of(), settings=settings)
windows = made.record["windows"]
assert network.shapes[1] == (96, 96, 96), network.shapes
assert windows["count"] > 1, windows
positive = data[data > 0]
assert np.abs(made.volume.data - np.clip(data, 0, np.percentile(positive, 99.999))).max() < 1e-5
print("windows", windows["count"])
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"windows \d+\n", done.stdout)


def test_the_packaged_network_in_ever_less_memory_gives_its_answer_or_one_sentence():
    """A real limit on a real network, whose lack of memory oneDNN tells in its own words."""
    script = """
import os, resource
import numpy as np, psutil, torch
torch.set_num_threads(1)
from cryosamu.config import EnhancementSettings
from cryosamu.enhancement.released import released_checkpoint
from cryosamu.enhancement.whole_map import enhance
from cryosamu.errors import CryosamuError
from cryosamu.network.checkpoint import load_checkpoint
from cryosamu.volume.volume import Volume

network, header = load_checkpoint(released_checkpoint())
data = np.random.default_rng(5).normal(size=(80, 80, 80)).astype(np.float32)
small, volume = (Volume(one, (1.0, 1.0, 1.0)) for one in (data[:16, :16, :16], data))
settings = EnhancementSettings(device="cpu", memory=1000.0, margin=8, precision="float32")
enhance(small, network, header, settings=settings)
for room in (0, 20, 40):
    # In a process each: oneDNN remembers for which shapes memory did not suffice.
    if os.fork() == 0:
        limit = psutil.Process().memory_info().vms + room * 1_000_000
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        try:
            made = enhance(volume, network, header, settings=settings)
            print("windows", made.record["windows"]["count"], flush=True)
        except CryosamuError as error:
            print("refused", error, flush=True)
        os._exit(0)
    os.wait()
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    outcomes = done.stdout.splitlines()
    assert len(outcomes) == 3
    assert all(re.match(r"windows \d+|refused the memory does not", one) for one in outcomes)
    assert outcomes[0].startswith("refused")


def test_memory_that_ends_in_the_probe_costs_only_the_forecast_of_time():
    for most, words in ((40**3, "about .* GB"), (10**3, r"float32: [\d.]+ GB")):
        told, network = [], Greedy(most)
        settings = EXACT.model_copy(update={"margin": 0})
        volume = noise((256, 128, 128) if most > 32**3 else (48, 48, 48))
        made = enhance(volume, network, header_of(), settings=settings, announce=told.append)
        assert re.search(words, told[0])
        assert made.record["memory"]["times_halved"] > 0


def test_memory_that_ends_in_the_answer_to_solvent_is_asked_for_less_or_ends_before_the_work():
    data = np.zeros((96, 96, 96), np.float32)
    data[8:20, 8:20, 8:20] = noise((12, 12, 12)).data + 5
    volume = Volume(data, (1.0, 1.0, 1.0))
    network = Greedy(24**3)
    network.margin = 20
    settings = EXACT.model_copy(update={"margin": 8})
    made = enhance(volume, network, header_of(percentile=100), settings=settings)
    assert [shape[2] for shape in network.asked[:2]] == [44, 20]
    assert np.abs(made.volume.data - 2 * data).max() < 1e-5
    network.asked, network.most = [], 10
    with pytest.raises(CryosamuError, match=r"memory does not suffice.*enhancement\.margin"):
        enhance(volume, network, header_of(), settings=settings)
    assert [shape[2] for shape in network.asked] == [44, 20]


def test_what_memory_taught_in_one_rotation_holds_in_the_next():
    network, volume = Greedy(20_000), noise((48, 48, 48))
    settings = EXACT.model_copy(update={"margin": 8, "averaging": 4})
    made = enhance(volume, network, header_of(), settings=settings)
    refused = [number for number, shape in enumerate(network.asked) if math.prod(shape) > 20_000]
    assert refused == list(range(len(refused)))
    windows = made.record["windows"]
    assert made.record["memory"]["times_halved"] == len(refused)
    assert windows["count"] == len(network.asked) - len(refused)
    assert [windows["count"] // 4, windows["shape"]] == windows["of_each_rotation"][0]
    assert len(windows["of_each_rotation"]) == 4
    seen = sum(map(math.prod, network.asked[len(refused) :]))
    assert windows["passes_per_voxel"] == round(seen / volume.data.size, 4)


def test_the_memory_that_decided_the_windows_is_recorded():
    settings = EXACT.model_copy(update={"memory": 1.0})
    made = enhance(noise((24, 24, 24)), random_network(), header_of(), settings=settings)
    assert made.record["memory"] == {"allowed_bytes": 10**9, "times_halved": 0}
    assert made.record["windows"]["at_once"] == 1


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("could not create a memory object", True),
        ("could not create a primitive", True),
        ("could not create a primitive descriptor for a convolution", False),
        ("std::bad_alloc", True),
        ("cuDNN error: CUDNN_STATUS_ALLOC_FAILED", True),
        ("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 bytes", True),
        ("CUDA error: an illegal memory access was encountered", False),
    ],
)
def test_what_is_told_of_lack_of_memory(words, meant):
    assert is_out_of_memory(RuntimeError(words)) is meant
    assert not is_out_of_memory(ValueError(words))


def test_memory_is_that_of_the_tightest_limit(tmp_path):
    membership = tmp_path / "cgroup"
    membership.write_text("5:memory:/jobs/one\n0::/jobs/one\n", encoding="ascii")
    group = tmp_path / "jobs" / "one"
    group.mkdir(parents=True)
    (group / "memory.max").write_text("5000000\n", encoding="ascii")
    (group / "memory.current").write_text("3000000\n", encoding="ascii")
    (group / "memory.stat").write_text("anon 5\ninactive_file 1000000\n", encoding="ascii")
    (group.parent / "memory.max").write_text("max\n", encoding="ascii")
    (group.parent / "memory.current").write_text("9\n", encoding="ascii")
    old = tmp_path / "memory" / "jobs" / "one"
    old.mkdir(parents=True)
    (old / "memory.limit_in_bytes").write_text("700\n", encoding="ascii")
    (old / "memory.usage_in_bytes").write_text("100\n", encoding="ascii")
    found = memory._group_memory(membership, tmp_path)
    assert sorted(found) == [(700, 100), (5_000_000, 2_000_000)]
    assert memory._group_memory(tmp_path / "none", tmp_path) == []
    assert 0 < free_memory() < 1e15
    assert allowed_memory(EnhancementSettings(memory=1.5), CPU) == 1_500_000_000
