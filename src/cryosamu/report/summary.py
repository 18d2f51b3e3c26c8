"""The verdict in words and in counts, real maps apart from simulated ones."""

from __future__ import annotations

from dataclasses import dataclass

from cryosamu.report.entries import Entry
from cryosamu.report.listing import Cell, tally_cells, tally_rows
from cryosamu.report.names import ENHANCED
from cryosamu.report.verdict import TRIVIAL, Condition, Tally, compare, tally

_KINDS = ("real", "simulated", "not known")


@dataclass(frozen=True)
class Sentence:
    """One line of the verdict: better and worse are set in the same type."""

    start: str
    better: int
    worse: int
    end: str


@dataclass(frozen=True)
class Summary:
    """The verdict over one kind of maps.

    Attributes
    ----------
    maps
        Which maps these are, in words.
    comparisons
        Metrics times maps.
    rows
        (condition, counts against the fair baseline, counts against deposited as it is).
    """

    maps: str
    comparisons: int
    sentences: list[Sentence]
    rows: list[tuple[str, list[Cell], list[Cell]]]


def summaries(entries: list[Entry], conditions: list[Condition]) -> list[Summary]:
    """Return one summary a kind of map that there is; none where nothing enhanced was judged."""
    if not any(condition.method == ENHANCED for condition in conditions):
        return []
    groups = [[entry for entry in entries if entry.kind == kind] for kind in _KINDS]
    return [_summary(group, conditions) for group in groups if group]


def _summary(entries: list[Entry], conditions: list[Condition]) -> Summary:
    rows = [
        (label, tally_cells(fair), tally_cells(plain))
        for label, fair, plain in tally_rows(entries, conditions)
    ]
    counts = {
        condition: tally(c for entry in entries for c in compare(entry.rows, condition))
        for condition in conditions
        if condition.method == ENHANCED or condition == TRIVIAL
    }
    several = len(entries) > 1
    sentences = [_sentence(condition, found, several) for condition, found in counts.items()]
    return Summary(_named(entries), max(c.total for c in counts.values()), sentences, rows)


def _named(entries: list[Entry]) -> str:
    kind = {"real": "real", "simulated": "simulated"}.get(entries[0].kind, "evaluated")
    if len(entries) == 1:
        return f"the {kind} held-out map {entries[0].emdb_id}"
    return f"{len(entries)} {kind} held-out maps"


def _sentence(condition: Condition, counts: Tally, several: bool) -> Sentence:
    subject, verb = ("maps", "are") if several else ("map", "is")
    if condition == TRIVIAL:
        named = f"the deposited {subject} low-passed and masked, with no network at all, {verb}"
    elif condition.low_passed:
        named = f"the enhanced {subject} low-passed to the reported resolution {verb}"
    else:
        named = f"the unfiltered enhanced {subject} {verb}"
    outcome = counts.counts
    rest = []
    if outcome["equal"]:
        rest.append(f"equal in {outcome['equal']}")
    if counts.below_floor:
        rest.append(f"{counts.below_floor} of the better ones no better than a floor")
    if outcome["no value"]:
        rest.append(f"without a value in {outcome['no value']}")
    return Sentence(
        f"{named} {counts.word}:",
        outcome["better"],
        outcome["worse"],
        f" ({', '.join(rest)})" if rest else "",
    )
