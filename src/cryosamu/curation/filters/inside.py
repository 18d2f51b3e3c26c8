"""Whether the model lies inside the map's box."""

from __future__ import annotations

from dataclasses import dataclass

from cryosamu.curation.filter import Decision, Filter, decide
from cryosamu.curation.filters.alignment import AlignmentFilter
from cryosamu.curation.measurement import Measurement


@dataclass(frozen=True)
class InsideFilter(Filter[Measurement]):
    """Keep pairs whose model lies in the map's box with nearly all its atoms."""

    minimum: float
    alignment: AlignmentFilter
    name = "inside"

    def judge(self, candidate: Measurement) -> Decision:
        """Judge the share of atoms in the box, of the pose in which the model is used."""
        share = self.alignment.numbers(candidate).inside
        reason = (
            f"{100 * share:.1f} % of its model's atoms lie in the map's box; "
            f"at least {100 * self.minimum:g} % must."
        )
        return decide(share >= self.minimum, share, self.minimum, reason)
