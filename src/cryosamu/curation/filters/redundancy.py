"""Whether a similar entry is kept already."""

from __future__ import annotations

from dataclasses import dataclass

from cryosamu.curation.clustering import Membership
from cryosamu.curation.filter import Decision, Filter, decide


@dataclass(frozen=True)
class Standing:
    """An entry among those of its component.

    Attributes
    ----------
    rank
        Its place by resolution, from 1; the lower EMDB number comes first among equals.
    """

    member: Membership
    rank: int


@dataclass(frozen=True)
class RedundancyFilter(Filter[Standing]):
    """Keep the best-resolved entries of those connected by similar protein chains.

    With one candidate the best alone stands for the component; with more, their maps decide.
    """

    identity: float
    candidates: int
    name = "redundancy"

    def judge(self, candidate: Standing) -> Decision:
        """Judge whether the entry may stand for its component."""
        member = candidate.member
        value = member.identity
        percent = f"{100 * self.identity:g} % sequence identity"
        if member.size == 1:
            reason = f"No other entry has a similar protein chain at {percent}."
            return decide(True, value, self.identity, reason)
        others = f"{member.size} entries connected by similar protein chains at {percent}"
        if candidate.rank == 1:
            reason = f"It is the best resolved of {others}."
            return decide(True, value, self.identity, reason)
        if candidate.rank <= self.candidates:
            reason = (
                f"It is number {candidate.rank} by resolution of {others}: "
                f"it stands for them if the maps before it fail."
            )
            return decide(True, value, self.identity, reason)
        reason = (
            f"It is one of {others}; {member.representative} stands for them, "
            f"the best resolved at {member.representative_resolution:g} Å."
        )
        return decide(False, value, self.identity, reason)


@dataclass(frozen=True)
class Finalist:
    """A pair that passed all filters, and the best-resolved one of its component that did."""

    emdb_id: str
    best: str


@dataclass(frozen=True)
class RepresentativeFilter(Filter[Finalist]):
    """Keep one pair a component, where the maps of several of its entries were measured."""

    name = "representative"

    def judge(self, candidate: Finalist) -> Decision:
        """Judge whether it is the best resolved of those that passed."""
        if candidate.best == candidate.emdb_id:
            reason = "Of its component's entries that passed, it is the best resolved."
            return decide(True, None, None, reason)
        return decide(
            False, None, None, f"{candidate.best}, better resolved, passed and stands for it."
        )
