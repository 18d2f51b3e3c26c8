"""Error, time and memory of the change to the working grid, against an analytic map.

The map is a sum of periodic Gaussians, known at every point. It is brought to a grid of about 1 Å
and back by ours and, at the same points, by the cubic spline and the trilinear interpolation that
`scipy.ndimage.zoom` stands on (periodic, `grid-wrap`); `zoom` as called by its name alone is shown
too, which puts the first and the last voxels of both grids in one place, so that the map grows.
Methods take turns in one run. Memory is the peak resident set of a process of its own that
resamples 600³ voxels of 0.8 Å to 480³ and back.

    OMP_NUM_THREADS=1 python benchmarks/resampling.py --output benchmarks/results/resampling.json
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from cryosamu.files import write_text
from cryosamu.provenance import software_versions, source_commit
from cryosamu.volume.grid import grid_shape, resample
from cryosamu.volume.volume import FloatArray, Volume

SIGMA = 1.7
"""Å: of the Gaussians' spectrum, 7e-7 of the amplitude lies beyond the Nyquist limit of 1 Å."""

_GAUSSIANS = 200
_VOXEL_SIZES = (0.8, 1.06, 1.4)
_BIG, _BIG_VOXEL = 600, 0.8


def analytic(shape: tuple[int, ...], box: tuple[float, ...]) -> FloatArray:
    """Return the map at the points of a grid in a box (x, y, z in Å), float32 [nz, ny, nx]."""
    centres = np.random.default_rng(8).uniform(size=(_GAUSSIANS, 3))
    along = [
        _periodic(centre * edge, np.arange(count) * edge / count, edge)
        for centre, count, edge in zip(centres.T, reversed(shape), box, strict=True)
    ]
    planes = (along[1][:, :, None] * along[0][:, None]).reshape(_GAUSSIANS, -1)
    return (along[2].T.astype(np.float64) @ planes).reshape(shape).astype(np.float32)


def _periodic(
    centres: NDArray[np.float64], points: NDArray[np.float64], edge: float
) -> NDArray[np.float64]:
    apart = points[None, :] - centres[:, None]
    apart -= edge * np.rint(apart / edge)
    return sum(np.exp(-((apart + n * edge) ** 2) / (2 * SIGMA**2)) for n in (-1, 0, 1))


def _ndimage(order: int) -> Callable[[FloatArray, tuple[int, ...]], FloatArray]:
    def apply(data: FloatArray, shape: tuple[int, ...]) -> FloatArray:
        steps = np.array(data.shape) / shape
        return scipy.ndimage.affine_transform(
            data, steps, output_shape=shape, order=order, mode="grid-wrap"
        )

    return apply


def _ours(data: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    return resample(Volume(data, (1.0, 1.0, 1.0)), shape).data


def _zoom(data: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    return scipy.ndimage.zoom(data, np.array(shape) / data.shape, order=3)


METHODS = {
    "band-limited": _ours,
    "cubic spline": _ndimage(3),
    "trilinear": _ndimage(1),
    "zoom by its defaults": _zoom,
}


def compared(edge: int, voxel_size: float, rounds: int) -> dict[str, object]:
    """Return errors (over the map's standard deviation) and seconds of every method."""
    volume = Volume(np.zeros((edge, edge - 2, edge + 3), np.float32), (voxel_size,) * 3)
    shape = grid_shape(volume, 1.0)
    here, there = analytic(volume.shape, volume.box), analytic(shape, volume.box)
    seconds: dict[str, list[float]] = {name: [] for name in METHODS}
    errors = {}
    for turn in range(rounds):
        for name, method in METHODS.items():
            begun = time.perf_counter()
            found = method(here, shape)
            seconds[name].append(time.perf_counter() - begun)
            if turn == 0:
                back = method(found, volume.shape)
                errors[name] = {"there": _error(found, there), "there_and_back": _error(back, here)}
    ours = statistics.median(seconds["band-limited"])
    return {
        "shape": volume.shape,
        "voxel_size": voxel_size,
        "working_shape": shape,
        "methods": {
            name: {
                **errors[name],
                "seconds": round(statistics.median(times), 3),
                "times_ours": round(statistics.median(times) / ours, 2),
            }
            for name, times in seconds.items()
        },
    }


def _error(found: FloatArray, expected: FloatArray) -> dict[str, float]:
    apart, scale = np.abs(found - expected), float(expected.std())
    rms = math.sqrt(float(np.square(apart).mean(dtype=np.float64)))
    return {"rms": float(f"{rms / scale:.2e}"), "largest": float(f"{apart.max() / scale:.2e}")}


def _resident() -> float:
    """Return the most memory that this process ever held, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _wave(count: int) -> FloatArray:
    """Seventeen periods: cheap to make and known at every point."""
    return np.cos(2 * np.pi * (17 * np.arange(count) / count + 0.1)).astype(np.float32)


def _waves(edge: int) -> FloatArray:
    """Return the product of a wave along each axis, [edge, edge, edge]."""
    wave, waves = _wave(edge), np.empty((edge, edge, edge), np.float32)
    for section, height in zip(waves, wave, strict=True):
        np.multiply.outer(height * wave, wave, out=section)
    return waves


def _largest_error(found: FloatArray) -> float:
    wave = _wave(len(found))
    plane = np.multiply.outer(wave, wave)
    errors = (np.abs(one - height * plane).max() for one, height in zip(found, wave, strict=True))
    return float(f"{max(errors):.2e}")


def big_map() -> dict[str, object]:
    """Resample 600³ to about 1 Å and back; return peak memory and seconds. For a fresh process."""
    before, grid = _resident(), 4 * _BIG**3 / 2**20
    volume = Volume(_waves(_BIG), (_BIG_VOXEL,) * 3)
    begun = time.perf_counter()
    working = resample(volume, grid_shape(volume, 1.0))
    seconds_there, peak_there = time.perf_counter() - begun, _resident() - before
    error_there = _largest_error(working.data)
    del volume
    begun = time.perf_counter()
    back = resample(working, (_BIG,) * 3)
    seconds_back, peak = time.perf_counter() - begun, _resident() - before
    return {
        "shape": [_BIG] * 3,
        "working_shape": list(working.shape),
        "grid_mib": round(grid, 1),
        "peak_mib": {"there": round(peak_there, 1), "there_and_back": round(peak, 1)},
        "peak_over_grid": {
            "there": round(peak_there / grid, 3),
            "there_and_back": round(peak / grid, 3),
        },
        "seconds": {"there": round(seconds_there, 2), "back": round(seconds_back, 2)},
        "largest_error": {"there": error_there, "there_and_back": _largest_error(back.data)},
    }


def main() -> None:
    """Measure and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edges", type=int, nargs="+", default=[128])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--big", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    if given.big:
        print(json.dumps(big_map()))
        return
    command = [sys.executable, __file__, "--big"]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    record = {
        "sigma": SIGMA,
        "compared": [
            compared(edge, size, given.rounds) for edge in given.edges for size in _VOXEL_SIZES
        ],
        "big_map": json.loads(ran.stdout),
        "versions": software_versions(),
        "source_commit": source_commit(),
    }
    text = json.dumps(record, indent=2) + "\n"
    if given.output:
        write_text(given.output, text)
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
