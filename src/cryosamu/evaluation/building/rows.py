"""A map's buildability as figures and as rows of the evaluation's table."""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from cryosamu.errors import CryosamuError
from cryosamu.evaluation.building import chain_comparison, trace_scores
from cryosamu.evaluation.building.builders import build_model
from cryosamu.evaluation.frame import check_inside
from cryosamu.evaluation.measurement import Setting
from cryosamu.structure.model import read_model
from cryosamu.volume.io import read_map

_FLOORS = {"catrace_coverage": "null_coverage", "catrace_connectivity": "null_connectivity"}
"""Metric of the trace to what random points reach of it."""


@dataclass(frozen=True)
class BuildRecord:
    """What a builder made of a map.

    Attributes
    ----------
    metrics
        Name to per cent.
    floors
        What random points reach, for the metrics that have such a floor.
    settings
        How it was built, time (s) and memory (MB) of the builder among it.
    """

    metrics: Mapping[str, float]
    floors: Mapping[str, float]
    definition: str
    settings: Mapping[str, Setting]


def build_and_record(
    builder: str,
    map_path: Path,
    model_path: Path,
    resolution: float | None,
    folder: Path,
    program: Path | None = None,
) -> BuildRecord:
    """Build with `ca_trace`, or with one of `builders.PROGRAMS`.

    Raises
    ------
    CryosamuError
        When an outside builder is not told the resolution, is not there, or fails.
    """
    if builder == "ca_trace":
        return _trace(map_path, model_path)
    if resolution is None:
        raise CryosamuError(f"--builder {builder}: needs the map's --resolution in Å.")
    built = build_model(builder, map_path, model_path, resolution, folder, program)
    settings: dict[str, Setting] = {
        "builder": builder,
        "version": built.version,
        "resolution": resolution,
        "seconds": round(built.usage.seconds, 1),
        "peak_megabytes": round(built.usage.peak_megabytes),
        "compared_by": built.compared_by,
    }
    if built.model is not None:
        settings["built_model"] = built.model.name
    return BuildRecord(built.metrics, {}, chain_comparison.DEFINITION, settings)


def _trace(map_path: Path, model_path: Path) -> BuildRecord:
    volume, structure = read_map(map_path), read_model(model_path)
    began = time.perf_counter()
    try:
        check_inside(volume, structure)
        _, scores = trace_scores.trace_and_score(volume, structure)
    except CryosamuError as error:
        raise type(error)(f"{map_path} and {model_path}: {error}") from error
    found = asdict(scores)
    settings: dict[str, Setting] = {
        "builder": "ca_trace",
        "points": scores.points,
        "null_coverage": scores.null_coverage,
        "null_connectivity": scores.null_connectivity,
        "seconds": round(time.perf_counter() - began, 1),
        "peak_megabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }
    metrics = {name: value for name, value in found.items() if name.startswith("catrace_")}
    floors = {metric: found[null] for metric, null in _FLOORS.items()}
    return BuildRecord(metrics, floors, trace_scores.DEFINITION, settings)


def build_table(record: BuildRecord, method: str, emdb_id: str, pdb_id: str) -> pd.DataFrame:
    """Return the rows of `tables.EVALUATION`; time and memory are in the JSON record alone."""
    lasting = {
        name: value
        for name, value in record.settings.items()
        if name not in ("seconds", "peak_megabytes")
    }
    rows = [
        {
            "emdb_id": emdb_id,
            "pdb_id": pdb_id,
            "method": method,
            "metric": metric,
            "value": value,
            "definition": record.definition,
            "mask": "CA atoms, 3 Å",
            "low_passed": False,
            "floor": record.floors.get(metric),
            "baseline": None,
            "settings": json.dumps(lasting, sort_keys=True),
        }
        for metric, value in record.metrics.items()
    ]
    return pd.DataFrame(rows).astype({"floor": float, "baseline": float})
