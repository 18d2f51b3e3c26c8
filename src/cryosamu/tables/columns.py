"""What the columns of a table may hold."""

from __future__ import annotations

import pyarrow as pa

TEXT, NUMBER, COUNT, TRUTH = pa.string(), pa.float64(), pa.int64(), pa.bool_()


def schema(**columns: pa.DataType) -> pa.Schema:
    """Return the schema of a table with these columns, in this order; each may be null."""
    return pa.schema([pa.field(name, kind) for name, kind in columns.items()])
