"""What the enhanced map of one entry reaches, beside what a gain must clear."""

from __future__ import annotations

from cryosamu.report.entries import Entry
from cryosamu.report.listing import Cell, Table, condition_label, header, number, text
from cryosamu.report.names import ENHANCED
from cryosamu.report.verdict import Comparison, Condition, compare


def gain_table(entry: Entry, name: str) -> Table | None:
    """Return one row a metric: the enhanced map, its fair baseline, its floor, and the verdict.

    The same columns for the map low-passed to the reported resolution, where it was measured. None
    where the enhanced map has no value.
    """
    found: dict[Condition, dict[str, Comparison]] = {}
    for low_passed in (False, True):
        condition = Condition(ENHANCED, low_passed)
        compared = {c.metric.key: c for c in compare(entry.rows, condition)}
        if any(c.value == c.value for c in compared.values()):
            found[condition] = compared
    if not found:
        return None
    metrics = {key: c.metric for compared in found.values() for key, c in compared.items()}
    titles = [
        title
        for condition in found
        for title in (condition_label(condition), "Fair baseline", "Floor", "A gain?")
    ]
    return Table(
        name,
        "A gain counts where it clears both the fair baseline (the deposited map low-passed to the "
        "reported resolution; for FSC-0.5 of an unfiltered map, the unfiltered deposited map) and "
        "the floor: the best that a featureless envelope of the model, or the deposited map with "
        "random fine phases, reaches.",
        ["Metric", *titles],
        [False, *[True, True, True, False] * len(found)],
        [
            [text(header(metric)), *(cell for c in found.values() for cell in _cells(c.get(key)))]
            for key, metric in metrics.items()
        ],
    )


def _cells(compared: Comparison | None) -> list[Cell]:
    if compared is None:
        return [text(None)] * 4
    digits = compared.metric.digits
    return [
        number(compared.value, digits, compared.outcome),
        number(compared.baseline, digits),
        number(compared.floor, digits),
        text(_words(compared)),
    ]


def _words(compared: Comparison) -> str | None:
    if compared.outcome == "no value":
        return None
    if not compared.above_floor:
        return "no, below floor"
    return "yes" if compared.outcome == "better" else "no"
