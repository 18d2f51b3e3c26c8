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
import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from real_maps import MEANT_FOR, TUNED, cropped
from scipy.stats import rankdata

from cryosamu.config import EnhancementSettings
from cryosamu.enhancement.confidence import DEFAULT_RESOLUTION
from cryosamu.enhancement.confidence_calibration import (
    DEFINITION,
    Calibration,
    fit_coefficients,
    packaged_calibration,
    write_calibration,
)
from cryosamu.enhancement.confidence_evidence import coarse_map, evidence_of, local_correlation
from cryosamu.enhancement.half_maps import averaged
from cryosamu.enhancement.released import released_checkpoint
from cryosamu.enhancement.whole_map import enhance
from cryosamu.evaluation.methods import phases_random_beyond, randomise_phases
from cryosamu.evaluation.reference import ModelReference
from cryosamu.files import sha256_of, write_text
from cryosamu.network.checkpoint import load_checkpoint
from cryosamu.provenance import software_versions
from cryosamu.structure.model import read_model
from cryosamu.volume.grid import resample
from cryosamu.volume.io import read_map
from cryosamu.volume.volume import FloatArray, Volume

KINDS = ("as it is", "noise", "random fine phases", "simulated halves")
FITTED_ON = {"as it is": 1.0, "noise": 0.5}
"""What the coefficients are fitted on, with weights; every entry weighs the same."""
SEED = 2024
GOOD = 0.5
"""Local correlation above which density counts as right."""

RANKED = ("spearman", "auc", "spearman_density", "auc_density")
BINS = 10


@dataclass(frozen=True)
class Judged:
    """Voxels of one enhanced map inside the model's mask.

    Attributes
    ----------
    values
        Predictors, [4, voxels].
    truth, density
        [voxels]: local correlation with the model's map; the input's density, low-passed.
    bound
        [voxels], what half maps bound the confidence by; None without.
    unknown_resolution
        Predictors where the resolution is not told, [4, voxels]; None for copies.
    """

    values: FloatArray
    truth: FloatArray
    density: FloatArray
    bound: FloatArray | None
    unknown_resolution: FloatArray | None


@dataclass(frozen=True)
class Part:
    """One map of the folder and its copies."""

    name: str
    entry: str
    resolution: float
    kinds: dict[str, Judged]

    @property
    def tuned(self) -> bool:
        """Whether its entry is among those that the coefficients are fitted on."""
        return self.entry.removeprefix("EMD-") in TUNED

    @property
    def meant(self) -> bool:
        """Whether it is of a resolution that the network is meant for."""
        return MEANT_FOR[0] <= self.resolution <= MEANT_FOR[1]


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
    enhanced_of = enhancement(released_checkpoint())
    parts = []
    for entry in json.loads(index.read_text()):
        parts.append(measured(entry, given.folder.parent, enhanced_of))
        print(f"{parts[-1].name}: {time.process_time():.0f} CPU s so far", file=sys.stderr)
    figures = calibrated_and_tested(parts, given.calibration)
    write_text(given.output, json.dumps(figures, indent=1) + "\n")
    print(markdown(figures))


def calibrated_and_tested(parts: list[Part], path: Path) -> dict:
    """Fit, write the calibration, and return all figures."""
    tuned = [part for part in parts if part.tuned]
    calibration = fitted(tuned)
    write_calibration(path, calibration)
    # Tuned entries are predicted by coefficients that were fitted without them.
    held_out = {
        entry: fitted([part for part in tuned if part.entry != entry])
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


def enhancement(checkpoint: Path):
    """Return the checkpoint as a function of a map."""
    network, header = load_checkpoint(checkpoint)
    settings = EnhancementSettings(device="cpu", window=160)

    def enhanced_of(volume: Volume, resolution: float) -> Volume:
        return enhance(
            volume, network, header, settings=settings, progress=False, resolution=resolution
        ).volume

    return enhanced_of


def measured(entry: dict, root: Path, enhanced_of) -> Part:
    """Return a map's predictors and truth, and those of its copies."""
    resolution = float(entry["resolution"])
    structure = read_model(root / entry["model"])
    volume = cropped(read_map(root / entry["map"]), structure)
    reference = ModelReference(volume, structure, resolution)
    calculated = coarse_map(volume.with_data(reference.calculated), resolution)
    inside = resample(volume.with_data(reference.inside.astype(np.float32)), calculated.shape)
    mask = inside.data > 0.5

    def noise(beyond: float, seed: int = SEED) -> Volume:
        return volume.with_data(randomise_phases(volume, beyond, seed))

    def judged(shown: Volume, halves=None, unknown: bool = False) -> Judged:
        enhanced = enhanced_of(shown, resolution)
        evidence = evidence_of(shown, enhanced, resolution)
        bound = None
        if halves is not None:
            agreement = local_correlation(*(coarse_map(h, resolution) for h in halves), resolution)
            agreement = np.maximum(agreement[mask], 0)
            bound = np.sqrt(2 * agreement / (1 + agreement))
        told = None
        if unknown:
            nearest = np.clip(DEFAULT_RESOLUTION, 2 * max(volume.voxel_size), min(volume.box) / 2)
            other = evidence_of(shown, enhanced, float(nearest))
            told = np.stack([
                resample(other.grid.with_data(one), calculated.shape).data[mask]
                for one in other.values
            ])  # fmt: skip
        truth = local_correlation(evidence.grid, calculated, resolution)[mask]
        density = coarse_map(shown, resolution).data[mask]
        return Judged(evidence.values[:, mask], truth, density, bound, told)

    halves = tuple(
        volume.with_data(volume.data + noise(math.inf, SEED + number).data) for number in (1, 2)
    )
    kinds = {
        "as it is": judged(volume, unknown=True),
        "noise": judged(noise(math.inf), (noise(math.inf, SEED + 1), noise(math.inf, SEED + 2))),
        "random fine phases": judged(noise(phases_random_beyond(resolution))),
        "simulated halves": judged(averaged(halves), halves),
    }
    return Part(f"{entry['emdb']} {entry['part']}", entry["emdb"], resolution, kinds)


def fitted(parts: list[Part]) -> Calibration:
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
        checkpoint_sha256=sha256_of(released_checkpoint()),
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
