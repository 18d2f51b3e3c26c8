"""What the archive says the model is made of."""

from __future__ import annotations

from dataclasses import dataclass

from cryosamu.curation.entry import Entry
from cryosamu.curation.filter import Decision, Filter, decide


@dataclass(frozen=True)
class PolymersFilter(Filter[Entry]):
    """Keep entries whose polymers are all protein, by the metadata alone.

    Where the archive is silent the entry goes on: its model is looked into later.
    """

    protein_only: bool
    name = "polymers"

    def judge(self, candidate: Entry) -> Decision:
        """Judge the number of polymer entities that are not protein."""
        protein = candidate.protein_entities
        nucleic, other = candidate.nucleic_entities, candidate.other_entities
        if protein is None or nucleic is None or other is None:
            return decide(True, None, None, "The archive lists no polymers; the model will tell.")
        if protein == 0:
            return decide(False, 0, 1, "It has no protein among its polymers.")
        foreign = nucleic + other
        if foreign == 0:
            return decide(True, 0, 0, "All its polymers are protein.")
        kind = "nucleic acid" if other == 0 else "not protein"
        verb = "is" if foreign == 1 else "are"
        reason = f"Of its {protein + foreign} different polymers, {foreign} {verb} {kind}."
        return decide(not self.protein_only, foreign, 0, reason)
