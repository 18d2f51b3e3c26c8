"""How well map and model agree."""

from __future__ import annotations

from dataclasses import dataclass

from cryosamu.config import CorrelationSettings
from cryosamu.curation.filter import Decision, Filter, decide
from cryosamu.curation.filters.alignment import AlignmentFilter
from cryosamu.curation.measurement import Measurement


@dataclass(frozen=True)
class CorrelationFilter(Filter[Measurement]):
    """Keep pairs whose map-model correlation, of the kind configured, is high enough."""

    settings: CorrelationSettings
    alignment: AlignmentFilter
    name = "correlation"

    def judge(self, candidate: Measurement) -> Decision:
        """Judge the correlation at the reported resolution, in the pose in which it is used."""
        kind, least = self.settings.kind, self.settings.minimum
        value = self.alignment.numbers(candidate).correlation(kind)
        if value is None:
            return decide(False, None, least, f"Its {kind} is not defined for this pair.")
        passed = value >= least
        relation = "reaches" if passed else "is below"
        reason = f"Its {kind.replace('cc', 'CC')}, {value:.3f}, {relation} {least:g}."
        return decide(passed, value, least, reason)
