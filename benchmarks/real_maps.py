"""The packaged checkpoint and trivial processing side by side on real parts of EMDB maps.

Every map of a folder with an index.json (map, model, resolution, part, kind): baselines, the
network with the deposited model's embedding, without any, with that embedding shuffled, and with
another protein's; correlation and map-model FSC of each, as it is and low-passed to the reported
resolution. Rows of `tables.EVALUATION` (the metrics that are measured here), and Markdown tables on
standard output. Time is CPU seconds of this process alone.

    OMP_NUM_THREADS=1 python benchmarks/real_maps.py ../shared/data/maps \
        --output benchmarks/results/real_maps.parquet > tables.md
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from cryosamu.config import EmbeddingSettings, EnhancementSettings, EvaluationSettings
from cryosamu.enhancement.trial import trial_of
from cryosamu.errors import CryosamuError
from cryosamu.evaluation.correlation import correlations
from cryosamu.evaluation.fsc import model_fsc
from cryosamu.evaluation.methods import BASELINES, FLOORS, make_baseline, make_floor
from cryosamu.evaluation.reference import ModelReference
from cryosamu.evaluation.statistics.pairing import paired_values
from cryosamu.evaluation.statistics.summary import ALL, summarise
from cryosamu.files import atomic_path
from cryosamu.structure.model import heavy_atoms, read_model
from cryosamu.volume.fourier import low_pass
from cryosamu.volume.io import read_map
from cryosamu.volume.volume import FloatArray, Volume

CONDITIONS = {
    "enhanced": "true",
    "enhanced_no_structure": "none",
    "enhanced_permuted": "permuted",
    "enhanced_another": "another",
}
METHODS = (*BASELINES, *CONDITIONS)
METRICS = ("cc_box", "cc_mask", "cc_volume", "cc_peaks", "d_fsc_05_masked", "d_fsc_05_unmasked")
COLUMNS = (
    "method", "metric", "maps", "failures", "mean_gain", "gain_low", "gain_high", "wins", "ties",
    "losses", "p", "p_holm",
)  # fmt: skip
MEANT_FOR = (3.8, 8.0)
LARGEST = 3_000_000
"""Voxels above which a map is cropped to its model and 16 Å round it."""


def main() -> None:
    """Measure, write the table, print the Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--only", help="entries whose name contains this")
    given = parser.parse_args()
    index = given.folder / "index.json"
    if not index.is_file():
        sys.exit(f"{index}: is not there; these real maps are not part of the repository.")
    torch.set_num_threads(1)
    frames = []
    for entry in json.loads(index.read_text()):
        name = f"{entry['emdb']} {entry['part']}"
        if given.only is None or given.only in name:
            frames.append(pd.DataFrame(list(rows_of(entry, name, given.folder.parent))))
            print(f"{name}: {time.process_time():.0f} CPU s so far", file=sys.stderr)
            table = pd.concat(frames, ignore_index=True)
            with atomic_path(given.output) as temporary:
                table.to_parquet(temporary, index=False)
    print(markdown(table))


def rows_of(entry: dict, name: str, root: Path) -> Iterator[dict]:
    """Yield a row a method, metric and filter."""
    resolution = float(entry["resolution"])
    model_path = root / entry["model"]
    structure = read_model(model_path)
    deposited = cropped(read_map(root / entry["map"]), structure)
    reference = ModelReference(deposited, structure, resolution)
    for method, data in maps_of(deposited, reference, resolution, model_path):
        for low_passed in (False, True):
            seen = low_pass(deposited.with_data(data), resolution).data if low_passed else data
            found = asdict(correlations(seen, reference))
            curves = model_fsc(seen, reference)
            found["d_fsc_05_masked"] = curves.d_fsc_05_masked
            found["d_fsc_05_unmasked"] = curves.d_fsc_05_unmasked
            for metric in METRICS:
                yield {
                    "emdb_id": name,
                    "pdb_id": entry["pdb"],
                    "method": method,
                    "metric": metric,
                    "value": found[metric],
                    "low_passed": low_passed,
                    "settings": json.dumps({"resolution": resolution, "kind": entry["kind"]}),
                }


