"""The tables that cross from one stage to the next: their columns, checked on both sides."""

from cryosamu.tables.data import CATALOGUE, CLUSTERS, DECISIONS, FETCHES, LEDGER, PAIRS, SPLIT
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
from cryosamu.tables.learning import HISTORY
from cryosamu.tables.parquet import read_table, write_table

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
    "MEDIAN_CURVES",
    "METHODS",
    "PAIRS",
    "RESIDUES",
    "SCATTER",
    "SPLIT",
    "SUMMARY",
    "read_table",
    "write_table",
]
