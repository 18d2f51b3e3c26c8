"""Whether there is a model to compare the map with."""

from __future__ import annotations

from dataclasses import dataclass

from cryosamu.curation.entry import Entry
from cryosamu.curation.filter import Decision, Filter, decide


@dataclass(frozen=True)
class FittedModelFilter(Filter[Entry]):
    """Keep entries that name a PDB model fitted into the map."""

    name = "fitted_model"

    def judge(self, candidate: Entry) -> Decision:
        """Judge whether a PDB id is there."""
        if candidate.pdb_id is None:
            return decide(False, None, None, "The archive names no PDB model fitted into this map.")
        return decide(True, None, None, f"Its fitted model is PDB {candidate.pdb_id}.")