def cropped(volume: Volume, structure: object) -> Volume:
    """Return a large map's part round its model."""
    if volume.data.size <= LARGEST:
        return volume
    places = volume.to_grid(heavy_atoms(structure).positions)
    reach = 16 / np.array(volume.voxel_size)
    low = np.maximum(np.floor(places.min(axis=0) - reach).astype(int), 0)
    high = np.minimum(np.ceil(places.max(axis=0) + reach).astype(int), volume.shape[::-1])
    data = volume.data[low[2] : high[2], low[1] : high[1], low[0] : high[0]]
    origin = tuple(volume.to_model_frame(low).tolist())
    return Volume(np.ascontiguousarray(data), volume.voxel_size, origin)


def maps_of(
    deposited: Volume, reference: ModelReference, resolution: float, model_path: Path
) -> Iterator[tuple[str, FloatArray]]:
    """Yield each method's map; one that fails is left out and told."""
    settings = EvaluationSettings()
    for name in BASELINES:
        yield name, make_baseline(name, deposited, resolution, settings).data
    for floor in FLOORS:
        yield floor, make_floor(floor, deposited, reference).data
    try:
        subject, _ = trial_of(
            deposited, resolution, checkpoint=None, model_path=model_path, predicted_path=None,
            contour=None, halves=None, enhancement=EnhancementSettings(device="cpu"),
            embedding=EmbeddingSettings(device="cpu"),
        )  # fmt: skip
        for name, condition in CONDITIONS.items():
            yield name, subject.output(condition)
    except CryosamuError as error:
        print(f"{model_path.name}: {error}", file=sys.stderr)


def markdown(table: pd.DataFrame) -> str:
    """Return the means over the maps that the method is meant for, and CC_mask of every map."""
    table = table.assign(resolution=[json.loads(text)["resolution"] for text in table["settings"]])
    meant = table[table["resolution"].between(*MEANT_FOR)]
    blocks = [means(meant), summary(meant), per_map(table)]
    return "\n\n".join(blocks)


def means(table: pd.DataFrame) -> str:
    """Return the mean of every metric of each method, as it is and low-passed."""
    lines = [f"| method | filter | {' | '.join(METRICS)} |", "| --- " * (len(METRICS) + 2) + "|"]
    for method in (*METHODS, *FLOORS):
        for low_passed in (False, True):
            rows = table[(table["method"] == method) & (table["low_passed"] == low_passed)]
            values = rows.groupby("metric")["value"].mean()
            cells = [f"{values.get(metric, np.nan):.3f}" for metric in METRICS]
            filtered = "low-passed" if low_passed else "as it is"
            lines.append(f"| {method} | {filtered} | {' | '.join(cells)} |")
    return "\n".join(lines)


def summary(table: pd.DataFrame) -> str:
    """Return the paired statistics of CC_mask and masked FSC-0.5 against the fair baseline."""
    # Parts of one entry are no independent maps.
    pairs = table[["emdb_id", "pdb_id"]].drop_duplicates()
    pairs = pairs.assign(cluster=pairs["emdb_id"].str.split().str[0])
    judged = table.drop(columns="resolution")
    found = summarise(paired_values(judged, "low_pass", pairs))
    chosen = found[
        found["metric"].isin(["cc_mask", "d_fsc_05_masked"])
        & (found["bin"] == ALL)
        & found["low_passed"]
        & found["method"].isin([*BASELINES[2:], *CONDITIONS])
    ]
    lines = [f"| {' | '.join(COLUMNS)} |", "| --- " * len(COLUMNS) + "|"]
    for row in chosen[list(COLUMNS)].itertuples(index=False):
        cells = [f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in row]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def per_map(table: pd.DataFrame) -> str:
    """Return CC_mask of every map, low-passed, in the order of resolution."""
    rows = table[(table["metric"] == "cc_mask") & table["low_passed"]]
    wide = rows.pivot_table(index=["resolution", "emdb_id"], columns="method", values="value")
    lines = [f"| map | Å | {' | '.join(METHODS)} |", "| --- " * (len(METHODS) + 2) + "|"]
    for (resolution, name), values in wide.sort_index(ascending=False).iterrows():
        cells = [f"{values.get(method, np.nan):.3f}" for method in METHODS]
        lines.append(f"| {name} | {resolution:g} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
