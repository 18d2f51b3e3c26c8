"""Steps of `cryosamu train`: what each precision, layout and compilation costs or gains.

Every choice takes the same batches from the same weights, in turns, so that the machine's other
users slow all of them alike: seconds a crop, their ratio to float32 as the recipe has it, and the
loss after the same number of steps, so that a faster choice that learns less shows. On a CPU the
seconds are CPU-seconds of one thread; on a GPU also the device's peak memory and the share of the
time that it waited for crops.

    python benchmarks/training_cost.py --output benchmarks/results/training_cost.json
    python benchmarks/training_cost.py --networks released --crop 40 --batch 4
    python benchmarks/training_cost.py --device cuda --crop 48 --batch 32 --steps 60
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Generator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import fmean, median

import torch
from loader import write_pairs

from cryosamu.config import CompactSettings, NetworkSettings, TrainingSettings
from cryosamu.device import choose_device
from cryosamu.files import write_text
from cryosamu.network import build_network
from cryosamu.provenance import software_versions, source_commit
from cryosamu.training.crops import Batch
from cryosamu.training.interruption import StopRequest
from cryosamu.training.loader import prefetched
from cryosamu.training.loop import take_step
from cryosamu.training.pairs import TrainingPair
from cryosamu.training.parallel import Processes
from cryosamu.training.sources import CropSource, training_batch
from cryosamu.training.state import TrainingState, fresh_state

_WIDTH = 512
_NETWORKS = {
    "reference": NetworkSettings(dropout=0),
    "compact 32": NetworkSettings(
        name="compact", base_channels=32, multipliers=(1, 4, 8), dropout=0
    ),
    "released": NetworkSettings(
        name="compact",
        base_channels=12,
        multipliers=(1, 4, 8),
        dropout=0,
        compact=CompactSettings(output="gated"),
    ),
}


@dataclass(frozen=True)
class Choice:
    """One way to take steps."""

    precision: str
    channels_last: bool
    compiled: bool

    def __str__(self) -> str:
        layout = "channels last" if self.channels_last else "channels first"
        return f"{self.precision}, {layout}, {'compiled' if self.compiled else 'eager'}"


class Contender:
    """A choice's own network and batches."""

    def __init__(
        self,
        settings: NetworkSettings,
        choice: Choice,
        given: argparse.Namespace,
        pairs: list[TrainingPair],
        device: torch.device,
    ) -> None:
        self.training = TrainingSettings(
            batch_size=given.batch,
            crop=given.crop,
            precision=choice.precision,
            workers=given.workers,
        )
        torch.manual_seed(0)
        network = build_network(settings, _WIDTH).to(device)
        if choice.channels_last:
            network = network.to(memory_format=torch.channels_last_3d)
        self.state: TrainingState = fresh_state(network, self.training, 10**9, [], [])
        if choice.compiled:
            network.compile()
        self.device, self.seconds, self.waited, self.peak = device, [], [], 0
        self.batches = self._batches(pairs)

    def _batches(self, pairs: list[TrainingPair]) -> Generator[Batch]:
        source = CropSource(pairs)

        def make(step: int) -> Batch:
            batch = training_batch(source, self.training, step)
            return batch.pinned() if self.device.type == "cuda" else batch

        return prefetched(make, range(10**9), self.training.workers)

    def take(self, steps: int, counted: bool) -> None:
        """Take some steps, and note how long they took."""
        cuda = self.device.type == "cuda"
        clock = time.perf_counter if cuda else time.process_time
        if cuda:
            torch.cuda.reset_peak_memory_stats(self.device)
        begun, waited = clock(), 0.0
        for _ in range(steps):
            asked = time.perf_counter()
            batch = next(self.batches)
            waited += time.perf_counter() - asked
            take_step(self.state, batch.to(self.device), self.training, Processes(), StopRequest())
        if cuda:
            torch.cuda.synchronize(self.device)
            self.peak = torch.cuda.max_memory_allocated(self.device)
        if counted:
            self.seconds.append((clock() - begun) / steps / self.training.batch_size)
            self.waited.append(waited)

    def figures(self, baseline: float) -> dict[str, float]:
        """Return what was measured; the first choice's seconds a crop are the baseline."""
        taken = median(self.seconds)
        figures = {
            "seconds_a_crop": round(taken, 4),
            "steps_a_second": round(1 / (taken * self.training.batch_size), 3),
            "ratio": round(taken / baseline, 3),
            "last_loss": round(fmean(self.state.losses[-4:]), 6),
        }
        if self.device.type == "cuda":
            spent = sum(self.seconds) * self.training.batch_size
            figures["share_waited_for_crops"] = round(sum(self.waited) / spent, 4)
            figures["peak_gigabytes"] = round(self.peak / 1e9, 2)
        return figures


def measure(name: str, given: argparse.Namespace, device: torch.device) -> dict[str, object]:
    """Return the figures of every choice for a network; the reason where one cannot be."""
    choices = [
        Choice(precision, last, compiled)
        for compiled, precision, last in product(
            map(bool, given.compile), given.precisions, (False, True)
        )
    ]
    found: dict[str, object] = {}
    contenders = {}
    with tempfile.TemporaryDirectory() as folder:
        pairs = write_pairs(Path(folder), 2, max(96, given.crop))
        for choice in choices:
            try:
                contenders[choice] = Contender(_NETWORKS[name], choice, given, pairs, device)
                # The first steps compile, choose algorithms and fill caches.
                contenders[choice].take(2, counted=False)
            except (torch.OutOfMemoryError, RuntimeError) as error:
                contenders.pop(choice, None)
                found[str(choice)] = str(error).splitlines()[0]
        for _ in range(given.rounds):
            for contender in contenders.values():
                contender.take(given.steps, counted=True)
        baseline = median(next(iter(contenders.values())).seconds)
        for choice, contender in contenders.items():
            contender.batches.close()
            found[str(choice)] = contender.figures(baseline)
            print(f"{name}, {choice}: {found[str(choice)]}", file=sys.stderr, flush=True)
    return found


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--networks", nargs="+", choices=_NETWORKS, default=list(_NETWORKS)[:2])
    parser.add_argument("--precisions", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--compile", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--crop", type=int, default=32)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--steps", type=int, default=1, help="a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    device = choose_device(given.device)
    if device.type == "cpu":
        torch.set_num_threads(1)
    record = {
        "date": time.strftime("%Y-%m-%d"),
        "commit": source_commit(),
        "software": software_versions(),
        "device": "one thread of the CPU" if device.type == "cpu" else torch.cuda.get_device_name(),
        "load average": [round(load, 1) for load in os.getloadavg()],
        "crop": given.crop,
        "batch": given.batch,
        "figures": {name: measure(name, given, device) for name in given.networks},
    }
    text = json.dumps(record, indent=2) + "\n"
    print(text)
    if given.output:
        write_text(given.output, text)


if __name__ == "__main__":
    main()
