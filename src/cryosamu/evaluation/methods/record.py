"""What became of a method's run, beside its map, and as rows of a table."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, fields
from pathlib import Path

import pandas as pd

from cryosamu.errors import CryosamuError
from cryosamu.evaluation.methods.making import MethodRun, Request
from cryosamu.files import require_file, write_text
from cryosamu.provenance import provenance_record
from cryosamu.tables import METHODS


def write_record(
    output: Path, run: MethodRun, request: Request, checkpoint: Path | None = None
) -> None:
    """Write the record of a run under its map's name with .json."""
    inputs = {"map": request.map}
    if request.model is not None:
        inputs["model"] = request.model
    if checkpoint is not None:
        inputs["checkpoint"] = checkpoint
    settings = {"resolution": request.resolution, "contour": request.contour}
    record = {
        **asdict(run),
        "map": output.name,
        "provenance": provenance_record(settings, inputs),
    }
    write_text(output.with_suffix(".json"), json.dumps(record, indent=2) + "\n")


def read_run(path: Path) -> MethodRun:
    """Return the run that a record tells of.

    Raises
    ------
    CryosamuError
        When the file is no record of a method.
    """
    require_file(path, "record of a method")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return MethodRun(**{field.name: record[field.name] for field in fields(MethodRun)})
    except (ValueError, KeyError, TypeError) as error:
        raise CryosamuError(
            f"{path}: is not the record of a method; make it with 'cryosamu evaluate method'."
        ) from error


def runs_table(runs: Iterable[MethodRun]) -> pd.DataFrame:
    """Return the rows of `tables.METHODS`."""
    kinds = {"seconds": float, "peak_megabytes": float}
    return pd.DataFrame([asdict(run) for run in runs], columns=METHODS.names).astype(kinds)
