"""The page's tables as data: what each cell says, sorts by and is marked with."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import pandas as pd

from cryosamu.curation.funnel import Funnel
from cryosamu.report.entries import Entry
from cryosamu.report.names import (
    LOW_PASS,
    METHOD_LABELS,
    METRICS,
    Metric,
    method_label,
    metric_of,
    ordered,
)
from cryosamu.report.verdict import (
    FAIR_BASELINE,
    OUTCOMES,
    PLAIN_BASELINE,
    Comparison,
    Condition,
    Tally,
    compare,
    fair_baseline_condition,
    same_values,
    tally,
    values_of,
)

MISSING = "—"
Mark = Literal["", "better", "equal", "worse", "no value", "pass", "fail", "not applicable"]


@dataclass(frozen=True)
class Cell:
    """One cell: its text, what it sorts by (the text where None), its mark, where it leads.

    `hint` is shown to who points at the cell.
    """

    text: str
    value: float | None = None
    mark: Mark = ""
    link: str = ""
    hint: str = ""


@dataclass(frozen=True)
class Table:
    """A table of the page.

    Attributes
    ----------
    headers
        Column titles with their units; `numeric` tells which columns are numbers.
    highlighted
        Rows to be set off, by place.
    """

    name: str
    caption: str
    headers: list[str]
    numeric: list[bool]
    rows: list[list[Cell]]
    highlighted: frozenset[int] = field(default_factory=frozenset)


def text(value: object) -> Cell:
    """Return a cell of words; an absent value is a dash."""
    return Cell(MISSING if value is None or value is pd.NA or value != value else str(value))


def number(value: object, digits: int | None = None, mark: Mark = "") -> Cell:
    """Return a cell of a number: `digits` after the point, or as short as it reads back."""
    known = float("nan") if value is None else float(str(value))
    if not math.isfinite(known):
        return Cell(MISSING, None, mark)
    if digits is None:
        written = f"{known:,.0f}" if known.is_integer() else f"{known:g}"
    else:
        written = f"{known:,.{digits}f}"
    return Cell(written.replace("-", "−"), known, mark)


def difference(comparison: Comparison) -> Cell:
    """Return value minus baseline with its sign and mark."""
    gap = comparison.difference
    if not math.isfinite(gap):
        return Cell(MISSING, None, comparison.outcome)
    written = f"{gap:+.{comparison.metric.digits}f}".replace("-", "−")
    return Cell(written, gap, comparison.outcome)


def _words(name: object) -> str:
    return str(name).replace("_", " ")


def header(metric: Metric) -> str:
    """Return a metric's name with its unit and the direction that is better."""
    arrow = {True: "\N{NO-BREAK SPACE}↑", False: "\N{NO-BREAK SPACE}↓", None: ""}[
        metric.higher_is_better
    ]
    return f"{metric.label}{f' ({metric.unit})' if metric.unit else ''}{arrow}"


def condition_label(condition: Condition, resolution: float | None = None) -> str:
    """Return the name of a method's map, low-passed or not."""
    if not condition.low_passed:
        return method_label(condition.method)
    limit = "" if resolution is None else f" to {resolution:g} Å"
    return f"{method_label(condition.method)}, low-passed{limit}"


def comparison_table(entries: list[Entry], conditions: list[Condition]) -> Table:
    """Return one row an entry and condition: differences from the fair baseline, by metric."""
    judging = [m for m in METRICS.values() if m.higher_is_better is not None]
    present = {metric for entry in entries for metric in entry.rows["metric"]}
    metrics = [metric for metric in judging if metric.key in present]
    rows = []
    for entry in entries:
        for condition in (PLAIN_BASELINE, *conditions):
            found = {c.metric.key: c for c in compare(entry.rows, condition)}
            counts = tally(found.values())
            rows.append(
                [
                    Cell(entry.emdb_id, link=f"#{entry.anchor}"),
                    number(entry.resolution),
                    text(entry.kind),
                    text(condition_label(condition)),
                    number(counts.counts["better"]),
                    number(counts.counts["worse"]),
                    *(
                        difference(found[m.key]) if m.key in found else Cell(MISSING)
                        for m in metrics
                    ),
                ]
            )
    return Table(
        "comparisons",
        "Held-out entries: each map's value minus that of the fair baseline (FSC-0.5 of an "
        "unfiltered map: minus that of the unfiltered deposited map). “Better” and “worse” count "
        "the metrics; low-passed means to the reported resolution.",
        ["Entry", "Reported (Å)", "Map", "Compared", "Better", "Worse"]
        + [header(metric) for metric in metrics],
        [False, True, False, False, True, True] + [True] * len(metrics),
        rows,
    )


