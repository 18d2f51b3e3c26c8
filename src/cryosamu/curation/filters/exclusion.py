"""Entries that the archive itself has withdrawn, or gives no model to use."""

from __future__ import annotations

from dataclasses import dataclass

from cryosamu.curation.entry import Entry
from cryosamu.curation.filter import Decision, Filter, decide


@dataclass(frozen=True)
class ExclusionFilter(Filter[Entry]):
    """Keep entries that stand in the archive: not obsolete, with a model that is in the PDB."""

    name = "exclusion"

    def judge(self, candidate: Entry) -> Decision:
        """Judge what the catalogue says against the entry, if anything."""
        if candidate.exclusion is None:
            return decide(True, None, None, "It stands in the archive as released.")
        return decide(False, None, None, candidate.exclusion)
