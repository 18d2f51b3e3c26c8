"""What became of each fetch, as a small JSON file or a table that later stages read."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, ValidationError

from cryosamu.errors import ArchiveError
from cryosamu.files import require_file, write_text
from cryosamu.tables import FETCHES, read_table, write_table

Kind = Literal["map", "model", "half_map_1", "half_map_2"]


class FetchRecord(BaseModel):
    """A fetched file, or why there is none. It bears no time: the same file, the same record."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    kind: Kind
    status: Literal["ok", "failed"]
    path: str | None
    bytes: int | None
    sha256: str | None
    url: str
    error: str | None


def write_record(path: Path | str, record: FetchRecord) -> None:
    """Write a record under a temporary name, then rename it."""
    write_text(path, json.dumps(record.model_dump(), indent=2) + "\n")


def write_records(path: Path | str, records: Iterable[FetchRecord]) -> None:
    """Write the records of files that belong together as one list."""
    values = [record.model_dump() for record in records]
    write_text(path, json.dumps(values, indent=2) + "\n")


def read_record(path: Path | str) -> FetchRecord:
    """Read and check a record.

    Raises
    ------
    ArchiveError
        When the file is not a fetch record.
    """
    path = require_file(path, "fetch record")
    try:
        return FetchRecord.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise _not_a_record(path, error) from error


def write_fetches(path: Path | str, records: Iterable[FetchRecord]) -> None:
    """Write records as a FETCHES table, sorted by id and kind."""
    ordered = sorted(records, key=lambda record: (record.id, record.kind))
    rows = [record.model_dump() for record in ordered]
    frame = pd.DataFrame(rows, columns=FETCHES.names)
    write_table(path, frame.astype({"bytes": "Int64"}), FETCHES)


def read_fetches(path: Path | str) -> list[FetchRecord]:
    """Read and check a FETCHES table, in its order.

    Raises
    ------
    CryosamuError
        When the file is not a table of fetches.
    """
    frame = read_table(path, FETCHES)
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    try:
        return [FetchRecord.model_validate(row) for row in rows]
    except ValidationError as error:
        raise _not_a_record(path, error) from error


def _not_a_record(path: Path | str, error: ValidationError) -> ArchiveError:
    fault = error.errors()[0]
    field = ".".join(str(part) for part in fault["loc"]) or "the whole file"
    return ArchiveError(f"{path}: is not a fetch record ('{field}': {fault['msg']}); fetch again.")
