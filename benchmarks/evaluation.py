"""Time and memory of the evaluation's metrics: a map, its model, the boxes that they are set in.

    python benchmarks/evaluation.py MAP MODEL RESOLUTION [--boxes 100 200]

For each box: the map padded with zeros to a cube, median of three runs in one process each.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from cryosamu.evaluation.correlation import correlations
from cryosamu.evaluation.fsc import model_fsc
from cryosamu.evaluation.reference import ModelReference
from cryosamu.structure.model import read_model
from cryosamu.volume.io import read_map
from cryosamu.volume.volume import Volume

_RUNS = 3


def padded(volume: Volume, edge: int) -> Volume:
    """Return the map in the corner of a cube of `edge` voxels, never smaller than it is."""
    shape = tuple(max(edge, count) for count in volume.shape)
    data = np.zeros(shape, np.float32)
    nz, ny, nx = volume.shape
    data[:nz, :ny, :nx] = volume.data
    return Volume(data, volume.voxel_size, volume.origin)


def measure(map_path: Path, model_path: Path, resolution: float, edge: int) -> dict[str, float]:
    """Return seconds of wall and processor time for each metric, and the peak memory in MB."""
    volume, structure = padded(read_map(map_path), edge), read_model(model_path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    times = {}
    reference = ModelReference(volume, structure, resolution)
    for name, judge in (("correlation", correlations), ("fsc", model_fsc), ("next fsc", model_fsc)):
        wall, processor = time.perf_counter(), time.process_time()
        judge(volume.data, reference)
        times[f"{name} s"] = round(time.perf_counter() - wall, 3)
        times[f"{name} CPU s"] = round(time.process_time() - processor, 3)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {**times, "MB before": round(before), "MB peak": round(peak)}


def main() -> None:
    """Run each box in processes of their own and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("map", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("resolution", type=float)
    parser.add_argument("--boxes", type=int, nargs="+", default=[100, 200])
    parser.add_argument("--one", type=int, help="measure one box in this process")
    given = parser.parse_args()
    if given.one is not None:
        print(json.dumps(measure(given.map, given.model, given.resolution, given.one)))
        return
    for edge in given.boxes:
        command = [sys.executable, __file__, given.map, given.model, str(given.resolution)]
        runs = [
            json.loads(subprocess.check_output([*command, "--one", str(edge)]))
            for _ in range(_RUNS)
        ]
        medians = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
        print(json.dumps({"box": edge, **medians}))


if __name__ == "__main__":
    main()
