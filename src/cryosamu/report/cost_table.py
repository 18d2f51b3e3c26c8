"""What each method's maps took: time, memory, and how many could not be made."""

from __future__ import annotations

import pandas as pd

from cryosamu.report.listing import Cell, Table, number, text
from cryosamu.report.names import METHOD_LABELS, method_label, ordered


def cost_table(methods: pd.DataFrame) -> Table | None:
    """Return one row a method of `tables.METHODS`; None where there is no row.

    Parameters
    ----------
    methods
        One row a map and method; time and memory are null where a finished map was taken.
    """
    if methods.empty:
        return None
    return Table(
        "costs",
        "Wall time and largest resident memory of the process that made a map, its start included; "
        "none where finished maps were taken. Median and largest are over the maps that were made.",
        ["Method", "Maps", "Failed", "Median time (s)", "Longest (s)", "Largest memory (MB)",
         "Made by"],
        [False, True, True, True, True, True, False],
        [
            [
                text(method_label(method)),
                number(len(rows)),
                number((rows["status"] == "failed").sum()),
                *_figures(rows[rows["status"] == "ok"]),
                text(_programs(rows)),
            ]
            for method in ordered(set(methods["method"]), METHOD_LABELS)
            for rows in [methods[methods["method"] == method]]
        ],
    )  # fmt: skip


def _figures(made: pd.DataFrame) -> list[Cell]:
    seconds, memory = made["seconds"], made["peak_megabytes"]
    return [number(seconds.median(), 1), number(seconds.max(), 1), number(memory.max(), 0)]


def _programs(rows: pd.DataFrame) -> str | None:
    pairs = rows[["program", "version"]].fillna("").drop_duplicates().itertuples(index=False)
    return ", ".join(sorted({f"{p.program} {p.version}".strip() for p in pairs} - {""})) or None
