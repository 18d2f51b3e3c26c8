"""Steps of `cryosamu train` on a GPU: what each precision, layout and compilation costs or gains.

Every choice takes the same batches from the same weights: crops a second, the peak of the device's
memory, and the loss after the same number of steps, so that a faster choice that learns less shows.
Then the whole loop with the loader behind it: the share of the time that the GPU waited for crops.

    python benchmarks/gpu/training.py --output benchmarks/results/gpu_training.json
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from itertools import product
from pathlib import Path
from statistics import fmean

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from loader import write_pairs

from cryosamu.config import NetworkSettings, TrainingSettings
from cryosamu.files import write_text
from cryosamu.network import build_network
from cryosamu.provenance import software_versions
from cryosamu.training.interruption import StopRequest
from cryosamu.training.loader import prefetched
from cryosamu.training.loop import take_step
from cryosamu.training.pairs import TrainingPair
from cryosamu.training.parallel import Processes
from cryosamu.training.sources import CropSource, training_batch
from cryosamu.training.state import fresh_state

_WIDTH = 512
_NETWORKS = {
    "reference": NetworkSettings(dropout=0),
    "compact 32": NetworkSettings(
        name="compact", base_channels=32, multipliers=(1, 4, 8), dropout=0
    ),
}
_WARM_UP = 5


def steps(
    settings: NetworkSettings,
    training: TrainingSettings,
    channels_last: bool,
    compiled: bool,
    pairs: list[TrainingPair],
    device: torch.device,
) -> dict[str, float] | None:
    """Return the figures of one choice, None where the device's memory does not suffice."""
    torch.manual_seed(0)
    network = build_network(settings, _WIDTH).to(device)
    if channels_last:
        network = network.to(memory_format=torch.channels_last_3d)
    state = fresh_state(network, training, training.steps, [], [])
    if compiled:
        network.compile()
    torch.cuda.reset_peak_memory_stats(device)
    batches = prefetched(
        lambda step: training_batch(CropSource(pairs), training, step).pinned(),
        range(training.steps + _WARM_UP),
        training.workers,
    )
    waited, begun = 0.0, 0.0
    try:
        for step, batch in enumerate(_timed(batches)):
            if step == _WARM_UP:
                torch.cuda.synchronize(device)
                begun, waited = time.perf_counter(), 0.0
            waited += batch[1]
            given = batch[0].to(device)
            take_step(state, given, training, Processes(), StopRequest())
    except torch.OutOfMemoryError:
        return None
    finally:
        batches.close()
    torch.cuda.synchronize(device)
    taken = time.perf_counter() - begun
    return {
        "crops_per_second": round(training.steps * training.batch_size / taken, 1),
        "share_waited_for_crops": round(waited / taken, 4),
        "peak_gigabytes": round(torch.cuda.max_memory_allocated(device) / 1e9, 2),
        "last_loss": round(fmean(state.losses[-10:]), 6),
    }


def _timed(batches):
    """Yield each batch with the seconds that it was waited for."""
    asked = time.perf_counter()
    for batch in batches:
        yield batch, time.perf_counter() - asked
        asked = time.perf_counter()


def measure(device: torch.device, given: argparse.Namespace) -> dict[str, object]:
    """Return the figures of every choice."""
    figures: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        pairs = write_pairs(Path(folder), 4, 128)
        for name, precision, last, compiled, size in product(
            given.networks, given.precisions, (False, True), given.compile, given.batches
        ):
            training = TrainingSettings(
                steps=given.steps,
                batch_size=size,
                crop=given.crop,
                precision=precision,
                workers=given.workers,
            )
            choice = (
                f"{name}, {precision}, {'channels last' if last else 'channels first'}, "
                f"{'compiled' if compiled else 'eager'}, batch {size}"
            )
            figures[choice] = steps(_NETWORKS[name], training, last, compiled, pairs, device)
            print(json.dumps({choice: figures[choice]}), file=sys.stderr, flush=True)
    return figures


def main() -> None:
    """Measure on the first GPU, or say that there is none."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", choices=_NETWORKS, default=list(_NETWORKS))
    parser.add_argument("--precisions", nargs="+", default=["float32", "bfloat16", "float16"])
    parser.add_argument("--compile", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--crop", type=int, default=TrainingSettings().crop)
    parser.add_argument("--batches", type=int, nargs="+", default=[4, 32])
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("no GPU was found, and this benchmark means nothing on a CPU; run it on a GPU.")
    device = torch.device("cuda:0")
    result = {
        "device": torch.cuda.get_device_name(device),
        "software": software_versions(),
        "crop": given.crop,
        "figures": measure(device, given),
    }
    text = json.dumps(result, indent=2)
    print(text)
    if given.output:
        write_text(given.output, text + "\n")


if __name__ == "__main__":
    main()
