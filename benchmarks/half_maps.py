"""The guard of half maps against a truth that is known: halves simulated from models.

The signal is the map calculated from a model at its resolution; each half adds noise of its own
whose power per coefficient grows from a tenth of the signal's mean power at 20 Å to as much at the
resolution. The guard's estimate of how an enhanced half correlates with the signal, its FSC with
the other raw half over √FSC of the raw halves, is held against that correlation itself.

    OMP_NUM_THREADS=1 python benchmarks/half_maps.py ../shared/data/maps \
        --output benchmarks/results/half_maps.json
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch
from confidence_maps import enhancement

from cryosamu.enhancement.released import released_checkpoint
from cryosamu.enhancement.trust.half_maps import guard
from cryosamu.evaluation.map_fsc import map_fsc
from cryosamu.evaluation.reference import ModelReference
from cryosamu.files import sha256_of, write_text
from cryosamu.structure.model import read_model
from cryosamu.volume.fourier import multiply_spectrum, sharpen, spatial_frequency_squared
from cryosamu.volume.io import read_map
from cryosamu.volume.volume import Volume

MAPS = ("EMD-6187 A", "EMD-6187 K", "EMD-5137 chainA", "EMD-35448 crop")
"""At 4.3 to 7.64 Å, and small."""

SEED = 2024


def main() -> None:
    """Judge the released checkpoint and methods of known effect, write, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--output", type=Path, required=True, help="figures to keep, JSON")
    given = parser.parse_args()
    index = given.folder / "index.json"
    if not index.is_file():
        sys.exit(f"{index}: is not there; these real maps are not part of the repository.")
    torch.set_num_threads(1)
    network = enhancement(released_checkpoint())
    rows = []
    for entry in json.loads(index.read_text()):
        if f"{entry['emdb']} {entry['part']}" in MAPS:
            rows += judged(entry, given.folder.parent, network)
    found = {"checkpoint_sha256": sha256_of(released_checkpoint()), "rows": rows}
    write_text(given.output, json.dumps(found, indent=1) + "\n")
    names = list(rows[0])
    print(f"| {' | '.join(names)} |\n" + "| --- " * len(names) + "|")
    for row in rows:
        cells = [f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in row.values()]
        print(f"| {' | '.join(cells)} |")


def judged(entry: dict, root: Path, network) -> list[dict]:
    """Return what the guard finds of each method on one model's simulated halves, and the truth."""
    resolution = float(entry["resolution"])
    grid = read_map(root / entry["map"])
    reference = ModelReference(grid, read_model(root / entry["model"]), resolution)
    signal = grid.with_data(reference.calculated / reference.calculated.std())
    halves = tuple(noisy(signal, resolution, SEED + number) for number in (1, 2))
    other = noisy(signal.with_data(0 * signal.data), resolution, SEED + 3)
    whole = grid.with_data(np.ones_like(grid.data))
    unfiltered = iter(halves)
    methods = {
        "nothing": lambda half: half,
        "sharpened by 50 Å²": lambda half: sharpen(half, -50),
        "the released checkpoint": lambda half: network(half, resolution),
        "the same, fine noise left in": lambda _: network(next(unfiltered), resolution),
        "one more noise, to both": lambda half: half.with_data(half.data + other.data),
        "the true signal": lambda _: signal,
    }
    rows = []
    for name, method in methods.items():
        made = []

        def kept(half: Volume, method=method, made=made) -> Volume:
            made.append(method(half))
            return made[-1]

        found = guard(kept, halves, resolution, whole)
        s, raw, cross = (
            np.array(found["curves"][key]) for key in ("spatial_frequency", "raw", "first_enhanced")
        )
        # Coarser shells hold too few coefficients to tell.
        shells = (s > 1 / 15) & (s < 1 / resolution)
        ceiling = np.sqrt(np.maximum(raw[shells], 1e-6))
        actual = map_fsc(made[0].data, signal.data, grid).fsc[shells]
        rows.append({
            "map": f"{entry['emdb']} {entry['part']}",
            "method": name,
            "passed": found["passed"],
            "gain": (found["first_enhanced"]["gain"] + found["second_enhanced"]["gain"]) / 2,
            "lowered_shells": f"{found['first_enhanced']['lowered_shells']} of "
            f"{found['first_enhanced']['shells']}",
            "estimated_correlation_with_signal": float(np.mean(cross[shells] / ceiling)),
            "true_correlation_with_signal": float(np.mean(actual)),
        })  # fmt: skip
    return rows


def noisy(signal: Volume, resolution: float, seed: int) -> Volume:
    """Return the signal with noise whose power grows tenfold from 20 Å to the resolution."""
    white = np.random.default_rng(seed).standard_normal(signal.shape, np.float32)
    squared = spatial_frequency_squared(signal)
    # Mean power of the signal over the coefficients that it has.
    share = float((squared <= 1 / resolution**2).mean())
    along = np.clip((squared - 1 / 20**2) / (1 / resolution**2 - 1 / 20**2), 0, 1)
    gain = np.sqrt(10 ** (along - 1) / share)
    noise = multiply_spectrum(signal.with_data(white), gain.astype(np.float32))
    return signal.with_data(signal.data + noise.data)


if __name__ == "__main__":
    main()
