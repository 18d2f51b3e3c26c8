"""The tables that cross from one stage to the next: their columns, checked on both sides."""

from cryosamu.tables.data import (
    CATALOGUE,
    CLUSTERS,
    DECISIONS,
    FETCHES,
    LEDGER,
    MEASUREMENTS,
    PAIRS,
    REPAIRED,
    SPLIT,
)
from cryosamu.tables.judging import (
    CONTROLS,
    CURVES,
    EVALUATION,
    LEAKAGE,
    MEDIAN_CURVES,
    METHODS,
    RESIDUES,
    SCATTER,
    SUMMARY,
)
from cryosamu.tables.learning import HISTORY, PACE, PREPARED
from cryosamu.tables.parquet import join_tables, read_table, read_tables, write_table

__all__ = [
    "CATALOGUE",
    "CLUSTERS",
    "CONTROLS",
    "CURVES",
    "DECISIONS",
    "EVALUATION",
    "FETCHES",
    "HISTORY",
    "LEAKAGE",
    "LEDGER",
    "MEASUREMENTS",
    "MEDIAN_CURVES",
    "METHODS",
    "PACE",
    "PAIRS",
    "PREPARED",
    "REPAIRED",
    "RESIDUES",
    "SCATTER",
    "SPLIT",
    "SUMMARY",
    "join_tables",
    "read_table",
    "read_tables",
    "write_table",
]
