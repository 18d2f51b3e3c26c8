"""Seconds and memory of enhancing maps, each in a process of its own, with the packaged checkpoint.

    python benchmarks/enhancement_speed.py --output benchmarks/results/enhancement_speed.json

Maps of 100³, 200³ and 400³ voxels of 1 Å from file to file, and again in the same process on one
thread (what all but the network takes, on memory that was used before); the network by itself in
plain float32, and by slabs in float32, bfloat16 and int8, in one process by turns; windows as peers
place them; solvent left out. Windows instead of one pass: `windows_against_one_pass.py`.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from cryosamu.config import EnhancementSettings
from cryosamu.device import has_bfloat16, has_int8
from cryosamu.enhancement.released import released_checkpoint
from cryosamu.enhancement.whole_map import enhance
from cryosamu.files import write_text
from cryosamu.network.checkpoint import load_checkpoint
from cryosamu.provenance import source_commit
from cryosamu.volume.io import read_map, write_map
from cryosamu.volume.volume import FloatArray, Volume

TILINGS = {"EMReady 48/12": (48, 12), "DeepEMhancer 64/16": (64, 16), "CryoTEN 48/38": (48, 38)}

PARTS = ("cpu_seconds", "network_seconds", "all_else_seconds", "all_else_share")


def synthetic(edge: int, radius: float) -> FloatArray:
    """Return rough density within a sphere, and correlated noise of a thirtieth of it about it."""
    rng = np.random.default_rng(7)
    tile = gaussian_filter(rng.normal(size=(100, 100, 100)).astype(np.float32), 1.5, mode="wrap")
    data = np.tile(tile / tile.std(), (-(-edge // 100),) * 3)[:edge, :edge, :edge].copy()
    line = (np.arange(edge, dtype=np.float32) - edge / 2) ** 2
    inside = line[:, None, None] + line[:, None] + line < radius**2
    data[inside] = np.abs(data[inside]) * 10 + 15
    return data


def one_map(source: Path, target: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Enhance a file; return its seconds by part and the process's peak memory."""
    start_cpu, start = time.process_time(), time.perf_counter()
    volume = read_map(source)
    read = time.perf_counter()
    network, header = load_checkpoint(released_checkpoint())
    told: list[str] = []
    made = enhance(
        volume, network, header, settings=EnhancementSettings(**{"device": "cpu", **settings}),
        progress=False, announce=told.append,
    )  # fmt: skip
    # To free an earlier result is no part of writing.
    target.unlink(missing_ok=True)
    before = time.perf_counter()
    write_map(target, made.volume, "benchmark")
    end = time.perf_counter()
    parts = made.record["seconds"]
    around = (read - start) + parts["prepare"] + parts["back"] + (end - before)
    voxels = math.prod(made.working.shape)
    return {
        "voxels": voxels,
        "wall_seconds": round(end - start, 3),
        "cpu_seconds": round(time.process_time() - start_cpu, 3),
        "cpu_seconds_a_million_voxels": round((time.process_time() - start_cpu) / voxels * 1e6, 3),
        "network_seconds": parts["network"],
        "all_else_seconds": round(around, 3),
        "all_else_share": round(around / (around + parts["network"]), 4),
        "peak_gigabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 3),
        "forecast": told[0],
        "windows": made.record["windows"],
        "solvent": made.record["solvent"],
        "precision": made.record["precision"],
    }


def numbers_of(device: str) -> list[str]:
    """Return the kinds of number that a device has instructions for, the quickest last."""
    place = torch.device(device)
    known = {"float32": True, "bfloat16": has_bfloat16(place), "int8": has_int8(place)}
    return [name for name, there in known.items() if there]


def fastest(functions: dict[str, Callable[[], Any]], turns: int) -> dict[str, dict[str, float]]:
    """Return the least CPU and wall seconds of each function, run by turns."""
    best = {name: [math.inf, math.inf] for name in functions}
    for turn in range(turns + 1):
        for name, function in functions.items():
            cpu, wall = time.process_time(), time.perf_counter()
            function()
            took = time.process_time() - cpu, time.perf_counter() - wall
            if turn:
                best[name] = [min(pair) for pair in zip(best[name], took, strict=True)]
    return {
        name: {"cpu_seconds": round(cpu, 4), "wall_seconds": round(wall, 4)}
        for name, (cpu, wall) in best.items()
    }


