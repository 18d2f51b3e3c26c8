"""Training crops a second that the loader makes, alone: no network, nothing to wait for.

Prepared pairs of noise and blobs lie in a temporary folder as `cryosamu prepare` writes them
(memory-mapped float16) and, once read, in the page cache. A network that takes crops at a steady
400 a second is stood in for by a pause: the share of the time that it waited for crops is measured
too. CPU-seconds say what the machine's other users cannot change.

    python benchmarks/loader.py --output benchmarks/results/loader.json
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from cryosamu.config import AugmentationSettings, TrainingSettings
from cryosamu.files import write_text
from cryosamu.provenance import software_versions, source_commit
from cryosamu.training.loader import prefetched
from cryosamu.training.pairs import TrainingPair
from cryosamu.training.sources import CropSource, training_batch

_WIDTH, _TOKENS = 512, 256
_WANTED = 400
_CHANGED = AugmentationSettings(intensity=0.2, b_factor=60)


def write_pairs(folder: Path, number: int, edge: int) -> list[TrainingPair]:
    """Write prepared pairs in which a third of each axis holds density; open them mapped."""
    pairs = []
    for index in range(number):
        random = np.random.default_rng(index)
        target = np.zeros((edge,) * 3, np.float32)
        third = slice(edge // 3, 2 * edge // 3)
        target[third, third, third] = random.random((len(range(edge)[third]),) * 3) > 0.95
        target = gaussian_filter(target, 1.0)
        noisy = gaussian_filter(target, 1.5) + 0.02 * random.random(target.shape, np.float32)
        both = np.stack([noisy / noisy.max(), target / target.max()]).astype(np.float16)
        path = folder / f"EMD-{index}.npy"
        np.save(path, both)
        pairs.append(
            TrainingPair(
                emdb_id=path.stem,
                voxels=np.load(path, mmap_mode="r", allow_pickle=False),
                tokens=torch.randn(_TOKENS, _WIDTH),
                token_mask=torch.ones(_TOKENS, dtype=torch.bool),
                digest="",
                simulated=True,
                voxel_size=1.0,
            )
        )
    return pairs


def rate(pairs: list[TrainingPair], settings: TrainingSettings, seconds: float) -> dict[str, float]:
    """Return crops a second and a CPU-second, taken as fast as they come."""
    batches = prefetched(
        lambda step: training_batch(CropSource(pairs), settings, step),
        range(10**9),
        settings.workers,
    )
    for _ in range(8):
        next(batches)
    begun, begun_cpu, crops = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - begun < seconds:
        crops += len(next(batches).density)
    wall, cpu = time.perf_counter() - begun, time.process_time() - begun_cpu
    batches.close()
    return {"per_second": round(crops / wall), "per_cpu_second": round(crops / cpu)}


def waiting(pairs: list[TrainingPair], settings: TrainingSettings, seconds: float) -> float:
    """Return the share of the time that a network which takes 400 crops a second waited."""
    batches = prefetched(
        lambda step: training_batch(CropSource(pairs), settings, step),
        range(10**9),
        settings.workers,
    )
    pause = settings.batch_size / _WANTED
    for _ in range(8):
        next(batches)
    begun, waited = time.perf_counter(), 0.0
    while time.perf_counter() - begun < seconds:
        asked = time.perf_counter()
        next(batches)
        waited += time.perf_counter() - asked
        time.sleep(pause)
    batches.close()
    return round(waited / (time.perf_counter() - begun), 4)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=6)
    parser.add_argument("--edge", type=int, default=160, help="edge of a prepared map, voxels")
    parser.add_argument("--crop", type=int, default=TrainingSettings().crop)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    figures: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        pairs = write_pairs(Path(folder), given.pairs, given.edge)
        for name, augmentation in (("as they are", AugmentationSettings()), ("changed", _CHANGED)):
            for workers in given.workers:
                settings = TrainingSettings(
                    batch_size=given.batch,
                    crop=given.crop,
                    workers=workers,
                    augmentation=augmentation,
                )
                figures[f"{name}, {workers} workers"] = {
                    **rate(pairs, settings, given.seconds),
                    f"share waited at {_WANTED} crops a second": waiting(
                        pairs, settings, given.seconds
                    ),
                }
    record = {
        "date": time.strftime("%Y-%m-%d"),
        "commit": source_commit(),
        "software": software_versions(),
        "load average": [round(load, 1) for load in os.getloadavg()],
        "crop": given.crop,
        "batch": given.batch,
        "crops": figures,
    }
    text = json.dumps(record, indent=2) + "\n"
    print(text)
    if given.output:
        write_text(given.output, text)


if __name__ == "__main__":
    main()
