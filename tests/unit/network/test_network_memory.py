"""What a pass takes of memory, and what a network says that it does."""

import os
import subprocess
import sys

import pytest
import torch
from compact_variants import random_network

from cryosamu.network import streamed


def test_memory_grows_with_the_coarser_grids_alone(monkeypatch):
    network = random_network("default", (1, 2, 4))  # 4, 8 and 16 channels
    fixed, each = network.memory(torch.float32)
    assert each == pytest.approx(8 + 1.1 * (8 * 4 / 8 + 16 * 4 / 64))
    assert network.memory(torch.bfloat16)[1] == pytest.approx(8 + 1.1 * (4 + 1) / 2)
    for able, size in ((True, 2), (False, 4)):
        monkeypatch.setattr(streamed, "has_bfloat16", lambda _, able=able: able)
        assert network.memory(torch.int8)[1] == pytest.approx(8 + 1.1 * (4 + 1) * size / 4)
    assert random_network("blocks").memory(torch.float32)[1] > each
    assert network.memory(torch.float32, 1000)[0] == fixed + 28 * 4 * 2 * 1000


_PASS = """
import sys, torch
from cryosamu.config import NetworkSettings
from cryosamu.network import build_network
torch.set_num_threads(1)
*shape, kind = sys.argv[1:]
shape, dtype = [int(edge) for edge in shape], getattr(torch, kind)
network = build_network(NetworkSettings(name="compact", base_channels=12, multipliers=(1, 4)), 8)
def kilobytes(name):
    [line] = [line for line in open("/proc/self/status") if line.startswith(name)]
    return int(line.split()[1])
with torch.inference_mode():
    network.for_inference(dtype)
    fixed, each = network.memory(dtype, shape[1] * shape[2])
    density = torch.rand(1, 1, *shape)
    open("/proc/self/clear_refs", "w").write("5")
    before = kilobytes("VmRSS")
    network(density)
    taken = 1024 * (kilobytes("VmHWM") - before) + 4 * density.numel()
print(taken, fixed + each * density.numel())
"""


@pytest.mark.skipif(
    not os.access("/proc/self/clear_refs", os.W_OK), reason="this system tells no peak of memory"
)
@pytest.mark.parametrize("shape", [(8, 768, 768), (120, 120, 120)])
@pytest.mark.parametrize("kind", ["float32", "bfloat16"])
def test_a_pass_takes_no_more_memory_than_it_says(shape, kind):
    done = subprocess.run(
        [sys.executable, "-c", _PASS, *map(str, shape), kind],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    taken, said = map(float, done.stdout.split())
    assert 0.2 * said < taken <= said