@torch.inference_mode()
def network_alone(edge: int, turns: int) -> dict[str, Any]:
    """Compare plain float32 with slabs in each kind of number, and windows as peers place them."""
    plain, _ = load_checkpoint(released_checkpoint())
    plain.eval()
    kinds = {
        f"slabs {name}": copy.deepcopy(plain).for_inference(getattr(torch, name))
        for name in numbers_of("cpu")
    }
    data = torch.from_numpy(np.clip(synthetic(edge, edge / 3) / 45, 0, 1))[None, None]
    whole = plain(data)
    answers = {name: made(data) - whole for name, made in kinds.items()}
    small = {box: data[..., :box, :box, :box].contiguous() for box in (48, 64)}
    quickest, fast = list(kinds.items())[-1]
    times = fastest(
        {
            "plain float32": lambda: plain(data),
            **{name: partial(made, data) for name, made in kinds.items()},
            **{f"window of {box}": partial(fast, one) for box, one in small.items()},
        },
        turns,
    )
    base = times["plain float32"]["cpu_seconds"]
    a_voxel = times[quickest]["cpu_seconds"] / edge**3
    peers = {}
    for name, (box, stride) in TILINGS.items():
        passes = (box / stride) ** 3
        window = times[f"window of {box}"]["cpu_seconds"] / box**3
        peers[name] = {
            "passes_a_voxel": round(passes, 2),
            "cpu_seconds_a_million_voxels": round(passes * window * 1e6, 3),
            "times_one_pass": round(passes * window / a_voxel, 1),
        }
    return {
        "edge": edge,
        "seconds": times,
        "against_plain_float32": {
            name: {
                "times_faster": round(base / times[name]["cpu_seconds"], 2),
                "largest_difference": float(off.abs().max()),
                "rms_over_std": float(off.square().mean().sqrt() / whole.std()),
                "correlation": float(np.corrcoef((whole + off).flatten(), whole.flatten())[0, 1]),
            }
            for name, off in answers.items()
        },
        "peers": peers,
    }


def child(task: dict[str, Any], threads: int) -> dict[str, Any]:
    """Run a task in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--task", json.dumps(task)],
        capture_output=True, text=True, check=True,
        env={**os.environ, "OMP_NUM_THREADS": str(threads)},
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def run_task(task: dict[str, Any]) -> dict[str, Any]:
    """Return the result of a task."""
    match task:
        case {"what": "map", "source": source, "target": target, "settings": settings}:
            return one_map(Path(source), Path(target), settings)
        case {"what": "again", "source": source, "target": target, "settings": settings}:
            one_map(Path(source), Path(target), settings)
            again = one_map(Path(source), Path(target), settings)
            return {name: again[name] for name in PARTS}
        case {"what": "network", "edge": edge, "turns": turns}:
            return network_alone(edge, turns)
    raise ValueError(f"no such task: {task}")


def measured(edges: list[int], threads: int, device: str) -> dict[str, Any]:
    """Return all results."""
    fast = numbers_of(device)[-1]
    networks = {
        edge: child({"what": "network", "edge": edge, "turns": turns}, threads)
        for edge, turns in ((96, 5), (192, 2))
    }
    result: dict[str, Any] = {
        "network": networks,
        "maps": {},
    }
    with tempfile.TemporaryDirectory() as folder:
        for edge in edges:
            source = Path(folder) / f"{edge}.mrc"
            write_map(source, Volume(synthetic(edge, edge / 4), (1.0, 1.0, 1.0)), "synthetic")
            cases: dict[str, dict[str, Any]] = {
                f"{fast}, all": {"precision": fast, "skip_solvent": False},
                "float32, all": {"precision": "float32", "skip_solvent": False},
                "as by default": {},
            }
            for name, case in cases.items():
                target = Path(folder) / "made.mrc"
                task = {
                    "source": str(source), "target": str(target),
                    "settings": {"device": device, **case},
                }  # fmt: skip
                key = f"{edge}: {name}"
                result["maps"][key] = {
                    **child({"what": "map", **task}, threads),
                    # On one thread seconds of the clock are those of the processor.
                    "one_thread_again": child({"what": "again", **task}, 1),
                }
                print(key, result["maps"][key], file=sys.stderr)
        coarse = Path(folder) / "coarse.mrc"
        write_map(coarse, Volume(synthetic(148, 37), (1.35, 1.35, 1.35)), "synthetic")
        task = {"what": "map", "source": str(coarse), "target": str(Path(folder) / "made.mrc")}
        settings = {"device": device, "precision": fast, "skip_solvent": False}
        result["maps"][f"148 of 1.35 Å: {fast}, all"] = child(
            {**task, "settings": settings}, threads
        )
    return result


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edges", type=int, nargs="+", default=[100, 200, 400])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu", help="of whole maps: cuda:0 where there is one")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--task")
    arguments = parser.parse_args()
    if arguments.task:
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        print(json.dumps(run_task(json.loads(arguments.task))))
        return
    result = {
        "machine": platform.machine(),
        "threads": arguments.threads,
        "torch": torch.__version__,
        "commit": source_commit(),
        "device": arguments.device,
        **measured(arguments.edges, arguments.threads, arguments.device),
    }
    text = json.dumps(result, indent=2, ensure_ascii=False) + "\n"
    if arguments.output:
        write_text(arguments.output, text)
    else:
        print(text)


if __name__ == "__main__":
    main()
