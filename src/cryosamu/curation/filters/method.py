"""How the structure was determined."""

from __future__ import annotations

from dataclasses import dataclass

from cryosamu.curation.entry import Entry
from cryosamu.curation.filter import Decision, Filter, decide


@dataclass(frozen=True)
class MethodFilter(Filter[Entry]):
    """Keep entries whose method of structure determination is one of those asked for."""

    methods: tuple[str, ...]
    name = "method"

    def judge(self, candidate: Entry) -> Decision:
        """Judge the method as EMDB names it."""
        asked = " or ".join(self.methods)
        if candidate.method is None:
            return decide(False, None, None, f"The archive names no method; {asked} is asked for.")
        passed = candidate.method in self.methods
        relation = "is" if passed else "is not"
        return decide(passed, None, None, f"Its method, {candidate.method}, {relation} {asked}.")
