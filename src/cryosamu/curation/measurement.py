"""The numbers of a map-model pair, without thresholds: a new threshold needs no new measurement."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Literal

import gemmi
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from cryosamu.archive.record import FetchRecord
from cryosamu.curation.failure import attempt, fetched_path
from cryosamu.curation.header_offset import explain_shift
from cryosamu.errors import CryosamuError, ModelError
from cryosamu.evaluation.correlation import Correlations, map_model_correlations
from cryosamu.evaluation.frame import atoms_inside
from cryosamu.files import require_file, write_text
from cryosamu.structure.model import heavy_atoms, read_model
from cryosamu.structure.motion import RigidMotion, move_structure
from cryosamu.structure.pose import find_best_pose, significance
from cryosamu.volume.io import read_map
from cryosamu.volume.volume import Volume

CorrelationKind = Literal["cc_mask", "cc_box", "cc_volume", "cc_peaks"]

_SAME_TURN = 2.0
"""Degrees: a model that must be turned by more was not only put in another frame."""


SMALLEST_REPAIR = 0.25
"""Å by which atoms must move for the numbers of the better pose to be measured as well."""


class Numbers(BaseModel):
    """What a model in one pose has in common with its map.

    Attributes
    ----------
    cc_box, cc_mask, cc_volume, cc_peaks
        As in cctbx 2025.11; None where the model is so far outside that there are none.
    inside
        Share of the model's atoms in the map's box.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    cc_box: float | None
    cc_mask: float | None
    cc_volume: float | None
    cc_peaks: float | None
    inside: float

    def correlation(self, kind: CorrelationKind) -> float | None:
        """Return the map-model correlation of one kind."""
        value: float | None = getattr(self, kind)
        return value


class Measurement(Numbers):
    """What was measured of a pair: the numbers of the deposited pose, and of the best one.

    Attributes
    ----------
    resolution
        Reported, Å; the correlations are at it.
    repaired
        The numbers where the model fits best; None where that is within 0.25 Å of where it lies.
    motion
        From the deposited to the best pose.
    shift
        (x, y, z) in Å by which the centre of the model's atoms moves.
    rotation_angle
        Degrees.
    displacement
        Root mean square of the ways that the atoms go, Å.
    correlation_deposited, correlation_best
        Local correlation before and after.
    resolved_volumes
        Volume near the model in cubes of the resolution's edge.
    header_offset
        Which offset of the map's header the shift equals, in words; None where it equals none.
    map_sha256, model_sha256
        Checksums of the fetched files.
    """

    emdb_id: str
    pdb_id: str
    error: None = None
    resolution: float
    repaired: Numbers | None
    motion: RigidMotion
    shift: tuple[float, float, float]
    rotation_angle: float
    displacement: float
    correlation_deposited: float
    correlation_best: float
    resolved_volumes: float
    header_offset: str | None
    map_sha256: str | None
    model_sha256: str | None

    @property
    def significance(self) -> float:
        """Of the better pose: see `cryosamu.structure.pose.significance`."""
        return significance(
            self.correlation_deposited, self.correlation_best, self.resolved_volumes
        )


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
    structure, volume = read_model(model_path), read_map(map_path)
    pose = find_best_pose(volume, heavy_atoms(structure), resolution)
    repaired = None
    if pose.displacement > SMALLEST_REPAIR:
        moved = structure.clone()
        move_structure(moved, pose.motion)
        repaired = _numbers(volume, moved, resolution)
    framed = pose.motion.angle < _SAME_TURN
    return Measurement(
        emdb_id=map_record.id,
        pdb_id=model_record.id,
        resolution=resolution,
        **_numbers(volume, structure, resolution).model_dump(),
        repaired=repaired,
        motion=pose.motion,
        shift=pose.shift,
        rotation_angle=pose.motion.angle,
        displacement=pose.displacement,
        correlation_deposited=pose.correlation_deposited,
        correlation_best=pose.correlation_best,
        resolved_volumes=pose.resolved_volumes,
        header_offset=explain_shift(volume, pose.shift) if framed else None,
        map_sha256=map_record.sha256,
        model_sha256=model_record.sha256,
    )


def _numbers(volume: Volume, structure: gemmi.Structure, resolution: float) -> Numbers:
    found: Correlations | None
    try:
        found = map_model_correlations(volume, structure, resolution)
    except ModelError:
        found = None  # outside the map
    return Numbers(
        cc_box=found.cc_box if found else None,
        cc_mask=found.cc_mask if found else None,
        cc_volume=found.cc_volume if found else None,
        cc_peaks=found.cc_peaks if found else None,
        inside=atoms_inside(volume, structure),
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
