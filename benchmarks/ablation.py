"""Forms of the network, trained alike on the same crops, judged on held-out simulated maps.

Every form gets the same CPU-seconds on one thread, the same seeds, so the same crops at a step,
and AdamW at a constant rate; judged are running averages of the weights, on whole maps and without
structure tokens. Both figures come from one run: at equal steps and at equal seconds.

    python benchmarks/ablation_maps.py STRUCTURES.tar.gz MAPS
    python benchmarks/ablation.py MAPS --forms base gated --output benchmarks/results/ablation.json
"""

from __future__ import annotations

import argparse
import json
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from copy import deepcopy
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from cryosamu.config import CompactSettings, NetworkSettings
from cryosamu.files import write_text
from cryosamu.network import EnhancementNetwork, build_network
from cryosamu.training.crops import ROTATIONS
from cryosamu.volume.fourier import low_pass
from cryosamu.volume.volume import Volume

_WIDTH = 128
_RATE, _WARM_UP, _DECAY = 2e-3, 20, 0.98
_RESOLUTION_TOLD = 0.7


def compact(
    base: int = 8, multipliers: tuple[int, ...] = (1, 4, 8), **form: Any
) -> NetworkSettings:
    """Return the settings of a compact network without dropout."""
    return NetworkSettings(
        name="compact",
        base_channels=base,
        multipliers=multipliers,
        dropout=0,
        compact=CompactSettings(**form),
    )


_FOLDED: dict[str, Any] = {"base": 32, "multipliers": (1, 2), "full_grid": "folded"}
FORMS = {
    "base": compact(),
    "gated": compact(output="gated"),
    "plain output": compact(output="plain"),
    "batch norm": compact(norm="batch"),
    "no norm": compact(norm="none"),
    "between, channel": compact(block="between"),
    "between, batch": compact(block="between", norm="batch"),
    "between, none": compact(block="between", norm="none"),
    "smooth": compact(resampling="smooth"),
    "folded": compact(**_FOLDED),
    "folded, blocks 2": compact(**_FOLDED, blocks=2),
    "blocks at full grid": compact(multipliers=(1, 2, 4), full_grid="blocks"),
    "four levels": compact(multipliers=(1, 4, 8, 8)),
    "dilated": compact(dilations=(1, 2)),
    "deeper": compact(blocks=2, dilations=(1, 1)),
    "resolution": compact(resolution=True),
    "wide 12": compact(base=12),
    "wide 16": compact(base=16),
    "reference 8": NetworkSettings(base_channels=8, dropout=0),
    "reference": NetworkSettings(dropout=0),
}


