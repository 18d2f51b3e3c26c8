"""Calibrates the confidence of the packaged checkpoint's maps on real maps, and tests it on others.

Every map of a folder with an index.json is enhanced from density alone: as it is; as noise with its
spectrum; with phases random beyond 7 Å or 1.25 resolutions; and as the mean of two simulated half
maps (the map and two independent noises of its spectrum). The truth is the local correlation,
inside the model's mask, of the enhanced map with the map calculated from the model. Coefficients
are fitted on the entries that the simulation's ranges were set on, as they are and as noise; the
other entries are for the test alone. Writes calibration and figures, prints Markdown tables.

    OMP_NUM_THREADS=1 python benchmarks/confidence.py ../shared/data/maps \
        --calibration src/cryosamu/enhancement/weights/confidence.json \
        --output benchmarks/results/confidence.json
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from confidence_maps import KINDS, Judged, Part, enhancement, measured
from numpy.typing import NDArray
from scipy.stats import rankdata

from cryosamu.enhancement.released import released_checkpoint
from cryosamu.enhancement.trust.confidence_calibration import (
    DEFINITION,
    Calibration,
    fit_coefficients,
    packaged_calibration,
    write_calibration,
)
from cryosamu.files import sha256_of, write_text
from cryosamu.provenance import software_versions

FITTED_ON = {"as it is": 1.0, "noise": 0.5}
"""What the coefficients are fitted on, with weights; every entry weighs the same."""
GOOD = 0.5
"""Local correlation above which density counts as right."""

RANKED = ("spearman", "auc", "spearman_density", "auc_density")
BINS = 10


def main() -> None:
    """Enhance, fit, test, write, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--calibration", type=Path, default=packaged_calibration())
    parser.add_argument("--output", type=Path, required=True, help="figures to keep, JSON")
    given = parser.parse_args()
    index = given.folder / "index.json"
    if not index.is_file():
        sys.exit(f"{index}: is not there; these real maps are not part of the repository.")
    torch.set_num_threads(1)
    sha256 = sha256_of(released_checkpoint())
    enhanced_of = enhancement(released_checkpoint())
    parts = []
    for entry in json.loads(index.read_text()):
        parts.append(measured(entry, given.folder.parent, enhanced_of))
        print(f"{parts[-1].name}: {time.process_time():.0f} CPU s so far", file=sys.stderr)
    figures = calibrated_and_tested(parts, sha256, given.calibration)
    write_text(given.output, json.dumps(figures, indent=1) + "\n")
    print(markdown(figures))


def calibrated_and_tested(parts: list[Part], sha256: str, path: Path) -> dict:
    """Fit, write the calibration, and return all figures."""
    tuned = [part for part in parts if part.tuned]
    calibration = fitted(tuned, sha256)
    write_calibration(path, calibration)
    # Tuned entries are predicted by coefficients that were fitted without them.
    held_out = {
        entry: fitted([part for part in tuned if part.entry != entry], sha256)
        for entry in sorted({part.entry for part in tuned})
    }
    by_part = {part.name: held_out.get(part.entry, calibration) for part in parts}
    return {
        "checkpoint_sha256": calibration.checkpoint_sha256,
        "software": software_versions(),
        "intercept": calibration.intercept,
        "coefficients": calibration.coefficients.model_dump(),
        "groups": groups(parts, by_part),
        "maps": [row_of(part, by_part[part.name]) for part in parts],
        "copies": copies(parts, by_part),
    }


def fitted(parts: list[Part], sha256: str) -> Calibration:
    """Return the calibration fitted on maps as they are and as noise; every entry weighs alike."""
    values, truth, weights = [], [], []
    for part in parts:
        of_entry = sum(other.entry == part.entry for other in parts)
        for kind, weight in FITTED_ON.items():
            judged = part.kinds[kind]
            values.append(judged.values)
            truth.append(judged.truth)
            count = len(judged.truth)
            weights.append(np.full(count, weight / of_entry / count))
    intercept, coefficients = fit_coefficients(
        np.concatenate(values, axis=1), np.concatenate(truth), np.concatenate(weights)
    )
    return Calibration(
        definition=DEFINITION,
        checkpoint_sha256=sha256,
        intercept=intercept,
        coefficients=coefficients,
        software=software_versions(),
        data={
            "maps": [part.name for part in parts],
            "fitted_on": "voxels inside the models' masks; each map as it is and, at half the "
            "weight, as noise with its spectrum; enhanced from density alone",
        },
    )


def groups(parts: list[Part], by_part: dict[str, Calibration]) -> list[dict]:
    """Return figures over groups of maps; every map weighs the same."""
    found = []
    for tuned in (False, True):
        for meant in (True, False):
            chosen = [p for p in parts if p.tuned == tuned and (p.meant or not meant)]
            found.append({
                "entries": "tuned, each left out" if tuned else "untouched",
                "resolution": "3.8-8 Å" if meant else "all",
                **pooled(chosen, by_part),
            })  # fmt: skip
    return found