def tally_rows(entries: list[Entry], conditions: list[Condition]) -> list[tuple[str, Tally, Tally]]:
    """Return (condition, counts against the fair baseline, counts against deposited as it is)."""
    return [
        (
            condition_label(condition),
            tally(c for entry in entries for c in compare(entry.rows, condition, FAIR_BASELINE)),
            tally(c for entry in entries for c in compare(entry.rows, condition, PLAIN_BASELINE)),
        )
        for condition in conditions
    ]


def tally_cells(counts: Tally) -> list[Cell]:
    """Return the counts of better, equal, worse and no value, all alike."""
    return [number(counts.counts[outcome]) for outcome in OUTCOMES]


def metric_table(entry: Entry, name: str) -> Table:
    """Return all methods and metrics of one entry, marked against the fair baseline.

    A map that low-passing does not change (it holds nothing finer) has one row, and so have two
    names of the fair baseline.
    """
    metrics = [metric_of(key) for key in ordered(set(entry.rows["metric"]), METRICS)]
    known = fair_baseline_condition(entry.rows)
    rows: list[list[Cell]] = []
    highlighted = set()
    for condition in _distinct_conditions(entry.rows):
        values = values_of(entry.rows, condition)
        marks: dict[str, Mark] = {}
        label = condition_label(condition, entry.resolution)
        if condition == known:
            highlighted.add(len(rows))
            label += " — the fair baseline"
        else:
            marks = {c.metric.key: c.outcome for c in compare(entry.rows, condition)}
        cells = (number(values.get(m.key), m.digits, marks.get(m.key, "")) for m in metrics)
        rows.append([text(label), *cells])
    return Table(
        name,
        f"{entry.emdb_id} with {entry.pdb_id}: all methods; ▲ better and ▼ worse than the fair "
        "baseline (FSC-0.5 of an unfiltered map: than the unfiltered deposited map). A map that "
        "low-passing does not change has one row.",
        ["Method", *(header(metric) for metric in metrics)],
        [False] + [True] * len(metrics),
        rows,
        frozenset(highlighted),
    )


def _distinct_conditions(rows: pd.DataFrame) -> Iterator[Condition]:
    """Yield the conditions whose values differ; of the fair baseline's two names, one."""
    known = fair_baseline_condition(rows)
    baseline = values_of(rows, known)
    for method in ordered(set(rows["method"]), METHOD_LABELS):
        plain, smooth = Condition(method, False), Condition(method, True)
        for condition in (plain, smooth):
            values = values_of(rows, condition)
            unchanged = condition == smooth and same_values(values, values_of(rows, plain))
            renamed = method == LOW_PASS and same_values(values, baseline)
            if condition == known or (values and not unchanged and not renamed):
                yield condition


def funnel_table(funnel: Funnel) -> Table:
    """Return one row a filter."""
    return Table(
        "funnel",
        "What each filter saw and took, in the order in which they ran.",
        ["Filter", "Entries seen", "Dropped", "Failed", "Entries left"],
        [False, True, True, True, True],
        [
            [
                text(_words(s.name)),
                number(s.seen),
                number(s.dropped),
                number(s.failed),
                number(s.left),
            ]
            for s in funnel.stages
        ],
    )


def rejection_table(funnel: Funnel) -> Table:
    """Return one row a rejected entry: which filter, its number, its threshold, its reason."""
    return Table(
        "rejected",
        "Every entry that was left out.",
        ["Entry", "Model", "Filter", "Verdict", "Number", "Threshold", "Reason"],
        [False, False, False, False, True, True, False],
        [
            [
                text(row.emdb_id),
                text(row.pdb_id),
                text(_words(row.filter)),
                text({"drop": "dropped", "fail": "failed"}.get(str(row.verdict), row.verdict)),
                number(row.value),
                number(row.threshold),
                text(row.reason),
            ]
            for row in funnel.rejected.itertuples(index=False)
        ],
    )


def split_table(split: pd.DataFrame) -> Table:
    """Return one row a pair with its split."""
    order = {"train": 0, "validation": 1, "test": 2}
    rows = split.assign(place=split["split"].map(order)).sort_values(["place", "emdb_id"])
    return Table(
        "split",
        "The curated pairs and the split of each.",
        ["Entry", "Model", "Split", "Reported (Å)", "Map", "Correlation", "Cluster"],
        [False, False, False, True, False, True, False],
        [
            [
                text(row.emdb_id),
                text(row.pdb_id),
                text(row.split),
                number(row.resolution),
                text("simulated" if row.simulated else "real"),
                number(row.correlation, 3),
                text(row.cluster),
            ]
            for row in rows.itertuples(index=False)
        ],
    )
