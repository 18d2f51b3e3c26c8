"""Whether there is a map file, and how large."""

from __future__ import annotations

from dataclasses import dataclass

from cryosamu.curation.entry import Entry
from cryosamu.curation.filter import Decision, Filter, decide

_KILOBYTES_PER_GIGABYTE = 1e6


@dataclass(frozen=True)
class MapSizeFilter(Filter[Entry]):
    """Keep entries with a map file that is not too large to be downloaded.

    A file of unknown size goes on: the download itself stops at the same limit.
    """

    maximum_gigabytes: float
    name = "map_size"

    def judge(self, candidate: Entry) -> Decision:
        """Judge the size of the uncompressed map in GB."""
        if candidate.map_file is None:
            return decide(False, None, None, "The archive lists no map file for it.")
        if candidate.map_kilobytes is None:
            return decide(True, None, self.maximum_gigabytes, "Its map's size is not stated.")
        size = candidate.map_kilobytes / _KILOBYTES_PER_GIGABYTE
        passed = size <= self.maximum_gigabytes
        relation = "within" if passed else "above"
        reason = f"Its map has {size:.3g} GB, {relation} the limit of {self.maximum_gigabytes:g}."
        return decide(passed, size, self.maximum_gigabytes, reason)
