"""The lock: a data set in one text file, from which exactly that data set is rebuilt.

JSON with one value a line, pairs by rising EMDB number: two locks can be compared with `diff`.
It bears no time: the same data set, made by the same software, has the same lock.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, ValidationError

from cryosamu.config import Config
from cryosamu.errors import CryosamuError
from cryosamu.files import require_file, write_text
from cryosamu.tables import CATALOGUE, SPLIT

FORMAT: Literal[1] = 1
Values = dict[str, Any]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LockedFile(_Part):
    """A fetched file: its length, its SHA-256, and the address that it came from."""

    bytes: int
    sha256: str
    url: str


class LockedFilter(_Part):
    """What a filter found when it let the pair through."""

    value: float | None
    threshold: float | None
    reason: str


class LockedPair(_Part):
    """Everything about one pair.

    Attributes
    ----------
    pair
        Its row of the SPLIT table: model, resolution, component, split.
    measured
        The numbers of its map against its model, as `curate measure` writes them.
    filters
        By name, in the order in which they asked.
    catalogue
        Its row of the CATALOGUE table, without absent values.
    """

    pair: Values
    map: LockedFile
    model: LockedFile
    measured: Values
    filters: dict[str, LockedFilter]
    catalogue: Values


class Lock(_Part):
    """A data set.

    Attributes
    ----------
    snapshot
        `catalogue.snapshot` of the query that it came from.
    software, commit
        Versions of Python and packages; the commit of this software, if it is known.
    settings
        The sections of the configuration that shaped the data set.
    funnel
        Filter to the entries that it saw, dropped, and could not judge.
    splits
        Pairs in each split.
    pairs
        By EMDB id.
    rejected, failed
        EMDB id to the filter that dropped the entry, or that could not judge it.
    """

    format: Literal[1]
    snapshot: str
    software: dict[str, str]
    commit: str | None
    settings: Values
    funnel: dict[str, dict[str, int]]
    splits: dict[str, int]
    pairs: dict[str, LockedPair]
    rejected: dict[str, str]
    failed: dict[str, str]


def shaping_settings(config: Config) -> Values:
    """Return the settings that decide what is in the data set, as plain JSON values."""
    values = config.model_dump(mode="json", include={"catalogue", "curation", "split"})
    del values["catalogue"]["locked"]
    return {"archive": {"maximum_map_gigabytes": config.archive.maximum_map_gigabytes}} | values


def write_lock(path: Path | str, lock: Lock) -> None:
    """Write a lock under a temporary name, then rename it."""
    write_text(path, json.dumps(lock.model_dump(), indent=1, ensure_ascii=False) + "\n")


def read_lock(path: Path | str) -> Lock:
    """Read and check a lock.

    Raises
    ------
    CryosamuError
        When the file is not a lock, or one of another format.
    """
    path = require_file(path, "lock")
    try:
        return Lock.model_validate_json(path.read_bytes())
    except ValidationError as error:
        fault = error.errors()[0]
        field = ".".join(str(part) for part in fault["loc"]) or "the whole file"
        if field == "format" and isinstance(fault["input"], int):
            raise CryosamuError(
                f"{path}: has format {fault['input']!r}, where this software reads {FORMAT}; "
                "use the version that its 'software' names."
            ) from error
        raise CryosamuError(
            f"{path}: is not a lock of a data set ('{field}': {fault['msg']}); restore the file."
        ) from error


def rows_of(frame: pd.DataFrame, schema: pa.Schema) -> dict[str, Values]:
    """Return the rows of a table by EMDB id, as JSON values without absent ones."""
    rows = pa.Table.from_pandas(frame, schema=schema, preserve_index=False).to_pylist()
    return {
        row["emdb_id"]: {
            key: value for key, value in row.items() if key != "emdb_id" and value is not None
        }
        for row in rows
    }


def unlocked(lock: Lock) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the CATALOGUE and the SPLIT table of exactly the locked pairs.

    Raises
    ------
    CryosamuError
        When the lock has a column that this version of the software does not know.
    """
    catalogue = {key: pair.catalogue for key, pair in lock.pairs.items()}
    split = {key: pair.pair for key, pair in lock.pairs.items()}
    return _frame(catalogue, CATALOGUE), _frame(split, SPLIT)


def _frame(rows: dict[str, Values], schema: pa.Schema) -> pd.DataFrame:
    named = [{"emdb_id": key} | row for key, row in rows.items()]
    if strange := sorted({name for row in named for name in row} - set(schema.names)):
        raise CryosamuError(
            f"the lock has '{strange[0]}', which this version of the software does not know; "
            "use the version that its 'software' names."
        )
    try:
        frame: pd.DataFrame = pa.Table.from_pylist(named, schema=schema).to_pandas()
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise CryosamuError(f"the lock has a value of a wrong type ({error}).") from error
    return frame
