"""What a filter is: one question about a candidate, answered with a verdict and its number."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Generic, Literal, TypeVar

Verdict = Literal["keep", "drop", "fail"]
Evidence = TypeVar("Evidence")


@dataclass(frozen=True)
class Decision:
    """The answer of one filter for one candidate.

    Attributes
    ----------
    verdict
        keep, drop, or fail where the question could not be asked (a failed download).
    value, threshold
        The measured number and the number it was held against; None where there is none.
    reason
        One sentence in plain words.
    """

    verdict: Verdict
    value: float | None
    threshold: float | None
    reason: str


class Filter(ABC, Generic[Evidence]):
    """One question about what is known of a candidate at this stage.

    `Evidence` is the stage's: the catalogue's entry, the model's facts, the place among similar
    entries, or the measurement of map against model. Thresholds are the filter's attributes.
    """

    name: ClassVar[str]

    @abstractmethod
    def judge(self, candidate: Evidence) -> Decision:
        """Return the verdict with its number, threshold and reason."""


def decide(passed: bool, value: float | None, threshold: float | None, reason: str) -> Decision:
    """Return keep or drop with the same number, threshold and sentence."""
    return Decision("keep" if passed else "drop", value, threshold, reason)
