"""Whether a similar entry is kept already."""

from __future__ import annotations

from dataclasses import dataclass

from cryosamu.curation.clustering import Membership
from cryosamu.curation.filter import Decision, Filter, decide


@dataclass(frozen=True)
class RedundancyFilter(Filter[Membership]):
    """Keep the best-resolved entry of those connected by similar protein chains."""

    identity: float
    name = "redundancy"

    def judge(self, candidate: Membership) -> Decision:
        """Judge whether the entry stands for its component."""
        value = candidate.identity
        percent = f"{100 * self.identity:g} % sequence identity"
        if candidate.size == 1:
            reason = f"No other entry has a similar protein chain at {percent}."
            return decide(True, value, self.identity, reason)
        others = f"{candidate.size} entries connected by similar protein chains at {percent}"
        if candidate.representative == candidate.emdb_id:
            reason = f"It is the best resolved of {others}."
            return decide(True, value, self.identity, reason)
        reason = (
            f"It is one of {others}; {candidate.representative} stands for them, "
            f"the best resolved at {candidate.representative_resolution:g} Å."
        )
        return decide(False, value, self.identity, reason)
