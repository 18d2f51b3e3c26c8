"""The reported resolution."""

from __future__ import annotations

from dataclasses import dataclass

from cryosamu.config import ResolutionWindow
from cryosamu.curation.entry import Entry
from cryosamu.curation.filter import Decision, Filter, decide


@dataclass(frozen=True)
class ResolutionFilter(Filter[Entry]):
    """Keep entries whose reported resolution lies in a window, both ends included."""

    window: ResolutionWindow
    name = "resolution"

    def judge(self, candidate: Entry) -> Decision:
        """Judge the resolution; the threshold recorded is the bound that is nearer."""
        low, high = self.window.minimum, self.window.maximum
        value = candidate.resolution
        if value is None:
            return decide(False, None, None, "The archive reports no resolution.")
        nearer = low if abs(value - low) < abs(value - high) else high
        passed = low <= value <= high
        place = "within" if passed else "outside"
        reason = f"Its reported resolution, {value:g} Å, is {place} {low:g}–{high:g} Å."
        return decide(passed, value, nearer, reason)
