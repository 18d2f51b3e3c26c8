"""Which models that do not fit their map are refused, and whether one that does is let through.

Every map of a folder with an index.json, the largest cropped: its own model as it lies; displaced
by 5 and by 10 Å; turned by 90° about its centre; the model of another entry, its centre where its
own has it; and its own model on the map's mirror image. Counts refusals, and takes the CPU seconds
of each question.

    OMP_NUM_THREADS=1 python benchmarks/model_fit.py ../shared/data/maps \
        --output benchmarks/results/model_fit.json
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from pathlib import Path

import gemmi
import numpy as np
from real_maps import cropped
from scipy.spatial.transform import Rotation

from cryosamu.enhancement.checks.fit import check_fit
from cryosamu.errors import ModelError
from cryosamu.structure.model import heavy_atoms, read_model
from cryosamu.volume.io import read_map
from cryosamu.volume.volume import Volume

DIRECTION = np.array([-0.48, 0.8, -0.36])
FIGURES = ("asked", "refused", "told", "median_seconds", "most_seconds")
OTHER = 7
"""Steps in the list of models from a map's own to a foreign one."""


def main() -> None:
    """Ask for every pair and every displacement, write the counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--only", default="", help="entries whose name matches this")
    parser.add_argument("--blind", action="store_true", help="do not tell the resolution")
    given = parser.parse_args()
    index = given.folder / "index.json"
    if not index.is_file():
        sys.exit(f"{index}: is not there; these real maps are not part of the repository.")
    entries = json.loads(index.read_text())
    models = {name_of(e): read_model(given.folder.parent / e["model"]) for e in entries}
    rows = []
    for entry in entries:
        name = name_of(entry)
        if not re.search(given.only, name):
            continue
        volume = cropped(read_map(given.folder.parent / entry["map"]), models[name])
        resolution = None if given.blind else float(entry["resolution"])
        for kind, shown, model in questions(name, volume, models):
            rows.append({"map": name, "kind": kind, **asked(shown, model, resolution)})
        print(f"{name}: {time.process_time():.0f} CPU s so far", file=sys.stderr)
        write(given.output, rows)
    print(table(json.loads(given.output.read_text())["counts"]))


def write(path: Path, rows: list[dict]) -> None:
    """Write what was found so far, and the counts."""
    counts = {kind: counted([r for r in rows if r["kind"] == kind]) for kind in kinds(rows)}
    path.write_text(json.dumps({"counts": counts, "rows": rows}, indent=1) + "\n")


def name_of(entry: dict) -> str:
    """Return the name of a part."""
    return f"{entry['emdb']} {entry['part']}"


def questions(name: str, volume: Volume, models: dict[str, gemmi.Structure]):
    """Yield kind, map and model of everything that is asked of one map."""
    own = models[name]
    centre = heavy_atoms(own).positions.mean(axis=0)
    yield "as deposited", volume, own
    for length in (5, 10):
        yield f"displaced by {length} Å", volume, moved(own, np.eye(3), length * DIRECTION)
    turn = Rotation.from_euler("x", 90, degrees=True).as_matrix()
    yield "turned by 90°", volume, moved(own, turn, centre - turn @ centre)
    others = [other for other in models if other.split()[0] != name.split()[0]]
    other = models[others[(list(models).index(name) + OTHER) % len(others)]]
    place = heavy_atoms(other).positions.mean(axis=0)
    yield "another entry's model", volume, moved(other, np.eye(3), centre - place)
    yield "map of the wrong hand", volume.with_data(volume.data[::-1]), own


def moved(model: gemmi.Structure, matrix: np.ndarray, shift: np.ndarray) -> gemmi.Structure:
    """Return a copy after x ↦ matrix · x + shift, Å."""
    copy = model.clone()
    transform = gemmi.Transform(gemmi.Mat33(matrix.tolist()), gemmi.Vec3(*shift.tolist()))
    copy[0].transform_pos_and_adp(transform)
    return copy


def asked(volume: Volume, model: gemmi.Structure, resolution: float | None) -> dict:
    """Return what is said of one map and model."""
    begun = time.process_time()
    try:
        found = check_fit(volume, model, resolution, False, "the map", "the model")
        refused, said = False, found[0].sentence if found else ""
    except ModelError as error:
        refused, said = True, str(error)
    return {"refused": refused, "said": said, "seconds": round(time.process_time() - begun, 2)}


def kinds(rows: list[dict]) -> list[str]:
    """Return the kinds in the order in which they were first asked."""
    return list(dict.fromkeys(row["kind"] for row in rows))


def counted(rows: list[dict]) -> dict:
    """Return how many of one kind were refused, which were not, and the time."""
    seconds = [row["seconds"] for row in rows]
    return {
        "asked": len(rows),
        "refused": sum(row["refused"] for row in rows),
        "told": sum(not row["refused"] and bool(row["said"]) for row in rows),
        "let_through": [row["map"] for row in rows if not row["refused"]],
        "median_seconds": float(np.median(seconds)),
        "most_seconds": max(seconds),
    }


def table(counts: dict[str, dict]) -> str:
    """Return the counts in Markdown."""
    lines = ["| model | asked | refused | told only | median s | most s |", "| --- " * 6 + "|"]
    for kind, row in counts.items():
        values = (row[key] for key in FIGURES)
        lines.append(f"| {kind} | " + " | ".join(f"{value:g}" for value in values) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
