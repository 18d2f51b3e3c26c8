"""The table of the training."""

from __future__ import annotations

from cryosamu.tables.columns import COUNT, NUMBER, TEXT, schema

HISTORY = schema(step=COUNT, split=TEXT, metric=TEXT, value=NUMBER, learning_rate=NUMBER)
"""Training curves in long form."""
