"""Better or worse: each enhanced map against the deposited one and against the fair baseline.

The fair baseline is the deposited map low-passed to the reported resolution. Low-passing alone
raises most metrics, so that a gain over the deposited map as it is would be claimed falsely.
Only where a metric ends at the cut (FSC-0.5 of a low-passed map is never finer than it) is
filtered compared with filtered and unfiltered with unfiltered.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from cryosamu.report.names import (
    DEPLOYABLE,
    DEPOSITED,
    ENHANCED,
    LOW_PASS,
    LOW_PASS_MASKED,
    METRICS,
    Metric,
    metric_of,
    ordered,
)

Outcome = Literal["better", "equal", "worse", "no value"]
OUTCOMES: tuple[Outcome, ...] = ("better", "equal", "worse", "no value")


@dataclass(frozen=True)
class Condition:
    """A method's map, as it is or low-passed to the reported resolution."""

    method: str
    low_passed: bool


CONDITIONS = tuple(
    Condition(method, low_passed)
    for method in (ENHANCED, *DEPLOYABLE)
    for low_passed in (False, True)
)
"""What the verdict is about."""

FAIR_BASELINE = Condition(DEPOSITED, True)
PLAIN_BASELINE = Condition(DEPOSITED, False)
TRIVIAL = Condition(LOW_PASS_MASKED, False)
"""What can be had without any network, and judged in the same way."""


@dataclass(frozen=True)
class Comparison:
    """One metric of one map against the same metric of a baseline.

    Attributes
    ----------
    floor
        The best that a featureless envelope or random fine phases reach, of a map filtered alike;
        NaN where no floor was measured.
    difference
        Value minus baseline, in the metric's unit; NaN where a value is missing.
    """

    metric: Metric
    value: float
    baseline: float
    outcome: Outcome
    floor: float = math.nan

    @property
    def difference(self) -> float:
        """Value minus baseline."""
        return self.value - self.baseline

    @property
    def above_floor(self) -> bool:
        """Whether the value is better than the floor; true where no floor is known."""
        return judge(self.metric, self.value, self.floor) in ("better", "no value")


@dataclass(frozen=True)
class Tally:
    """How often each outcome was met, and how many of the better ones clear no floor."""

    counts: dict[Outcome, int]
    below_floor: int = 0

    @property
    def total(self) -> int:
        """Comparisons, those without a value included."""
        return sum(self.counts.values())

    @property
    def word(self) -> str:
        """The counts in words: better and worse in the same breath."""
        better, worse = self.counts["better"], self.counts["worse"]
        if better > worse:
            return "more often better than worse"
        return "more often worse than better" if worse > better else "as often better as worse"


def tally(comparisons: Iterable[Comparison]) -> Tally:
    """Count the outcomes."""
    found = list(comparisons)
    counted = Counter(comparison.outcome for comparison in found)
    below = sum(one.outcome == "better" and not one.above_floor for one in found)
    return Tally({outcome: counted[outcome] for outcome in OUTCOMES}, below)


def values_of(rows: pd.DataFrame, condition: Condition) -> dict[str, float]:
    """Return metric to value of one condition from the evaluation rows of one entry.

    The fair baseline may stand under either of its two names.
    """
    if condition == FAIR_BASELINE:
        condition = fair_baseline_condition(rows)
    return _column(rows, condition, "value")


def _column(rows: pd.DataFrame, condition: Condition, name: str) -> dict[str, float]:
    chosen = rows[
        (rows["method"] == condition.method) & (rows["low_passed"] == condition.low_passed)
    ]
    return dict(zip(chosen["metric"], chosen[name].astype(float), strict=True))


def fair_baseline_condition(rows: pd.DataFrame) -> Condition:
    """Return the name under which the entry's rows hold the fair baseline."""
    present = set(zip(rows["method"], rows["low_passed"], strict=True))
    if (FAIR_BASELINE.method, FAIR_BASELINE.low_passed) in present:
        return FAIR_BASELINE
    return Condition(LOW_PASS, False)


def is_filtered(rows: pd.DataFrame, condition: Condition) -> bool:
    """Return whether a map was low-passed, by its name or since low-passing does not change it."""
    if condition.low_passed or condition == TRIVIAL:
        return True
    plain = values_of(rows, condition)
    return same_values(plain, values_of(rows, Condition(condition.method, True)))


def same_values(values: dict[str, float], others: dict[str, float]) -> bool:
    """Return whether all values are the same numbers, missing ones missing in both."""
    return values.keys() == others.keys() and all(
        value == others[key] or (math.isnan(value) and math.isnan(others[key]))
        for key, value in values.items()
    )


def judge(metric: Metric, value: float, baseline: float) -> Outcome:
    """Return whether `value` is better than `baseline` by more than counts as equal."""
    if not (math.isfinite(value) and math.isfinite(baseline)):
        return "no value"
    gain = value - baseline if metric.higher_is_better else baseline - value
    if abs(gain) < metric.equal_within:
        return "equal"
    return "better" if gain > 0 else "worse"


def compare(
    rows: pd.DataFrame, condition: Condition, baseline: Condition = FAIR_BASELINE
) -> list[Comparison]:
    """Return one comparison for each judging metric that the baseline was asked for.

    A metric that the baseline has and the map lacks has no value: it is counted, not dropped.
    The baseline of a metric that ends at the cut is filtered as the map is.

    Parameters
    ----------
    rows
        The evaluation rows of one entry.
    """
    reference, values = values_of(rows, baseline), values_of(rows, condition)
    floors = _column(rows, condition, "floor")
    alike = values_of(rows, FAIR_BASELINE if is_filtered(rows, condition) else PLAIN_BASELINE)
    comparisons = []
    for key in ordered(set(reference), METRICS):
        metric = metric_of(key)
        if metric.higher_is_better is None:
            continue
        value, base = values.get(key, math.nan), reference[key]
        if metric.ends_at_cut:
            base = alike.get(key, base)
        outcome = judge(metric, value, base)
        comparisons.append(Comparison(metric, value, base, outcome, floors.get(key, math.nan)))
    return comparisons


def conditions_in(evaluation: pd.DataFrame) -> list[Condition]:
    """Return the enhanced conditions, and the trivial one, that were evaluated for any entry."""
    present = set(zip(evaluation["method"], evaluation["low_passed"], strict=True))
    return [c for c in (*CONDITIONS, TRIVIAL) if (c.method, c.low_passed) in present]
