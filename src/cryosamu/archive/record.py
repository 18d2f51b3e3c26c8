"""What became of one fetch, as a small JSON file that later stages read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from cryosamu.errors import ArchiveError
from cryosamu.files import require_file, write_text


class FetchRecord(BaseModel):
    """A fetched file, or why there is none. It bears no time: the same file, the same record."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    kind: Literal["map", "model"]
    status: Literal["ok", "failed"]
    path: str | None
    bytes: int | None
    sha256: str | None
    url: str
    error: str | None


def write_record(path: Path | str, record: FetchRecord) -> None:
    """Write a record under a temporary name, then rename it."""
    write_text(path, json.dumps(record.model_dump(), indent=2) + "\n")


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
        fault = error.errors()[0]
        field = ".".join(str(part) for part in fault["loc"]) or "the whole file"
        raise ArchiveError(
            f"{path}: is not a fetch record ('{field}': {fault['msg']}); fetch again."
        ) from error


def known_record(path: Path | None) -> FetchRecord | None:
    """Return an earlier record, or None where there is none that can be read."""
    if path is None or not path.is_file():
        return None
    try:
        return read_record(path)
    except ArchiveError:
        return None
