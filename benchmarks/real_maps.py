"""The packaged checkpoint and trivial processing side by side on real parts of EMDB maps.

Every map of a folder with an index.json (map, model, resolution, part, kind): baselines, the
network with the deposited model's embedding, without any, with that embedding shuffled, and with
another protein's; every metric of each, as it is and low-passed to the reported resolution, and the
nine controls. Writes the rows of `tables.EVALUATION`, Markdown tables on standard output, and into
the folder of --worked the maps, the other tables and report.html. Time is CPU seconds of this
process alone.

    OMP_NUM_THREADS=1 python benchmarks/real_maps.py ../shared/data/maps --worked real_maps \
        --output benchmarks/results/real_maps.parquet > tables.md
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from cryosamu.config import EmbeddingSettings, EnhancementSettings, EvaluationSettings
from cryosamu.enhancement.released import released_checkpoint
from cryosamu.enhancement.trial import trial_of
from cryosamu.errors import CryosamuError
from cryosamu.evaluation.controls.run import controls_table, run_controls
from cryosamu.evaluation.entry import judge_entry
from cryosamu.evaluation.methods import BASELINES, FLOORS
from cryosamu.evaluation.rows import curves_table, evaluation_table
from cryosamu.evaluation.statistics.pairing import paired_values
from cryosamu.evaluation.statistics.summary import ALL, summarise
from cryosamu.report.inputs import InputFiles, read_inputs
from cryosamu.report.page import write_report
from cryosamu.report.pairing import Pairing
from cryosamu.structure.model import heavy_atoms, read_model
from cryosamu.tables import CATALOGUE, CONTROLS, CURVES, EVALUATION, SPLIT, SUMMARY, write_table
from cryosamu.volume.io import read_map, write_map
from cryosamu.volume.volume import Volume

CONDITIONS = {
    "enhanced": "true",
    "enhanced_no_structure": "none",
    "enhanced_permuted": "permuted",
    "enhanced_another": "another",
}
UNTOLD = "enhanced_no_structure"
METHODS = (*BASELINES, *CONDITIONS)
METRICS = ("cc_box", "cc_mask", "cc_volume", "cc_peaks", "d_fsc_05_masked", "d_fsc_05_unmasked")
PER_MAP = ("cc_mask", "d_fsc_05_masked", "d_fsc_05_unmasked", "cc_box", "cc_volume", "cc_peaks",
    "fsc_average_masked", "d_local_fsc_05", "q_score")  # fmt: skip
COLUMNS = (
    "method", "metric", "maps", "failures", "mean_gain", "gain_low", "gain_high", "wins", "ties",
    "losses", "p", "p_holm",
)  # fmt: skip
MEANT_FOR = (3.8, 8.0)
TUNED = ("35448", "6187", "5137", "1461", "5778", "8410", "0093", "6374")
"""Entries on which the ranges of the simulated training maps were set: see docs/simulation.md."""
LARGEST = 3_000_000
"""Voxels above which a map is cropped to its model and 16 Å round it."""
TITLE = "The released checkpoint on real maps"
NOTE = (
    "Parts of EMDB maps that the network has not seen. Most are cut out and masked round their "
    "model, as each says: that inflates CC_box, CC_peaks and the unmasked FSC of whatever keeps "
    "the mask, so compare CC_mask and the masked FSC. The model that is told is the deposited one."
)


@dataclass(frozen=True)
class Part:
    """What was found of one map."""

    evaluation: pd.DataFrame
    curves: pd.DataFrame
    controls: pd.DataFrame
    listed: dict
    pairing: Pairing


def main() -> None:
    """Measure, write tables, maps and page, print the Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--output", type=Path, required=True, help="evaluation table to keep")
    parser.add_argument("--worked", type=Path, required=True, help="folder for all else")
    parser.add_argument("--only", help="entries whose name contains this")
    given = parser.parse_args()
    index = given.folder / "index.json"
    if not index.is_file():
        sys.exit(f"{index}: is not there; these real maps are not part of the repository.")
    torch.set_num_threads(1)
    given.worked.mkdir(parents=True, exist_ok=True)
    parts = []
    for entry in json.loads(index.read_text()):
        name = f"{entry['emdb']} {entry['part']}"
        if given.only is None or given.only in name:
            parts.append(measured(entry, name, given.folder.parent, given.worked))
            print(f"{name}: {time.process_time():.0f} CPU s so far", file=sys.stderr)
    draw(parts, given.worked)
    table = pd.concat([part.evaluation for part in parts], ignore_index=True)
    write_table(given.output, table, EVALUATION)
    print(markdown(table))


def measured(entry: dict, name: str, root: Path, worked: Path) -> Part:
    """Return every figure of a map; its enhanced maps land in the folder."""
    resolution = float(entry["resolution"])
    model_path = root / entry["model"]
    structure = read_model(model_path)
    deposited = cropped(read_map(root / entry["map"]), structure)
    stem = name.replace(" ", "_")
    # The input as it was enhanced, so that the page draws both on one grid.
    shown = worked / f"{stem}.mrc"
    write_map(shown, deposited, "part that was enhanced")
    subject, _ = trial_of(
        deposited, resolution, checkpoint=None, model_path=model_path, predicted_path=None,
        contour=None, halves=None, enhancement=EnhancementSettings(device="cpu"),
        embedding=EmbeddingSettings(device="cpu"),
    )  # fmt: skip
    finished = {}
    for method, condition in CONDITIONS.items():
        finished[method] = worked / f"{stem}_{method}.mrc"
        try:
            made = deposited.with_data(subject.output(condition))
            write_map(finished[method], made, method)
        except CryosamuError as error:  # counted as a failure by the evaluation, with no map there
            print(f"{name}, {method}: {error}", file=sys.stderr)
    judged = judge_entry(deposited, structure, resolution, EvaluationSettings(), finished)
    ids = (name, entry["pdb"])
    listed = {
        "emdb_id": name, "pdb_id": entry["pdb"], "resolution": resolution, "simulated": False,
        "title": f"{entry['content']}; map: {entry['kind']}", "cluster": entry["emdb"],
        "split": "test",
    }  # fmt: skip
    return Part(
        evaluation_table(judged, *ids),
        curves_table(judged, name),
        controls_table(run_controls(subject), *ids),
        listed,
        Pairing(name, shown, finished["enhanced"], model_path),
    )


