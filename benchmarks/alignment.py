"""Judge real map-model pairs by every filter; misplace their models, and see what is found.

    python benchmarks/alignment.py ../shared/data/maps -o benchmarks/results/alignment.json

The folder holds index.json and what it names; without it there is nothing to measure. Each pair
is judged as it is, then with its model shifted by 3 and 10 Å, by one voxel along x and along the
diagonal, turned by 10° about three axes, both at once, and put into the frame of voxel (0, 0, 0).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from tqdm import tqdm

from cryosamu.archive.record import FetchRecord
from cryosamu.config import CurationSettings
from cryosamu.curation.facts import describe_model
from cryosamu.curation.filters import map_filters, model_filters
from cryosamu.curation.filters.alignment import AlignmentFilter
from cryosamu.curation.header_offset import explain_shift
from cryosamu.curation.measurement import Measurement, measure_pair
from cryosamu.files import sha256_of, write_text
from cryosamu.structure.model import Atoms, heavy_atoms, read_model
from cryosamu.structure.motion import RigidMotion
from cryosamu.structure.pose import Pose, find_best_pose
from cryosamu.volume.io import read_map
from cryosamu.volume.volume import Volume

SEED = 2024
SETTINGS = CurationSettings()
ALIGNMENT = AlignmentFilter(SETTINGS.alignment)


def record_of(identifier: str, kind: str, path: Path) -> FetchRecord:
    """Return the record of a file that is already here."""
    return FetchRecord(
        id=identifier, kind=kind, status="ok", path=str(path), bytes=path.stat().st_size,
        sha256=sha256_of(path), url=path.name, error=None,
    )  # fmt: skip


def misplacements(
    volume: Volume, atoms: Atoms, draws: np.random.Generator
) -> Iterator[tuple[str, RigidMotion]]:
    """Yield a name and the motion that misplaces the model."""
    centre, still = atoms.positions.mean(axis=0), np.eye(3)
    voxel = np.array(volume.voxel_size)
    shifts = {
        "shift 3 Å": 3 * direction(draws),
        "shift 10 Å": 10 * direction(draws),
        "one voxel, x": voxel * (1, 0, 0),
        "one voxel, diagonal": voxel,
    }
    for name, shift in shifts.items():
        yield name, RigidMotion.about(centre, still, shift)
    for _ in range(3):
        yield "turn 10°", RigidMotion.about(centre, turn(draws), np.zeros(3))
    yield "turn 10° and shift 10 Å", RigidMotion.about(centre, turn(draws), 10 * direction(draws))
    origin = np.array(volume.origin)
    if (np.abs(origin) > 3 * voxel).any():
        yield "origin ignored", RigidMotion.about(centre, still, -origin)


def direction(draws: np.random.Generator) -> NDArray[np.float64]:
    """Return a random unit vector."""
    vector = draws.normal(size=3)
    return vector / np.linalg.norm(vector)


def turn(draws: np.random.Generator) -> NDArray[np.float64]:
    """Return a rotation by 10° about a random axis, [3, 3]."""
    return Rotation.from_rotvec(np.deg2rad(10) * direction(draws)).as_matrix()


def judged(measured: Measurement, pose: Pose) -> str:
    """Return the alignment filter's verdict on the measurement with another pose."""
    update = {name: value for name, value in asdict(pose).items() if name != "motion"}
    update |= {"motion": pose.motion, "rotation_angle": pose.motion.angle}
    return ALIGNMENT.judge(measured.model_copy(update=update)).verdict


def rmsd(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Return the root mean square distance of two sets of positions, Å."""
    return float(np.sqrt(((first - second) ** 2).sum(axis=1).mean()))


def verdicts(measured: Measurement, model: Path) -> dict[str, Any]:
    """Return verdict and number of each filter of models and maps, whatever the others say."""
    facts = describe_model(read_model(model))
    decisions = {one.name: one.judge(facts) for one in model_filters(SETTINGS)}
    decisions |= {one.name: one.judge(measured) for one in map_filters(SETTINGS)}
    return {name: [one.verdict, one.value] for name, one in decisions.items()}


def measure(row: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Judge one pair as deposited and misplaced."""
    map_path, model = folder.parent / row["map"], folder.parent / row["model"]
    start = time.process_time()
    records = record_of(row["emdb"], "map", map_path), record_of(row["pdb"], "model", model)
    measured = measure_pair(*records, row["resolution"])
    if not isinstance(measured, Measurement):
        raise SystemExit(f"{row['emdb']}: {measured.error}")
    seconds = time.process_time() - start
    volume, atoms = read_map(map_path), heavy_atoms(read_model(model))
    best = measured.motion.apply(atoms.positions)
    draws, cases = np.random.default_rng(SEED), []
    for name, motion in misplacements(volume, atoms, draws):
        misplaced = replace(atoms, positions=motion.apply(atoms.positions))
        start = time.process_time()
        pose = find_best_pose(volume, misplaced, row["resolution"])
        back = pose.motion.apply(misplaced.positions)
        cases.append(
            {
                "case": name,
                "misplaced_by": rmsd(misplaced.positions, atoms.positions),
                "displacement": pose.displacement,
                "detected": judged(measured, pose) == "drop",
                "from_best": rmsd(back, best),
                "from_deposited": rmsd(back, atoms.positions),
                "explained": explain_shift(volume, pose.shift),
                "processor_seconds": round(time.process_time() - start, 2),
            }
        )
    numbers = measured.model_dump(mode="json", exclude={"map_sha256", "model_sha256", "error"})
    name = {key: row[key] for key in ("emdb", "pdb", "part", "kind")}
    return name | {
        "voxel": row["voxel"],
        "atoms": len(atoms.positions),
        "processor_seconds": round(seconds, 2),
        "measurement": numbers | {"significance": measured.significance},
        "verdicts": verdicts(measured, model),
        "cases": cases,
    }


def main() -> None:
    """Measure all pairs and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    index = given.folder / "index.json"
    if not index.is_file():
        print(f"{given.folder}: the real maps are not here; nothing was measured.", file=sys.stderr)
        return
    rows = json.loads(index.read_text())
    pairs = [measure(row, given.folder) for row in tqdm(rows, unit="pair", disable=None)]
    write_text(given.output, json.dumps({"seed": SEED, "pairs": pairs}, indent=1) + "\n")


if __name__ == "__main__":
    main()
