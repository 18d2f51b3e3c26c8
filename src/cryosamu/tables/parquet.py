"""Tables as Parquet files, held to their schema when written and when read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from cryosamu.errors import CryosamuError
from cryosamu.files import atomic_path, require_file


def write_table(path: Path | str, frame: pd.DataFrame, schema: pa.Schema) -> None:
    """Write a table as Parquet with exactly the columns of `schema`, in its order.

    Raises
    ------
    CryosamuError
        When a column is missing, is not of the schema, or has values of another type.
    """
    columns = [str(name) for name in frame.columns]
    if sorted(columns) != sorted(schema.names):
        wrong = (Counter(columns) - Counter(schema.names)) + (
            Counter(schema.names) - Counter(columns)
        )
        raise CryosamuError(f"{path}: missing or unexpected columns {', '.join(sorted(wrong))}.")
    try:
        table = pa.Table.from_pandas(frame[schema.names], schema=schema, preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise CryosamuError(f"{path}: a column has values of a wrong type ({error}).") from error
    with atomic_path(path) as temporary:
        pq.write_table(table.replace_schema_metadata(None), temporary)


def read_table(path: Path | str, schema: pa.Schema) -> pd.DataFrame:
    """Read a table and check that it has the columns and types of `schema`.

    Raises
    ------
    CryosamuError
        When the file is not a Parquet table of this kind.
    """
    return read_tables([path], schema)


def read_tables(paths: Iterable[Path | str], schema: pa.Schema) -> pd.DataFrame:
    """Read the rows of several tables of one kind, in their order; no table, no row.

    Raises
    ------
    CryosamuError
        When a file is not a Parquet table of this kind.
    """
    parts = [_read(path, schema) for path in paths]
    # Before they are frames: pandas would guess anew of which type an empty part's columns are.
    frame: pd.DataFrame = pa.concat_tables([schema.empty_table(), *parts]).to_pandas()
    return frame


def join_tables(path: Path | str, parts: Iterable[Path | str], schema: pa.Schema) -> None:
    """Write the rows of all parts, in their order, as one table; no part, no row.

    Raises
    ------
    CryosamuError
        When a part is not a Parquet table of this kind.
    """
    with atomic_path(path) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        for part in parts:
            writer.write_table(_read(part, schema))


def _read(path: Path | str, schema: pa.Schema) -> pa.Table:
    path = require_file(path, "table")
    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        reason = " ".join(str(error).split())
        raise CryosamuError(f"{path}: is not a Parquet table ({reason}).") from error
    found = table.schema.remove_metadata()
    if not found.equals(schema):
        raise CryosamuError(
            f"{path}: is another table, or of an earlier version ({_differences(found, schema)}); "
            "make it anew with the command that writes it."
        )
    return table


def _differences(found: pa.Schema, wanted: pa.Schema) -> str:
    """Return in words how the columns of two tables differ."""
    lacking = [name for name in wanted.names if name not in found.names]
    extra = [name for name in found.names if name not in wanted.names]
    mistyped = [
        name
        for name in wanted.names
        if name in found.names and found.field(name) != wanted.field(name)
    ]
    kinds = {"lacks": lacking, "has beside": extra, "has of another type": mistyped}
    named = [f"it {kind} {', '.join(names)}" for kind, names in kinds.items() if names]
    return ", ".join(named) or "its columns stand in another order"
