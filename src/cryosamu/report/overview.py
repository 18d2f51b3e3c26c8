"""All maps in one table: what was measured of each, and the way to its article."""

from __future__ import annotations

from cryosamu.report.entries import Entry
from cryosamu.report.listing import Cell, Table, header, number, text
from cryosamu.report.names import ENHANCED, METRICS
from cryosamu.report.verdict import Condition, compare, tally

SHOWN = ("cc_mask", "d_fsc_05_masked")
"""Metrics with columns of their own."""


def overview_table(entries: list[Entry]) -> Table:
    """Return one row an entry: baseline and enhanced map in the metrics that most people know."""
    titles: list[str] = []
    for key in SHOWN:
        titles += [f"{header(METRICS[key])}, baseline", f"{header(METRICS[key])}, enhanced"]
    return Table(
        "overview",
        "All maps, held-out real ones first; a name leads to what is known of the map. The "
        "baseline is the fair one; “better” and “worse” count the metrics of the unfiltered "
        "enhanced map against it.",
        ["Entry", "Model", "Reported (Å)", "Map", "Part", *titles, "Better", "Worse"],
        [False, False, True, False, False, *[True] * len(titles), True, True],
        [_row(entry) for entry in entries],
    )


def _row(entry: Entry) -> list[Cell]:
    found = compare(entry.rows, Condition(ENHANCED, False))
    counts = tally(found).counts
    values = {c.metric.key: c for c in found}
    pairs = []
    for key in SHOWN:
        digits = METRICS[key].digits
        if key in values:
            chosen = values[key]
            pairs += [number(chosen.baseline, digits)]
            pairs += [number(chosen.value, digits, chosen.outcome)]
        else:
            pairs += [number(None), number(None)]
    return [
        Cell(entry.emdb_id, link=f"#{entry.anchor}"),
        text(entry.pdb_id),
        number(entry.resolution),
        text(entry.kind),
        text(_part(entry)),
        *pairs,
        *(number(counts[outcome] if found else None) for outcome in ("better", "worse")),
    ]


def _part(entry: Entry) -> str | None:
    if entry.held_out:
        return "held out"
    return entry.split or ("seen in training" if entry.seen else None)
