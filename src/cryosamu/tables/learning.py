"""The tables of preparation and training."""

from __future__ import annotations

from cryosamu.tables.columns import COUNT, NUMBER, TEXT, schema

PREPARED = schema(
    emdb_id=TEXT,
    path=TEXT,
    bytes=COUNT,
    sha256=TEXT,
    resolution=NUMBER,
    scale_map=NUMBER,
    scale_target=NUMBER,
    fraction_inside=NUMBER,
    settings=TEXT,
)
"""One row a prepared pair: its file, and the settings, as JSON, that it was prepared with."""

HISTORY = schema(step=COUNT, split=TEXT, metric=TEXT, value=NUMBER, learning_rate=NUMBER)
"""Training curves in long form."""

PACE = schema(step=COUNT, seconds=NUMBER, crops_per_second=NUMBER)
"""How fast a training went, one row a validation: seconds so far, crops a second since the last."""
