"""Time and memory of the evaluation's metrics: a map, its model, the boxes that they are set in.

    python benchmarks/evaluation.py MAP MODEL RESOLUTION --boxes 190 256 \
        --oracle .oracle/bin/python --output benchmarks/results/evaluation.json

For each box, the map padded with zeros to a cube: the five correlations, the map-model FSC, the
local measures and the FSC of two maps, each beside a plain pair of real FFTs; and, with --oracle,
cctbx's five correlations of the same box. Every figure is the median of runs in processes of
their own, in turns, so that both sides see the same machine.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.fft

from cryosamu.evaluation.correlation import correlations
from cryosamu.evaluation.fsc import model_fsc
from cryosamu.evaluation.local_correlation import local_correlations
from cryosamu.evaluation.map_fsc import map_fsc
from cryosamu.evaluation.q_score import q_scores
from cryosamu.evaluation.reference import ModelReference
from cryosamu.files import write_text
from cryosamu.structure.model import read_model
from cryosamu.volume.io import read_map
from cryosamu.volume.volume import Volume

_RUNS = 3
_ORACLE = Path(__file__).with_name("oracle_correlation.py")


def padded(volume: Volume, edge: int) -> Volume:
    """Return the map in the corner of a cube of `edge` voxels, never smaller than it is."""
    shape = tuple(max(edge, count) for count in volume.shape)
    data = np.zeros(shape, np.float32)
    nz, ny, nx = volume.shape
    data[:nz, :ny, :nx] = volume.data
    return Volume(data, volume.voxel_size, volume.origin)


def measure(map_path: Path, model_path: Path, resolution: float, edge: int) -> dict[str, float]:
    """Return seconds of wall and processor time for each part, and peak memory in MB."""
    volume, structure = padded(read_map(map_path), edge), read_model(model_path)
    figures = {"MB before": _peak()}
    reference = ModelReference(volume, structure, resolution)
    figures |= _timed("five CCs", lambda: correlations(volume.data, reference))
    figures["MB after five CCs"] = _peak()
    figures |= _timed("residue CCs", lambda: _residues(volume, reference))
    figures |= _timed("Q-score", lambda: _q(volume, reference))
    figures |= _timed("model FSC", lambda: model_fsc(volume.data, reference))
    figures |= _timed("next model FSC", lambda: model_fsc(volume.data, reference))
    other = reference.calculated
    figures |= _timed("two FFTs", lambda: [_transform(data) for data in (volume.data, other)])
    figures |= _timed("two maps FSC", lambda: map_fsc(volume.data, other, volume))
    figures["MB peak"] = _peak()
    return figures


def _residues(volume: Volume, reference: ModelReference) -> object:
    parts = (reference.calculated, volume, reference.residues, reference.local_radius)
    return local_correlations(volume.data, *parts)


def _q(volume: Volume, reference: ModelReference) -> object:
    return q_scores(volume.data, volume, reference.heavy_positions, reference.free_radii)


def _transform(data: np.ndarray) -> np.ndarray:
    return scipy.fft.rfftn(data, workers=-1)


def _timed(name: str, action: Callable[[], object]) -> dict[str, float]:
    wall, processor = time.perf_counter(), time.process_time()
    action()
    return {
        f"{name} s": round(time.perf_counter() - wall, 3),
        f"{name} CPU s": round(time.process_time() - processor, 3),
    }


def _peak() -> int:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def compare(given: argparse.Namespace, edge: int) -> dict[str, object]:
    """Return the medians of our processes and cctbx's, in turns, and their ratios."""
    inputs = [str(given.map), str(given.model), str(given.resolution)]
    ours: list[dict[str, float]] = []
    theirs: list[dict[str, float]] = []
    for _ in range(_RUNS):
        ours.append(_output([sys.executable, __file__, *inputs, "--one", str(edge)]))
        if given.oracle:
            theirs.append(_output([given.oracle, str(_ORACLE), *inputs, str(edge)]))
    found: dict[str, object] = {"box": edge, "cryosamu": _medians(ours)}
    found["FSC of two maps / two FFTs, CPU"] = _ratio(ours, "two maps FSC CPU s", "two FFTs CPU s")
    if theirs:
        found["cctbx"] = _medians(theirs)
        for clock in ("s", "CPU s"):
            ratios = [
                their[f"five CCs {clock}"] / our[f"five CCs {clock}"]
                for our, their in zip(ours, theirs, strict=True)
            ]
            found[f"cctbx / cryosamu, five CCs {clock}"] = round(statistics.median(ratios), 2)
    return found


def _output(command: list[str]) -> dict[str, float]:
    return json.loads(subprocess.check_output(command, text=True).splitlines()[-1])


def _medians(runs: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def _ratio(runs: list[dict[str, float]], above: str, below: str) -> float:
    return round(statistics.median(run[above] / run[below] for run in runs), 2)


def main() -> None:
    """Run each box in processes of their own and write the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("map", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("resolution", type=float)
    parser.add_argument("--boxes", type=int, nargs="+", default=[190, 256])
    parser.add_argument("--oracle", help="Python of an environment with cctbx-base")
    parser.add_argument("--output", type=Path, help="JSON; printed where left out")
    parser.add_argument("--one", type=int, help="measure one box in this process")
    given = parser.parse_args()
    if given.one is not None:
        print(json.dumps(measure(given.map, given.model, given.resolution, given.one)))
        return
    boxes = [compare(given, edge) for edge in given.boxes]
    names = {"map": given.map.name, "model": given.model.name, "resolution": given.resolution}
    text = json.dumps({**names, "runs": _RUNS, "boxes": boxes}, indent=2) + "\n"
    if given.output:
        write_text(given.output, text)
    else:
        print(text)


if __name__ == "__main__":
    main()
