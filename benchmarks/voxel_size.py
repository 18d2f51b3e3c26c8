"""What mass and resolution tell of a wrong voxel size, without a model's coordinates.

Every map of a folder with an index.json, as deposited and with its voxel size made wrong. The told
mass is that of the deposited model (hydrogens, at 7 %, added). Some parts are cut out of a larger
map and hold neighbours that the model leaves out; what is said of them is counted apart. What a
model whose coordinates are known tells stands in `docs/input_checks.md` too.

    OMP_NUM_THREADS=1 python benchmarks/voxel_size.py ../shared/data/maps \
        --output benchmarks/results/voxel_size.json
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np

from cryosamu.enhancement.checks.detail_checks import unfiltered
from cryosamu.enhancement.checks.mass_checks import (
    finer_than_voxels,
    mass_of,
    voxel_size_by_mass,
)
from cryosamu.evaluation.map_fsc import power_beyond
from cryosamu.structure.contour import CUBIC_ANGSTROM_PER_DALTON, molecular_volume
from cryosamu.structure.model import heavy_atoms, read_model
from cryosamu.volume.io import read_map
from cryosamu.volume.volume import Volume

FACTORS = (0.5, 0.8, 1.0, 1.25, 2.0)
NEIGHBOURS = ("EMD-4413 subunit", "EMD-1461 fit")
"""Crops of larger maps, unmasked: their boxes hold more than their models."""
LARGE = 400
"""Voxels along each edge of a map of noise on which the time is taken."""


def main() -> None:
    """Measure, write and count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args()
    index = given.folder / "index.json"
    if not index.is_file():
        sys.exit(f"{index}: is not there; these real maps are not part of the repository.")
    rows = [row for e in json.loads(index.read_text()) for row in measured(e, given.folder.parent)]
    result = {"counts": counts(rows), "cpu_seconds_400": seconds(), "maps": rows}
    given.output.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result["counts"], indent=1))


def measured(entry: dict, root: Path) -> list[dict]:
    """Return a row for each factor on the voxel size."""
    deposited, model = read_map(root / entry["map"]), heavy_atoms(read_model(root / entry["model"]))
    told = molecular_volume(model) / CUBIC_ANGSTROM_PER_DALTON / 1000
    resolution = float(entry["resolution"])
    rows = []
    for factor in FACTORS:
        x, y, z = (factor * size for size in deposited.voxel_size)
        shown = Volume(deposited.data, (x, y, z), deposited.origin)
        weighed, untold = mass_of(shown, told=told), mass_of(shown)
        if weighed is None or untold is None:
            sys.exit(f"{entry['map']}: is flat.")
        found = voxel_size_by_mass(shown, weighed)
        rows.append({
            "map": f"{entry['emdb']} {entry['part']}",
            "factor": factor,
            "told_kda": round(told, 2),
            "seen_over_told": round(weighed.seen / told, 3),
            "by_mass": None if found is None else round(found.value, 3),
            "absurd": voxel_size_by_mass(shown, untold) is not None,
            "by_resolution": finer_than_voxels(shown, resolution) is not None,
            "unfiltered": unfiltered(shown, resolution) is not None,
            "power_beyond_resolution": round(
                power_beyond(shown.data, shown, 1 / resolution), 5
            ),
        })  # fmt: skip
    print(rows[0]["map"], [row["seen_over_told"] for row in rows], file=sys.stderr)
    return rows


def counts(rows: list[dict]) -> dict:
    """Return, by factor, how many maps are told of, and how near the right size is."""
    found = {}
    for factor in FACTORS:
        these = [row for row in rows if row["factor"] == factor]
        whole = [row for row in these if row["map"] not in NEIGHBOURS]
        ratios = [row["seen_over_told"] for row in whole]
        found[str(factor)] = {
            "maps": len(these),
            "by_mass": sum(row["by_mass"] is not None for row in these),
            "by_mass_but_crops_with_neighbours": sum(row["by_mass"] is not None for row in whole),
            "maps_but_crops_with_neighbours": len(whole),
            "seen_over_told_of_those": [min(ratios), float(np.median(ratios)), max(ratios)],
            "suggested_over_right_size": sorted(
                round(factor * row["by_mass"], 2) for row in whole if row["by_mass"]
            ),
            "absurd_without_mass": sum(row["absurd"] for row in these),
            "by_resolution": sum(row["by_resolution"] for row in these),
            "by_mass_or_resolution": sum(
                row["by_resolution"] or row["by_mass"] is not None for row in these
            ),
            "said_to_be_unfiltered": sum(row["unfiltered"] for row in these),
        }
    return found


def seconds() -> float:
    """Return the CPU seconds of weighing a map of 400³ voxels of 1 Å."""
    data = np.random.default_rng(0).standard_normal((LARGE,) * 3, dtype=np.float32)
    begun = time.process_time()
    mass_of(Volume(data, (1.0, 1.0, 1.0)))
    return round(time.process_time() - begun, 2)


if __name__ == "__main__":
    main()
