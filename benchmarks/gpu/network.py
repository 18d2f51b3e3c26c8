"""Training crops a second and seconds a whole map, for each network, on a GPU.

Training is the step of `cryosamu train` on batches that already lie in the device's memory:
forward, loss, backward, clipping, AdamW. Inference is a map of noise from the computer's memory
through the windows of `cryosamu enhance` and back. Both in float32, as the commands run.

    python benchmarks/gpu/network.py --output benchmarks/results/gpu_network.json
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from cryosamu.config import NetworkSettings, TrainingSettings
from cryosamu.enhancement.inference.predictor import DevicePredictor, Told
from cryosamu.files import write_text
from cryosamu.network import EnhancementNetwork, build_network
from cryosamu.provenance import software_versions
from cryosamu.training.crops import Batch
from cryosamu.training.interruption import StopRequest
from cryosamu.training.loop import take_step
from cryosamu.training.parallel import Processes
from cryosamu.training.state import fresh_state
from cryosamu.volume.windowed import predict_in_windows
from cryosamu.volume.windows import plan_windows

_WIDTH, _TOKENS = 512, 256
_NETWORKS = {
    "reference": NetworkSettings(),
    "compact 8": NetworkSettings(name="compact", base_channels=8, multipliers=(1, 4, 8), dropout=0),
    "compact 32": NetworkSettings(
        name="compact", base_channels=32, multipliers=(1, 4, 8), dropout=0
    ),
}


def seconds(call: Callable[[], object], device: torch.device, runs: int) -> float:
    """Return the median time of a call, after two that are not counted."""
    times = []
    for run in range(runs + 2):
        begun = time.perf_counter()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        if run >= 2:
            times.append(time.perf_counter() - begun)
    return statistics.median(times)


def training_crops(settings: NetworkSettings, device: torch.device, given: argparse.Namespace):
    """Return crops a second by batch size, None where the device's memory does not suffice."""
    rates = {}
    for batch_size in given.batches:
        training = TrainingSettings(batch_size=batch_size, crop=given.crop, precision="float32")
        state = fresh_state(build_network(settings, _WIDTH).to(device), training, 1, [], [])
        cubes = torch.rand(2, batch_size, 1, *[given.crop] * 3, device=device)
        batch = Batch(
            cubes[0],
            cubes[1],
            torch.randn(batch_size, _TOKENS, _WIDTH, device=device),
            torch.ones(batch_size, _TOKENS, dtype=torch.bool, device=device),
        )
        try:
            taken = seconds(
                lambda: take_step(state, batch, training, Processes(), StopRequest()),  # noqa: B023
                device,
                given.runs,
            )
            rates[batch_size] = round(batch_size / taken, 1)
        except torch.OutOfMemoryError:
            rates[batch_size] = None
    return rates


def map_seconds(network: EnhancementNetwork, device: torch.device, given: argparse.Namespace):
    """Return the seconds of a whole map by the window's edge, with passes a voxel."""
    network.to(device).eval()
    density = np.random.default_rng(0).random([given.map] * 3, np.float32)
    told = Told(torch.randn(_TOKENS, _WIDTH))
    margin = network.margin
    predictor = DevicePredictor(network, device, torch.float32, told)
    found = {}
    for edge in given.windows:
        plan = plan_windows(density.shape, edge, margin, network.stride)
        try:
            taken = seconds(
                lambda: predict_in_windows(
                    density,
                    [predictor],
                    plan,  # noqa: B023
                    smooth=not network.tile_consistent,
                    progress=False,
                ),
                device,
                given.runs,
            )
            found[edge] = {
                "seconds": round(taken, 4),
                "passes_per_voxel": round(plan.passes_per_voxel, 2),
            }
        except torch.OutOfMemoryError:
            found[edge] = None
    return found


def measure(device: torch.device, given: argparse.Namespace) -> dict[str, object]:
    """Return all figures for a device."""
    figures = {}
    for name in given.networks:
        torch.manual_seed(0)
        network = build_network(_NETWORKS[name], _WIDTH)
        figures[name] = {
            "parameters": sum(parameter.numel() for parameter in network.parameters()),
            f"crops of {given.crop}³ a second by batch": training_crops(
                _NETWORKS[name], device, given
            ),
            f"a map of {given.map}³ by window": map_seconds(network, device, given),
        }
        print(json.dumps({name: figures[name]}, ensure_ascii=False), file=sys.stderr)
    return figures


def main() -> None:
    """Measure on the first GPU, or say that there is none."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", choices=_NETWORKS, default=list(_NETWORKS))
    parser.add_argument("--crop", type=int, default=TrainingSettings().crop)
    parser.add_argument("--batches", type=int, nargs="+", default=[4, 16, 64])
    parser.add_argument("--map", type=int, default=200, help="edge of the map, voxels")
    parser.add_argument("--windows", type=int, nargs="+", default=[96, 200])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("no GPU was found, and this benchmark means nothing on a CPU; run it on a GPU.")
    device = torch.device("cuda:0")
    result = {
        "device": torch.cuda.get_device_name(device),
        "software": software_versions(),
        "figures": measure(device, given),
    }
    text = json.dumps(result, indent=2, ensure_ascii=False)
    print(text)
    if given.output:
        write_text(given.output, text + "\n")


if __name__ == "__main__":
    main()
