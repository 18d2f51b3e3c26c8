"""Making a lock from the tables and records of a finished data set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pandas as pd

from cryosamu.archive.record import FetchRecord
from cryosamu.config import Config
from cryosamu.curation.entry import emdb_number
from cryosamu.curation.funnel import build_funnel
from cryosamu.curation.lock import (
    FORMAT,
    Lock,
    LockedFile,
    LockedFilter,
    LockedPair,
    Values,
    rows_of,
    shaping_settings,
)
from cryosamu.curation.measurement import FailedMeasurement, Measurement
from cryosamu.curation.split import SPLITS
from cryosamu.errors import CryosamuError
from cryosamu.provenance import software_versions, source_commit
from cryosamu.tables import CATALOGUE, SPLIT

NOT_NUMBERS = frozenset({"emdb_id", "pdb_id", "error", "map_sha256", "model_sha256"})
"""Fields of a measurement that the lock says elsewhere."""


@dataclass(frozen=True)
class DataSet:
    """What the stages left: tables by name, measurements by EMDB id, fetches by archive id."""

    catalogue: pd.DataFrame
    decisions: pd.DataFrame
    split: pd.DataFrame
    measurements: Mapping[str, Measurement | FailedMeasurement]
    maps: Mapping[str, FetchRecord]
    models: Mapping[str, FetchRecord]


def make_lock(data: DataSet, config: Config) -> Lock:
    """Return the lock of a finished data set.

    Raises
    ------
    CryosamuError
        When something of a pair is missing, or made from another file than was fetched.
    """
    catalogue = rows_of(data.catalogue, CATALOGUE)
    if unjudged := set(catalogue) - set(data.decisions["emdb_id"]):
        raise CryosamuError(
            f"{min(unjudged)}: is in the catalogue, but no filter has seen it; run the workflow."
        )
    split = rows_of(data.split, SPLIT)
    filters = _filters(data.decisions, split)
    rejected, failed = _left_out(data.decisions, split)
    funnel = build_funnel(data.decisions)
    return Lock(
        format=FORMAT,
        snapshot=config.catalogue.snapshot,
        software=software_versions(),
        commit=source_commit(),
        settings=shaping_settings(config),
        funnel={
            one.name: {"seen": one.seen, "dropped": one.dropped, "failed": one.failed}
            for one in funnel.stages
        },
        splits={name: int((data.split["split"] == name).sum()) for name in SPLITS},
        pairs={
            key: _pair(key, split[key], catalogue, filters[key], data)
            for key in sorted(split, key=emdb_number)
        },
        rejected=rejected,
        failed=failed,
    )


def measured_numbers(measurement: Measurement) -> Values:
    """Return the numbers of a measurement as JSON values."""
    return measurement.model_dump(mode="json", exclude=set(NOT_NUMBERS))


def _pair(
    emdb_id: str,
    row: Values,
    catalogue: Mapping[str, Values],
    filters: dict[str, LockedFilter],
    data: DataSet,
) -> LockedPair:
    measured = data.measurements.get(emdb_id)
    if not isinstance(measured, Measurement):
        raise CryosamuError(f"{emdb_id}: there is no measurement of this pair; run the workflow.")
    if emdb_id not in catalogue:
        raise CryosamuError(f"{emdb_id}: is in the split, but not in the catalogue.")
    pdb_id = row["pdb_id"]
    return LockedPair(
        pair=row,
        map=_file(emdb_id, data.maps.get(emdb_id), measured.map_sha256),
        model=_file(pdb_id, data.models.get(pdb_id), measured.model_sha256),
        measured=measured_numbers(measured),
        filters=filters,
        catalogue=catalogue[emdb_id],
    )


def _file(identifier: str, record: FetchRecord | None, measured: str | None) -> LockedFile:
    if record is None or record.bytes is None or record.sha256 is None:
        raise CryosamuError(f"{identifier}: there is no record of a sound download of it.")
    if record.sha256 != measured:
        raise CryosamuError(
            f"{identifier}: another file was measured than is recorded now; measure again."
        )
    return LockedFile(bytes=record.bytes, sha256=record.sha256, url=record.url)


def _filters(decisions: pd.DataFrame, pairs: Iterable[str]) -> dict[str, dict[str, LockedFilter]]:
    found: dict[str, dict[str, LockedFilter]] = {key: {} for key in pairs}
    table = decisions.astype(object).where(decisions.notna(), None)
    for row in table.to_dict("records"):
        if row["emdb_id"] not in found:
            continue
        if row["verdict"] != "keep":
            raise CryosamuError(
                f"{row['emdb_id']}: is in the split, but '{row['filter']}' did not keep it; "
                "make the split from these decisions."
            )
        found[row["emdb_id"]][row["filter"]] = LockedFilter(
            value=row["value"], threshold=row["threshold"], reason=row["reason"]
        )
    return found


def _left_out(
    decisions: pd.DataFrame, pairs: Mapping[str, Values]
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the filter that each rejected, and each failed entry ended at."""
    rejected: dict[str, str] = {}
    failed: dict[str, str] = {}
    last = decisions.drop_duplicates("emdb_id", keep="last")
    rows = zip(last["emdb_id"], last["filter"], last["verdict"], strict=True)
    for emdb_id, name, verdict in sorted(rows, key=lambda row: emdb_number(row[0])):
        if emdb_id in pairs:
            continue
        if verdict == "keep":
            raise CryosamuError(
                f"{emdb_id}: was kept by all filters, but is not in the split; make it again."
            )
        (failed if verdict == "fail" else rejected)[emdb_id] = name
    return rejected, failed
