"""Whether the model shows enough of a backbone."""

from __future__ import annotations

from dataclasses import dataclass

from cryosamu.curation.facts import ModelFacts
from cryosamu.curation.filter import Decision, Filter, decide


@dataclass(frozen=True)
class ModelSizeFilter(Filter[ModelFacts]):
    """Keep models with at least so many residues that have N, CA and C.

    A model of CA atoms alone shows none: it has no backbone to encode.
    """

    minimum_residues: int
    name = "model_size"

    def judge(self, candidate: ModelFacts) -> Decision:
        """Judge the number of residues with a backbone."""
        count, least = candidate.observed_residues, self.minimum_residues
        passed = count >= least
        reason = (
            f"Its model shows the backbone of {count} of {candidate.protein_residues} residues; "
            f"at least {least} are needed."
        )
        return decide(passed, count, least, reason)
