"""Measurements as a table, a row a pair, and back."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from pydantic import ValidationError

from cryosamu.curation.measurement import FailedMeasurement, Measurement, Numbers
from cryosamu.errors import CryosamuError
from cryosamu.structure.motion import RigidMotion
from cryosamu.tables import MEASUREMENTS, read_table, write_table

_AXES = "xyz"
_NESTED = ("repaired", "motion", "shift")
_NUMBERS = tuple(Numbers.model_fields)


def write_measurements(
    path: Path | str, measurements: Iterable[Measurement | FailedMeasurement]
) -> None:
    """Write a MEASUREMENTS table, sorted by EMDB id."""
    rows = [_row(one) for one in sorted(measurements, key=lambda one: one.emdb_id)]
    write_table(path, pd.DataFrame(rows, columns=MEASUREMENTS.names), MEASUREMENTS)


def read_measurements(path: Path | str) -> list[Measurement | FailedMeasurement]:
    """Read and check a MEASUREMENTS table, in its order.

    Raises
    ------
    CryosamuError
        When the file is not such a table, or a row lacks a number.
    """
    frame = read_table(path, MEASUREMENTS)
    rows = pa.Table.from_pandas(frame, schema=MEASUREMENTS, preserve_index=False).to_pylist()
    try:
        return [_measurement(row) for row in rows]
    except ValidationError as error:
        fault = error.errors()[0]
        raise CryosamuError(
            f"{path}: holds a row that is no measurement ('{fault['loc'][0]}': {fault['msg']}); "
            "make it again with `cryosamu curate measure`."
        ) from error


def _row(one: Measurement | FailedMeasurement) -> dict[str, Any]:
    row: dict[str, Any] = one.model_dump(exclude=set(_NESTED))
    if isinstance(one, FailedMeasurement):
        return row
    if one.repaired is not None:
        row |= {f"repaired_{name}": getattr(one.repaired, name) for name in _NUMBERS}
    for axis, values in zip(_AXES, one.motion.rotation, strict=True):
        row |= _spread(f"rotation_{axis}", values)
    return row | _spread("translation_", one.motion.translation) | _spread("shift_", one.shift)


def _spread(name: str, values: Iterable[float]) -> dict[str, float]:
    return {name + axis: value for axis, value in zip(_AXES, values, strict=True)}


def _measurement(row: dict[str, Any]) -> Measurement | FailedMeasurement:
    if row["error"] is not None:
        return FailedMeasurement.model_validate(row)
    flat = {name: row[name] for name in Measurement.model_fields if name not in _NESTED}
    repaired = {name: row[f"repaired_{name}"] for name in _NUMBERS}
    motion = {
        "rotation": [_gathered(row, f"rotation_{axis}") for axis in _AXES],
        "translation": _gathered(row, "translation_"),
    }
    return Measurement(
        **flat,
        repaired=None if repaired["inside"] is None else Numbers(**repaired),
        motion=RigidMotion.model_validate(motion),
        shift=_gathered(row, "shift_"),
    )


def _gathered(row: dict[str, Any], name: str) -> tuple[float, float, float]:
    x, y, z = (row[name + axis] for axis in _AXES)
    return x, y, z
