"""Nucleic acid in the model itself, whatever the metadata say."""

from __future__ import annotations

from dataclasses import dataclass

from cryosamu.curation.facts import ModelFacts
from cryosamu.curation.filter import Decision, Filter, decide


@dataclass(frozen=True)
class NucleicAcidFilter(Filter[ModelFacts]):
    """Keep models without nucleotides in their polymers."""

    protein_only: bool
    name = "nucleic_acid"

    def judge(self, candidate: ModelFacts) -> Decision:
        """Judge the number of nucleotides."""
        count = candidate.nucleic_residues
        if count == 0:
            return decide(True, 0, 0, "Its model has no nucleic acid.")
        reason = f"Its model has {count} nucleotides beside {candidate.protein_residues} residues."
        return decide(not self.protein_only, count, 0, reason)
