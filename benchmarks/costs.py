"""What a data set costs through all stages: disk, processor hours, bandwidth, from measured parts.

python benchmarks/costs.py --measure       # the parts, into benchmarks/results/costs.json
python benchmarks/costs.py --pairs 400     # the table
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import gemmi
import numpy as np

from cryosamu.archive.record import FetchRecord
from cryosamu.archive.server import EMBEDDED
from cryosamu.config import PreparationSettings
from cryosamu.curation.measurement import Measurement, measure_pair
from cryosamu.evaluation.correlation import correlations
from cryosamu.evaluation.fsc import model_fsc
from cryosamu.evaluation.reference import ModelReference
from cryosamu.files import sha256_of, write_text
from cryosamu.preparation import prepare_pair
from cryosamu.provenance import source_commit
from cryosamu.structure.density import simulate_density
from cryosamu.structure.model import heavy_atoms, read_model
from cryosamu.volume.io import read_map, write_map
from cryosamu.volume.volume import Volume

Result = TypeVar("Result")
RESULTS = Path(__file__).with_name("results")
MODEL = EMBEDDED / "files.rcsb.org" / "download" / "5NI1.cif.gz"
RESOLUTION, VOXEL = 6.0, 1.3
COPIES = {100: 1, 200: 4, 300: 8, 400: 12}
"""Box edge in voxels to copies of 5NI1 (574 residues) in it."""


@dataclass(frozen=True)
class Assumptions:
    """What the parts are multiplied by; shares of box edges add up to 1."""

    boxes: dict[int, float]
    maps_a_pair: float = 2.0
    models_a_pair: float = 14.0
    model_megabytes: float = 0.6
    residues: int = 3000
    methods: int = 6
    megabytes_a_second: float = 3.0
    seconds_a_request: float = 0.5


ASSUMED = Assumptions({200: 0.3, 300: 0.4, 400: 0.3})


def write_pair(edge: int, folder: Path) -> tuple[Path, Path]:
    """Write a noisy map of edge³ voxels and its model: copies of 5NI1 on a lattice."""
    structure = read_model(MODEL)
    copies = gemmi.Structure()
    copies.add_model(gemmi.Model(1))
    origin = np.mean(heavy_atoms(structure).positions, axis=0)
    for copy in range(COPIES[edge]):
        place = np.array([copy % 2, copy // 2 % 2, copy // 4]) - [
            0.5,
            0.5,
            (COPIES[edge] / 4 - 1) / 2,
        ]
        shift = edge * VOXEL / 2 + 70 * place * (COPIES[edge] > 1) - origin
        for chain in structure[0]:
            moved = chain.clone()
            moved.name = f"{chain.name}{copy}"
            for residue in moved:
                for atom in residue:
                    atom.pos += gemmi.Position(*shift)
            copies[0].add_chain(moved)
    copies.setup_entities()
    model = folder / f"model_{edge}.cif"
    copies.make_mmcif_document().write_file(str(model))
    grid = Volume(np.zeros((edge,) * 3, np.float32), (VOXEL,) * 3, (0.0, 0.0, 0.0))
    signal = simulate_density(heavy_atoms(read_model(model)), grid, 0.225 * RESOLUTION).data
    noise = np.random.default_rng(edge).normal(size=signal.shape).astype(np.float32)
    path = folder / f"map_{edge}.map.gz"
    write_map(path, Volume(signal + 0.1 * signal.std() * noise, grid.voxel_size, grid.origin), "")
    return path, model


def measure_box(edge: int, folder: Path) -> dict[str, float]:
    """Return processor seconds and peak memory of the steps for one map of edge³ voxels."""
    path, model = write_pair(edge, folder)
    record = fetch_record("EMD-1", "map", path), fetch_record("0AAA", "model", model)
    row: dict[str, float] = {"box": edge, "residues": 574 * COPIES[edge]}
    row["map.gz MB"] = round(path.stat().st_size / 1e6, 1)
    measured, row["measure"] = timed(lambda: measure_pair(*record, RESOLUTION))
    if not isinstance(measured, Measurement):
        raise SystemExit(f"the synthetic pair could not be measured: {measured.error}")
    prepared = folder / "pair.npy"
    _, row["prepare"] = timed(
        lambda: prepare_pair(path, model, RESOLUTION, PreparationSettings(), prepared)
    )
    row["prepared MB"] = round(prepared.stat().st_size / 1e6, 1)
    volume = read_map(path)
    reference, row["reference"] = timed(
        lambda: ModelReference(volume, read_model(model), RESOLUTION)
    )
    model_fsc(volume.data, reference)
    _, row["judge a method"] = timed(
        lambda: (correlations(volume.data, reference), model_fsc(volume.data, reference))
    )
    row["peak MB"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6)
    return row


def timed(work: Callable[[], Result]) -> tuple[Result, float]:
    """Return what a piece of work gives, and its processor seconds."""
    start = time.process_time()
    result = work()
    return result, round(time.process_time() - start, 2)


def fetch_record(name: str, kind: str, path: Path) -> FetchRecord:
    """Return the record of a fetch that left this file."""
    return FetchRecord.model_validate(
        {
            "id": name,
            "kind": kind,
            "status": "ok",
            "path": str(path),
            "bytes": path.stat().st_size,
            "sha256": sha256_of(path),
            "url": path.as_uri(),
            "error": None,
        }
    )


def table(pairs: int, assumed: Assumptions = ASSUMED) -> str:
    """Return a Markdown table of the costs of so many pairs."""
    rows = {row["box"]: row for row in json.loads((RESULTS / "costs.json").read_text())["boxes"]}
    parts = json.loads((RESULTS / "processor.json").read_text())["cpu_seconds"]

    def mean(name: str) -> float:
        return float(sum(share * rows[edge][name] for edge, share in assumed.boxes.items()))

    maps = pairs * assumed.maps_a_pair
    models = pairs * assumed.models_a_pair
    megabytes = maps * mean("map.gz MB") + models * assumed.model_megabytes
    requests = (maps + models) * assumed.seconds_a_request
    windows = sum(share * (edge * VOXEL / 64) ** 3 for edge, share in assumed.boxes.items())
    encoders = (
        ("ESM-IF1", 512, "esm_if1, random weights: 574 residues in 4 chains"),
        ("ProteinMPNN", 128, "protein_mpnn: 574 residues in 4 chains"),
    )
    judged = mean("reference") + assumed.methods * mean("judge a method")
    lines = [
        "| stage | entries | each, CPU s | CPU hours | disk GB |",
        "| --- | --- | --- | --- | --- |",
        _row("fetch models", models, 0, models * assumed.model_megabytes / 1e3),
        _row("fetch maps", maps, 0, maps * mean("map.gz MB") / 1e3),
        _row("measure (curation)", maps, mean("measure"), 0),
        _row("prepare", pairs, mean("prepare"), pairs * mean("prepared MB") / 1e3),
        *(
            _row(
                *(f"embed, {name}", pairs, parts[part] / 574 * assumed.residues),
                pairs * assumed.residues * width * 4 / 1e9,
            )
            for name, width, part in encoders
        ),
        *(
            _row(f"enhance, {name}", pairs, windows * parts[f"{name}: forward, one 64^3 window"], 0)
            for name in ("reference", "compact")
        ),
        _row("evaluate", pairs, judged, 0),
    ]
    hours = max(megabytes / assumed.megabytes_a_second, requests) / 3600
    boxes = ", ".join(f"{edge}³ ({share:.0%})" for edge, share in assumed.boxes.items())
    crop = parts["reference: forward and backward, one 48^3 crop"]
    lines += [
        "",
        f"Bandwidth: {megabytes / 1e3:,.0f} GB; {hours:,.1f} hours at "
        f"{assumed.megabytes_a_second:g} MB/s. Training is apart from the number of pairs: "
        f"{crop:g} CPU s a 48³ crop of the reference network.",
        f"Assumed: boxes of {boxes} voxels of {VOXEL} Å; {assumed.residues:,} residues a model; "
        f"{assumed.maps_a_pair:g} maps and {assumed.models_a_pair:g} models of "
        f"{assumed.model_megabytes:g} MB fetched for each pair that is left; {assumed.methods} "
        f"methods evaluated; a request every {assumed.seconds_a_request:g} s.",
    ]
    return "\n".join(lines)


def _row(stage: str, entries: float, seconds: float, gigabytes: float) -> str:
    hours = entries * seconds / 3600
    cells = [f"{seconds:.1f}", f"{hours:.1f}"] if seconds else ["", ""]
    disk = f"{gigabytes:.1f}" if gigabytes else ""
    return f"| {stage} | {entries:,.0f} | {cells[0]} | {cells[1]} | {disk} |"


def main() -> None:
    """Measure each box in a process of its own, or print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--pairs", type=int, default=400)
    parser.add_argument("--one", type=int, help="measure one box in this process")
    options = parser.parse_args()
    if options.one is not None:
        with tempfile.TemporaryDirectory() as name:
            print(json.dumps(measure_box(options.one, Path(name))))
    elif options.measure:
        command = [sys.executable, __file__, "--one"]
        boxes = [json.loads(subprocess.check_output([*command, str(edge)])) for edge in COPIES]
        record = {"date": time.strftime("%Y-%m-%d"), "commit": source_commit(), "boxes": boxes}
        write_text(RESULTS / "costs.json", json.dumps(record, indent=2) + "\n")
    else:
        print(table(options.pairs))


if __name__ == "__main__":
    main()
