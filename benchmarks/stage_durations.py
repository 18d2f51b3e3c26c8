"""Processor seconds of every stage on real maps, and how they grow with map and model.

What a stage does for one entry is done here in one process, so that a program's start, which a
shard's job pays once, is not in it; programs that a stage itself starts are. The network is the
packaged compact one, the encoder ProteinMPNN. Larger maps than the collected ones are simulated.

    python benchmarks/stage_durations.py MAPS --output benchmarks/results/stage_durations.json
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from costs import COPIES, RESOLUTION, fetch_record, write_pair

from cryosamu.cli import embed, evaluate_controls, evaluate_map, evaluate_method
from cryosamu.config import PreparationSettings
from cryosamu.curation.measurement import measure_pair
from cryosamu.files import write_text
from cryosamu.preparation import prepare_pair
from cryosamu.provenance import source_commit
from cryosamu.volume.io import read_map

STAGES = ("measure", "prepare", "embed", "enhance", "evaluate", "control")


@dataclass(frozen=True)
class Pair:
    """A map with its model."""

    name: str
    map: Path
    model: Path
    resolution: float


def collected(folder: Path) -> Iterator[Pair]:
    """Yield the pairs of a folder that an index.json lists."""
    for row in json.loads((folder / "index.json").read_text()):
        paths = folder.parent / row["map"], folder.parent / row["model"]
        yield Pair(f"{row['emdb']} {row['part']}", *paths, row["resolution"])


def measure(pair: Pair, stages: Sequence[str], folder: Path) -> dict[str, object]:
    """Return sizes and the processor seconds of some stages for one pair."""
    torch.set_num_threads(1)
    config, enhanced = folder / "config.yaml", folder / "enhanced.mrc"
    config.write_text("embedding:\n  backend: protein_mpnn\n")
    records = fetch_record("EMD-1", "map", pair.map), fetch_record("0AAA", "model", pair.model)
    work: dict[str, Callable[[], object]] = {
        "measure": lambda: measure_pair(*records, pair.resolution),
        "prepare": lambda: prepare_pair(
            pair.map, pair.model, pair.resolution, PreparationSettings(), folder / "pair.npy"
        ),
        "embed": lambda: embed.embed(
            [pair.model], pooled=folder / "tokens.safetensors", config=config
        ),
        "enhance": lambda: evaluate_method.method(
            "enhanced", pair.map, enhanced, pair.resolution, model=pair.model, config=config
        ),
        "evaluate": lambda: evaluate_map.judge(
            pair.map,
            pair.model,
            pair.resolution,
            method=[f"enhanced={enhanced}", f"enhanced_no_structure={enhanced}"],
            table=folder / "table.parquet",
            curves=folder / "curves.parquet",
            per_residue=folder / "residues.parquet",
        ),
        "control": lambda: evaluate_controls.controls(
            pair.map, pair.resolution, pair.model, config=config
        ),
    }
    shape = read_map(pair.map)
    row: dict[str, object] = {
        "pair": pair.name,
        "megavoxels": round(shape.data.size / 1e6, 3),
        "megavoxels_of_1_A": round(shape.data.size * float(np.prod(shape.voxel_size)) / 1e6, 3),
        "map_gz_MB": round(pair.map.stat().st_size / 1e6, 2),
    }
    for stage in stages:
        before = processor_seconds()
        with contextlib.redirect_stdout(io.StringIO()):
            work[stage]()
        row[stage] = round(processor_seconds() - before, 2)
    with np.load(_vectors(pair.model, folder, config)) as vectors:
        chains = [key for key in vectors.files if key.endswith(".observed")]
        row["residues"] = sum(len(vectors[key]) for key in chains)
    row["prepared_MB"] = round((folder / "pair.npy").stat().st_size / 1e6, 1)
    peaks = [
        resource.getrusage(who).ru_maxrss * 1024 / 1e6
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    ]
    row["peak_MB"], row["peak_of_programs_MB"] = map(round, peaks)
    return row


def processor_seconds() -> float:
    """Return the seconds that this process and those it started and awaited have used."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _vectors(model: Path, folder: Path, config: Path) -> Path:
    path = folder / "vectors.npz"
    embed.embed([model], output=path, config=config)
    return path


def main() -> None:
    """Measure each pair in a process of its own, smallest first, and write the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("maps", type=Path, help="folder of collected maps")
    parser.add_argument("--simulated", type=int, nargs="*", default=[200], choices=list(COPIES))
    parser.add_argument("--stages", nargs="*", default=STAGES, choices=STAGES)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--one", help="measure one pair in this process: its name, or a box edge")
    options = parser.parse_args()
    pairs = {pair.name: pair for pair in collected(options.maps)}
    if options.one is not None:
        with tempfile.TemporaryDirectory() as name:
            pair = pairs.get(options.one)
            if pair is None:
                edge = int(options.one)
                made = write_pair(edge, Path(name))
                pair = Pair(f"simulated {edge}^3", *made, RESOLUTION)
            print(json.dumps(measure(pair, options.stages, Path(name))))
        return
    smallest_first = sorted(pairs, key=lambda name: pairs[name].map.stat().st_size)
    rows = []
    for name in [*smallest_first, *map(str, options.simulated)]:
        command = [sys.executable, __file__, str(options.maps), "--one", name]
        command += ["--stages", *options.stages]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        rows.append(json.loads(done.stdout.splitlines()[-1]))
        print(rows[-1], flush=True)
        record: dict[str, object] = {"date": time.strftime("%Y-%m-%d"), "cores": os.cpu_count()}
        record |= {"commit": source_commit(), "pairs": rows}
        if options.output:
            write_text(options.output, json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