def draw(parts: list[Part], worked: Path) -> None:
    """Write the tables that `cryosamu report` reads, and the page."""
    listed = pd.DataFrame([part.listed for part in parts])
    evaluation = pd.concat([part.evaluation for part in parts], ignore_index=True)
    # Parts of one entry are no independent maps: they share the entry as their cluster.
    found = summarise(paired_values(evaluation, "low_pass", listed)).assign(reference="low_pass")
    tables = {
        "catalogue": (listed.reindex(columns=CATALOGUE.names), CATALOGUE),
        "split": (listed.reindex(columns=SPLIT.names), SPLIT),
        "evaluation": (evaluation, EVALUATION),
        "summary": (found, SUMMARY),
        "curves": (pd.concat([part.curves for part in parts], ignore_index=True), CURVES),
        "controls": (pd.concat([part.controls for part in parts], ignore_index=True), CONTROLS),
    }
    paths = {name: worked / f"{name}.parquet" for name in tables}
    for name, (table, schema) in tables.items():
        write_table(paths[name], table, schema)
    files = InputFiles(
        catalogue=paths["catalogue"],
        split=paths["split"],
        checkpoint=released_checkpoint(),
        summary=paths["summary"],
        evaluations=(paths["evaluation"],),
        curves=(paths["curves"],),
        controls=(paths["controls"],),
        pairings=tuple(part.pairing for part in parts),
    )
    write_report(read_inputs(files), worked / "report.html", TITLE, NOTE)


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


def markdown(table: pd.DataFrame) -> str:
    """Return the means over the maps that the method is meant for, and every map's metrics."""
    table = table.assign(resolution=[json.loads(text)["resolution"] for text in table["settings"]])
    meant = table[table["resolution"].between(*MEANT_FOR)]
    told = [method for method in CONDITIONS if method != UNTOLD]
    blocks = [
        means(meant),
        halves(meant),
        summary(meant, "low_pass", [*BASELINES[2:], *CONDITIONS]),
        summary(meant, UNTOLD, told),
        *(per_map(table, metric) for metric in PER_MAP),
    ]
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


def halves(table: pd.DataFrame) -> str:
    """Return gains over the fair baseline, low-passed, on tuned and on untouched entries apart."""
    rows = table[table["low_passed"] & table["metric"].isin(METRICS)]
    wide = rows.pivot_table(index=["emdb_id", "metric"], columns="method", values="value")
    number = wide.index.get_level_values(0).str.extract(r"EMD-(\d+)", expand=False)
    lines = [
        "| entries | method | metric | maps | low_pass | method | better |",
        "| --- " * 7 + "|",
    ]
    for name, chosen in (("tuned", number.isin(TUNED)), ("untouched", ~number.isin(TUNED))):
        for method in CONDITIONS:
            for metric, values in wide[chosen].groupby(level=1):
                better = values[method] - values["low_pass"]
                better = better if metric.startswith("cc") else -better
                cells = [name, method, metric, str(len(values))]
                cells += [f"{values[one].mean():.3f}" for one in ("low_pass", method)]
                lines.append(f"| {' | '.join([*cells, str(int((better > 0).sum()))])} |")
    return "\n".join(lines)


def summary(table: pd.DataFrame, reference: str, methods: list[str]) -> str:
    """Return the paired statistics of CC_mask and masked FSC-0.5 against a reference."""
    # Parts of one entry are no independent maps.
    pairs = table[["emdb_id", "pdb_id"]].drop_duplicates()
    pairs = pairs.assign(cluster=pairs["emdb_id"].str.split().str[0])
    judged = table.drop(columns="resolution")
    found = summarise(paired_values(judged, reference, pairs))
    chosen = found[
        found["metric"].isin(["cc_mask", "d_fsc_05_masked"])
        & (found["bin"] == ALL)
        & found["low_passed"]
        & found["method"].isin(methods)
    ]
    lines = [f"| {' | '.join(COLUMNS)} |", "| --- " * len(COLUMNS) + "|"]
    for row in chosen[list(COLUMNS)].itertuples(index=False):
        cells = [f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in row]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def per_map(table: pd.DataFrame, metric: str) -> str:
    """Return one metric of every map, low-passed, in the order of resolution."""
    rows = table[(table["metric"] == metric) & table["low_passed"]]
    wide = rows.pivot_table(index=["resolution", "emdb_id"], columns="method", values="value")
    lines = [f"| map | Å | {' | '.join(METHODS)} |", "| --- " * (len(METHODS) + 2) + "|"]
    for (resolution, name), values in wide.sort_index(ascending=False).iterrows():
        cells = [f"{values.get(method, np.nan):.3f}" for method in METHODS]
        lines.append(f"| {name} | {resolution:g} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
