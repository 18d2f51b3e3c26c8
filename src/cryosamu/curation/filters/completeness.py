"""How much of the deposited sequence the model shows."""

from __future__ import annotations

from dataclasses import dataclass

from cryosamu.curation.facts import ModelFacts
from cryosamu.curation.filter import Decision, Filter, decide

_SOURCES = {
    "deposited": "of its deposited sequence",
    "catalogue": "of the sequence that the archive lists",
    "numbering": "that its residue numbers span, since the file has no deposited sequence",
}


@dataclass(frozen=True)
class CompletenessFilter(Filter[ModelFacts]):
    """Keep models that show at least a share of what was deposited, over all protein chains."""

    minimum: float
    name = "completeness"

    def judge(self, candidate: ModelFacts) -> Decision:
        """Judge observed residues over expected ones."""
        if candidate.expected_residues == 0:
            return decide(False, 0, self.minimum, "Its model has no protein chain.")
        share = candidate.observed_residues / candidate.expected_residues
        reason = (
            f"Its model shows {candidate.observed_residues} of the {candidate.expected_residues} "
            f"residues {_SOURCES[candidate.expected_from]}: {share:.3g}, "
            f"where at least {self.minimum:g} is needed."
        )
        return decide(share >= self.minimum, share, self.minimum, reason)