class Pairs:
    """Simulated pairs of one split, in memory."""

    def __init__(self, folder: Path, split: str, most: int | None, batch: int, crop: int) -> None:
        self.size, self.crop = batch, crop
        self.items: list[dict[str, Any]] = []
        for path in sorted(folder.glob(f"{split}_*.npz"))[:most]:
            with np.load(path, allow_pickle=False) as arrays:
                self.items.append({name: arrays[name] for name in arrays.files})
        if not self.items:
            raise SystemExit(f"{folder}: holds no pairs; make them with ablation_maps.py.")

    def batch(self, seed: int, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return density and target [batch, 1, crop³] and resolutions [batch] of a step."""
        cubes, resolutions = [], []
        for place in range(self.size):
            random = np.random.default_rng([seed, step, place])
            item = self.items[random.integers(len(self.items))]
            inside = np.argwhere(item["inside"][::4, ::4, ::4]) * 4
            centre = inside[random.integers(len(inside))] + random.integers(-8, 9, 3)
            furthest = np.array(item["density"].shape) - self.crop
            corner = np.clip(centre - self.crop // 2, 0, furthest)
            window = tuple(slice(start, start + self.crop) for start in corner)
            cube = np.stack([item["density"][window], item["target"][window]])
            order, reversed_axes = ROTATIONS[random.integers(len(ROTATIONS))]
            cube = cube.transpose(0, *(axis + 1 for axis in order))
            cubes.append(np.flip(cube, tuple(axis + 1 for axis in reversed_axes)))
            told = random.random() < _RESOLUTION_TOLD
            resolutions.append(float(item["resolution"]) if told else np.nan)
        stacked = torch.from_numpy(np.stack(cubes).astype(np.float32))
        return stacked[:, :1], stacked[:, 1:], torch.tensor(resolutions)


def loss_of(answer: Tensor, target: Tensor) -> Tensor:
    """Return smooth-L1 + 0.3 (1 - Pearson's correlation), a mean over the examples."""
    a, b = (one.flatten(1) - one.flatten(1).mean(1, keepdim=True) for one in (answer, target))
    pearson = (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1) + 1e-6)
    return F.smooth_l1_loss(answer, target) + 0.3 * (1 - pearson).mean()


def answer_of(network: EnhancementNetwork, density: Tensor, resolution: Tensor | None) -> Tensor:
    """Return a network's answer in bfloat16 where that is faster."""
    with torch.autocast("cpu", torch.bfloat16):
        channels_last = density.contiguous(memory_format=torch.channels_last_3d)
        answer: Tensor = network(channels_last, resolution=resolution)
    return answer.float()


@torch.no_grad()
def quality(network: EnhancementNetwork | None, held: Pairs, told: bool = True) -> dict[str, float]:
    """Return means over whole held-out maps, of the input itself where there is no network.

    Smooth-L1 (times 1000) over the box, Pearson's correlation with the target inside the
    molecule, and the same with both low-passed to the map's resolution.
    """
    rows = []
    for item in held.items:
        target = item["target"].astype(np.float32)
        answer = density = torch.from_numpy(item["density"].astype(np.float32))[None, None]
        if network is not None:
            resolution = torch.tensor([float(item["resolution"])]) if told else None
            answer = answer_of(network, density, resolution)
        volume = answer[0, 0].numpy()
        loss = F.smooth_l1_loss(answer[0, 0], torch.from_numpy(target))
        if "low" not in item:
            item["low"] = low_passed(target, item)
        inside = item["inside"]
        rows.append(
            (
                float(loss) * 1e3,
                np.corrcoef(volume[inside], target[inside])[0, 1],
                np.corrcoef(low_passed(volume, item)[inside], item["low"][inside])[0, 1],
            )
        )
    names = ("smooth_l1_e3", "correlation", "correlation_low_passed")
    return {name: round(float(v), 4) for name, v in zip(names, np.mean(rows, axis=0), strict=True)}


def low_passed(values: np.ndarray, item: dict[str, Any]) -> np.ndarray:
    """Return a map low-passed to the resolution that its input is reported with."""
    return low_pass(Volume(values, (1.0,) * 3), float(item["resolution"])).data


@torch.no_grad()
def inference_seconds(network: EnhancementNetwork) -> dict[str, float]:
    """Return CPU-seconds a million voxels on one thread, one window of 96³."""
    density = torch.rand(1, 1, 96, 96, 96).contiguous(memory_format=torch.channels_last_3d)
    found = {}
    for name, enabled in (("float32", False), ("bfloat16", True)):
        times = []
        for _ in range(3):
            begun = time.process_time()
            with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
                network(density, resolution=torch.tensor([6.0]))
            times.append(time.process_time() - begun)
        found[f"seconds_per_mvoxel_{name}"] = round(min(times) / 96**3 * 1e6, 3)
    return found


class Trial:
    """One form on its way through its budget."""

    def __init__(self, settings: NetworkSettings, seed: int) -> None:
        torch.manual_seed(seed)
        self.seed, self.step, self.seconds = seed, 0, 0.0
        self.network = build_network(settings, _WIDTH)
        for module in self.network.modules():
            if isinstance(module, torch.nn.Conv3d):
                module.to(memory_format=torch.channels_last_3d)
        self.average = deepcopy(self.network).eval()
        self.optimizer = torch.optim.AdamW(self.network.parameters(), weight_decay=0.01)

    def take_step(self, train: Pairs) -> None:
        """Take one step and count its CPU-seconds."""
        begun = time.process_time()
        for group in self.optimizer.param_groups:
            group["lr"] = _RATE * min(1.0, (self.step + 1) / _WARM_UP)
        density, target, resolution = train.batch(self.seed, self.step)
        loss = loss_of(answer_of(self.network, density, resolution), target)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        self._follow(1 - min(_DECAY, (1 + self.step) / (10 + self.step)))
        self.seconds += time.process_time() - begun

    def _follow(self, weight: float) -> None:
        """Move the averages, a batch norm's statistics included, towards the weights."""
        kept, new = self.average.state_dict(), self.network.state_dict()
        with torch.no_grad():
            for name, tensor in kept.items():
                if tensor.is_floating_point():
                    tensor.lerp_(new[name], weight)


def measure(name: str, seed: int, train: Pairs, held: Pairs, seconds: float, steps: int) -> dict:
    """Train one form for its budget and return what came of it."""
    settings = FORMS[name]
    trial = Trial(settings, seed)
    at_equal_steps = None
    while trial.seconds < seconds:
        trial.take_step(train)
        if trial.step == steps:
            taken = round(trial.seconds, 1)
            at_equal_steps = {"seconds": taken, **quality(trial.average, held)}
    row = {
        "form": name,
        "seed": seed,
        "parameters": sum(p.numel() for p in trial.network.parameters()),
        "margin": trial.network.margin,
        "steps": trial.step,
        "training_seconds": round(trial.seconds, 1),
        "at_equal_steps": at_equal_steps,
        "at_equal_seconds": quality(trial.average, held),
    }
    if settings.compact.resolution:
        row["resolution_untold"] = quality(trial.average, held, told=False)
    return {**row, **inference_seconds(trial.average.for_inference())}


def main() -> None:
    """Measure the forms asked for, one row each, kept as soon as it is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("maps", type=Path)
    parser.add_argument("--forms", nargs="+", choices=list(FORMS), default=list(FORMS))
    parser.add_argument("--seconds", type=float, default=45, help="CPU-seconds of training a form")
    parser.add_argument("--steps", type=int, default=400, help="of the figures at equal steps")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--batch", type=int, default=2, help="crops a step")
    parser.add_argument("--crop", type=int, default=32, help="their edge")
    parser.add_argument("--validation-maps", type=int, default=6)
    parser.add_argument("--processes", type=int, default=1, help="forms trained side by side")
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args()
    torch.set_num_threads(1)
    train = Pairs(given.maps, "train", None, given.batch, given.crop)
    held = Pairs(given.maps, "validation", given.validation_maps, given.batch, given.crop)
    rows: list[dict] = [{"form": "input", "at_equal_seconds": quality(None, held)}]
    # Forked, so that the pairs lie in memory once; seconds are each process's own.
    with ProcessPoolExecutor(
        given.processes, get_context("fork"), initializer=_keep, initargs=(train, held)
    ) as pool:
        jobs = [
            pool.submit(_measured, name, seed, given.seconds, given.steps)
            for seed in given.seeds
            for name in given.forms
        ]
        for job in as_completed(jobs):
            rows.append(job.result())
            print(json.dumps(rows[-1]), flush=True)
            write_text(given.output, json.dumps(rows, indent=1) + "\n")


_pairs: tuple[Pairs, Pairs]


def _keep(train: Pairs, held: Pairs) -> None:
    global _pairs
    _pairs = train, held


def _measured(name: str, seed: int, seconds: float, steps: int) -> dict:
    return measure(name, seed, *_pairs, seconds, steps)


if __name__ == "__main__":
    main()