def pooled(parts: list[Part], by_part: dict[str, Calibration]) -> dict:
    """Return calibration and discrimination over maps, and what a constant would do."""
    predicted, observed, weights, blind = [], [], [], []
    for part in parts:
        judged = part.kinds["as it is"]
        predicted.append(by_part[part.name].confidence(judged.values))
        blind.append(by_part[part.name].confidence(judged.unknown_resolution))
        observed.append(np.clip(judged.truth, 0, 1))
        weights.append(np.full(len(judged.truth), 1 / len(parts) / len(judged.truth)))
    p, o, w, b = (np.concatenate(some) for some in (predicted, observed, weights, blind))
    rows = [row_of(part, by_part[part.name]) for part in parts]
    # The constant knows the mean of the very maps that it is tested on.
    constant = np.full(len(p), float(w @ o))
    return {
        "maps": len(parts),
        "mean_predicted": digits(w @ p),
        "mean_observed": digits(w @ o),
        "calibration_error": digits(calibration_error(p, o, w)),
        "mean_error": digits(w @ np.abs(p - o)),
        "mean_error_of_constant": digits(w @ np.abs(constant - o)),
        "mean_error_without_resolution": digits(w @ np.abs(b - o)),
        **{
            name: mean_of(rows, name)
            for name in ("spearman", "auc", "spearman_density", "auc_density")
        },
        "reliability": reliability(p, o, w),
    }


def row_of(part: Part, calibration: Calibration) -> dict:
    """Return the figures of one map as it is."""
    judged = part.kinds["as it is"]
    predicted = calibration.confidence(judged.values)
    good = judged.truth > GOOD
    return {
        "map": part.name,
        "resolution": part.resolution,
        "tuned": part.tuned,
        "voxels": len(judged.truth),
        "mean_predicted": digits(predicted.mean()),
        "mean_observed": digits(np.clip(judged.truth, 0, 1).mean()),
        "share_above_half": digits(good.mean()),
        "spearman": spearman(predicted, judged.truth),
        "spearman_density": spearman(judged.density, judged.truth),
        "auc": area_under_curve(predicted, good),
        "auc_density": area_under_curve(judged.density, good),
    }


def copies(parts: list[Part], by_part: dict[str, Calibration]) -> list[dict]:
    """Return mean confidence and truth of each kind of copy; every map weighs the same."""
    found = []
    for kind in KINDS:
        for tuned in (False, True):
            chosen = [part for part in parts if part.tuned == tuned]
            rows = [copy_row(part.kinds[kind], by_part[part.name]) for part in chosen]
            means = {name: digits(np.mean([row[name] for row in rows])) for name in rows[0]}
            found.append({"kind": kind, "tuned": tuned, "maps": len(rows), **means})
    return found


def copy_row(judged: Judged, calibration: Calibration) -> dict[str, float]:
    """Return the means of one map: confidence without and with half maps, truth, and errors."""
    predicted = calibration.confidence(judged.values)
    bounded = predicted if judged.bound is None else np.minimum(predicted, judged.bound)
    truth = np.clip(judged.truth, 0, 1)
    return {
        "predicted": float(predicted.mean()),
        "with_halves": float(bounded.mean()),
        "observed": float(truth.mean()),
        "error": float(np.abs(predicted - truth).mean()),
        "error_with_halves": float(np.abs(bounded - truth).mean()),
    }


def reliability(p: NDArray, o: NDArray, w: NDArray) -> list[dict]:
    """Return mean prediction and observation in ten equal bins of the prediction."""
    rows = []
    for number in range(BINS):
        chosen = in_bin(p, number)
        share = float(w[chosen].sum())
        if share > 0:
            rows.append({
                "bin": f"{number / BINS:.1f}-{(number + 1) / BINS:.1f}",
                "share": digits(share),
                "predicted": digits(w[chosen] @ p[chosen] / share),
                "observed": digits(w[chosen] @ o[chosen] / share),
            })  # fmt: skip
    return rows


def calibration_error(p: NDArray, o: NDArray, w: NDArray) -> float:
    """Return the expected calibration error over ten equal bins."""
    chosen = [in_bin(p, number) for number in range(BINS)]
    return float(sum(abs(w[one] @ (p[one] - o[one])) for one in chosen))


def in_bin(p: NDArray, number: int) -> NDArray[np.bool_]:
    """Return which predictions fall into a bin."""
    return np.minimum((p * BINS).astype(int), BINS - 1) == number


def spearman(one: NDArray, two: NDArray) -> float:
    """Return the rank correlation."""
    return digits(np.corrcoef(rankdata(one), rankdata(two))[0, 1])


def area_under_curve(score: NDArray, good: NDArray[np.bool_]) -> float | None:
    """Return the chance that a good voxel scores above a bad one; None where all are alike."""
    positive = int(good.sum())
    if positive in (0, len(good)):
        return None
    ranks = rankdata(score)[good].sum()
    return digits((ranks - positive * (positive + 1) / 2) / (positive * (len(good) - positive)))


def mean_of(rows: list[dict], name: str) -> float:
    """Return the mean over maps that have the figure."""
    return digits(np.mean([row[name] for row in rows if row[name] is not None]))


def digits(value: float) -> float:
    """Return a figure to four digits after the point."""
    return round(float(value), 4)


def markdown(figures: dict) -> str:
    """Return the tables of docs/confidence.md."""
    tested = next(one for one in figures["groups"] if one["resolution"] == "all")
    blocks = [
        table([{k: v for k, v in one.items() if k != "reliability"} for one in figures["groups"]]),
        table(tested["reliability"]),
        table(figures["maps"]),
        table(figures["copies"]),
        f"intercept {figures['intercept']}, " + ", ".join(
            f"{name} {value}" for name, value in figures["coefficients"].items()
        ),
    ]  # fmt: skip
    return "\n\n".join(blocks)


def table(rows: list[dict]) -> str:
    """Return rows as a Markdown table."""
    names = list(rows[0])
    lines = [f"| {' | '.join(names)} |", "| --- " * len(names) + "|"]
    for row in rows:
        cells = [f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in row.values()]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
