"""The numbers of a map-model pair, without thresholds: a new threshold needs no new measurement."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from cryosamu.archive.record import FetchRecord
from cryosamu.curation.failure import attempt, fetched_path
from cryosamu.curation.pose import find_best_pose
from cryosamu.errors import CryosamuError, ModelError
from cryosamu.evaluation.correlation import Correlations, map_model_correlations
from cryosamu.evaluation.frame import atoms_inside
from cryosamu.files import require_file, write_text
from cryosamu.structure.model import heavy_atoms, read_model
from cryosamu.volume.io import read_map

CorrelationKind = Literal["cc_mask", "cc_box", "cc_volume", "cc_peaks"]


class Measurement(BaseModel):
    """What was measured of a pair.

    Attributes
    ----------
    resolution
        Reported, Å; the correlations are at it.
    cc_box, cc_mask, cc_volume, cc_peaks
        As in cctbx 2025.11; None where the model is so far outside that there are none.
    inside
        Share of the model's atoms in the map's box.
    shift, shift_length
        (x, y, z) in Å that would bring the model to where it fits best, and its length.
    correlation_deposited, correlation_best
        Local correlation before and after that shift.
    map_sha256, model_sha256
        Checksums of the fetched files.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    emdb_id: str
    pdb_id: str
    error: None = None
    resolution: float
    cc_box: float | None
    cc_mask: float | None
    cc_volume: float | None
    cc_peaks: float | None
    inside: float
    shift: tuple[float, float, float]
    shift_length: float
    correlation_deposited: float
    correlation_best: float
    map_sha256: str | None
    model_sha256: str | None

    @property
    def gain(self) -> float:
        """How much the best shift would raise the local correlation."""
        return self.correlation_best - self.correlation_deposited

    def correlation(self, kind: CorrelationKind) -> float | None:
        """Return the map-model correlation of one kind."""
        value: float | None = getattr(self, kind)
        return value


class FailedMeasurement(BaseModel):
    """Why a pair could not be measured; in the file all numbers are null."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    emdb_id: str
    pdb_id: str
    error: str
    resolution: float
    map_sha256: str | None
    model_sha256: str | None


_ANY: TypeAdapter[Measurement | FailedMeasurement] = TypeAdapter(Measurement | FailedMeasurement)


def measure_pair(
    map_record: FetchRecord, model_record: FetchRecord, resolution: float
) -> Measurement | FailedMeasurement:
    """Measure a fetched map against its fetched model.

    A failed fetch, an unreadable file or a pair that cannot be compared is returned as such.

    Parameters
    ----------
    resolution
        Reported, Å.

    Raises
    ------
    CryosamuError
        When a record is not of a map, or not of a model.
    """
    for record, kind in ((map_record, "map"), (model_record, "model")):
        if record.kind != kind:
            raise CryosamuError(
                f"{record.id}: this is the record of a {record.kind}, not a {kind}."
            )
    measured = attempt(partial(_measured, map_record, model_record, resolution))
    if isinstance(measured, Measurement):
        return measured
    return FailedMeasurement(
        emdb_id=map_record.id,
        pdb_id=model_record.id,
        error=measured.sentence,
        resolution=resolution,
        map_sha256=map_record.sha256,
        model_sha256=model_record.sha256,
    )


def _measured(map_record: FetchRecord, model_record: FetchRecord, resolution: float) -> Measurement:
    map_path, model_path = fetched_path(map_record), fetched_path(model_record)
    structure = read_model(model_path)
    volume = read_map(map_path)
    pose = find_best_pose(volume, heavy_atoms(structure), resolution)
    found: Correlations | None
    try:
        found = map_model_correlations(volume, structure, resolution)
    except ModelError:
        found = None  # outside the map; the pose tells where it belongs
    return Measurement(
        emdb_id=map_record.id,
        pdb_id=model_record.id,
        resolution=resolution,
        cc_box=found.cc_box if found else None,
        cc_mask=found.cc_mask if found else None,
        cc_volume=found.cc_volume if found else None,
        cc_peaks=found.cc_peaks if found else None,
        inside=atoms_inside(volume, structure),
        shift=pose.shift,
        shift_length=pose.length,
        correlation_deposited=pose.correlation_deposited,
        correlation_best=pose.correlation_best,
        map_sha256=map_record.sha256,
        model_sha256=model_record.sha256,
    )


def write_measurement(path: Path | str, measurement: Measurement | FailedMeasurement) -> None:
    """Write a measurement as JSON with the same keys whether it failed or not."""
    values = dict.fromkeys(Measurement.model_fields) | measurement.model_dump()
    write_text(path, json.dumps(values, indent=2) + "\n")


def read_measurement(path: Path | str) -> Measurement | FailedMeasurement:
    """Read and check a measurement.

    Raises
    ------
    CryosamuError
        When the file is not one.
    """
    path = require_file(path, "measurement")
    try:
        return _ANY.validate_json(path.read_bytes())
    except ValidationError as error:
        raise CryosamuError(
            f"{path}: is not a measurement of a pair; make it again with `cryosamu curate measure`."
        ) from error
