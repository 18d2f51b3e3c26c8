"""Chains of the model that are sugar and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from cryosamu.curation.facts import ModelFacts
from cryosamu.curation.filter import Decision, Filter, decide


@dataclass(frozen=True)
class GlycanChainsFilter(Filter[ModelFacts]):
    """Keep models without chains that are glycan alone, as the paper does.

    The PDB's branched glycans have author chains of their own, and so count. A single sugar that
    bears the chain name of its protein does not.
    """

    protein_only: bool
    name = "glycan_chains"

    def judge(self, candidate: ModelFacts) -> Decision:
        """Judge the number of such chains."""
        chains = candidate.glycan_chains
        if not chains:
            return decide(True, 0, 0, "Its model has no chain of glycan alone.")
        word = "chain" if len(chains) == 1 else "chains"
        reason = f"Its model has {len(chains)} {word} of glycan alone ({', '.join(chains)})."
        return decide(not self.protein_only, len(chains), 0, reason)
