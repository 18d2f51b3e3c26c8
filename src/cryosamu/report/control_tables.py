"""The controls on the page: all maps at a glance, and each map's in full."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import dataclass

import pandas as pd

from cryosamu.report.entries import Entry
from cryosamu.report.listing import MISSING, Cell, Mark, Table, number, text
from cryosamu.report.names import CONTROL_LABELS, SCORE, control_label, ordered

_DIGITS = 3
_MARKS: dict[str, Mark] = {"pass": "pass", "fail": "fail", "not_applicable": "not applicable"}


@dataclass(frozen=True)
class ControlsSummary:
    """What the controls found over all maps.

    Attributes
    ----------
    meaning
        What the hallucination score is, as its table says.
    sentences
        What was found.
    table
        One row a map, the highest score first.
    """

    meaning: str
    sentences: list[str]
    table: Table


def controls_summary(entries: list[Entry]) -> ControlsSummary | None:
    """Return the controls of all entries that have any; None where none has."""
    tested = [entry for entry in entries if entry.controls is not None and len(entry.controls)]
    if not tested:
        return None
    rows = pd.concat([entry.controls for entry in tested], ignore_index=True)
    scores = rows[rows["control"] == SCORE]
    tested.sort(key=lambda entry: -_score(entry))
    keys = ordered(set(rows["control"]) - {SCORE}, CONTROL_LABELS)
    numbers = dict(zip(rows["control"], rows["number"], strict=True))
    table = Table(
        "controls",
        "The nine controls of each map, highest score first: ✓ passed, ✗ failed, – does not apply; "
        "the map's article says why.",
        [
            "Entry",
            "Map",
            "Hallucination score",
            *(f"{numbers[k]} {control_label(k)}" for k in keys),
        ],
        [False, False, True, *[False] * len(keys)],
        [_summary_row(entry, keys) for entry in tested],
    )
    meaning = "" if scores.empty else str(scores["expectation"].iloc[0])
    return ControlsSummary(meaning, [*_about_scores(scores), _counts(rows, len(tested))], table)


def _score(entry: Entry) -> float:
    assert entry.controls is not None
    found = entry.controls.loc[entry.controls["control"] == SCORE, "value"].dropna()
    return float(found.iloc[0]) if len(found) else -math.inf


def _summary_row(entry: Entry, keys: list[str]) -> list[Cell]:
    assert entry.controls is not None
    found = {str(row["control"]): row for row in entry.controls.to_dict("records")}
    score = found.get(SCORE)
    return [
        Cell(entry.emdb_id, link=f"#{entry.anchor}"),
        text(entry.kind),
        number(None) if score is None else number(score["value"], 2, _mark(score["verdict"])),
        *(_glance(found.get(key)) for key in keys),
    ]


def _glance(row: Mapping[Hashable, object] | None) -> Cell:
    """Return a control as its mark alone; what was found is said to who points at it."""
    if row is None:
        return Cell(MISSING)
    return Cell("", None, _mark(row["verdict"]), hint=str(row["reason"]))


def _mark(verdict: object) -> Mark:
    return _MARKS.get(str(verdict), "")


def _about_scores(scores: pd.DataFrame) -> list[str]:
    known = scores.dropna(subset=["value"])
    if known.empty:
        return ["No map has a hallucination score: neither control that it is made of applies."]
    low, high = known["value"].min(), known["value"].max()
    maps = f"{len(known)} map{'s' if len(known) != 1 else ''}"
    reach = f"{high:.2f}" if f"{low:.2f}" == f"{high:.2f}" else f"{low:.2f} to {high:.2f}"
    above = known[known["verdict"] == "fail"].sort_values("value", ascending=False)
    limit = known["limit"].iloc[0]
    if above.empty:
        return [
            f"The hallucination score is {reach} on {maps}, nowhere above the limit of {limit:g}."
        ]
    named = ", ".join(f"{r.emdb_id} ({r.value:.2f})" for r in above.head(5).itertuples())
    more = f" and {len(above) - 5} more" if len(above) > 5 else ""
    above_limit = f"above the limit of {limit:g} on {named}{more}"
    return [f"The hallucination score is {reach} on {maps}, {above_limit}."]


def _counts(rows: pd.DataFrame, maps: int) -> str:
    verdicts = Counter(rows.loc[rows["control"] != SCORE, "verdict"])
    passed, failed, other = (verdicts[key] for key in _MARKS)
    return (
        f"Of {passed + failed + other} controls on {maps} map{'s' if maps != 1 else ''}, {passed} "
        f"passed, {failed} failed and {other} do not apply."
    )


def control_table(entry: Entry, name: str) -> Table | None:
    """Return one row a control of an entry, the score first; None where it was not tested."""
    if entry.controls is None or entry.controls.empty:
        return None
    rows = entry.controls.sort_values("number", kind="stable").to_dict("records")
    return Table(
        name,
        "What a method that invents nothing must show, and what was found. Number 0 is the score "
        "that is made of controls 5 and 6.",
        ["No.", "Control", "Verdict", "Value", "Limit", "What it must show", "What was found"],
        [True, False, False, True, True, False, False],
        [
            [
                number(row["number"]),
                text("Hallucination score" if row["control"] == SCORE else
                     control_label(str(row["control"]))),
                Cell(str(row["verdict"]).replace("_", " "), None, _mark(row["verdict"])),
                number(row["value"], _DIGITS),
                number(row["limit"], None),
                text(row["expectation"]),
                text(row["reason"]),
            ]
            for row in rows
        ],
    )  # fmt: skip
