"""Many files in one go: one bad one does not stop the rest, an outage stops them all."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from tqdm import tqdm

from cryosamu.archive.client import ArchiveClient, RefusalError
from cryosamu.archive.fetch import Wanted, fetch
from cryosamu.archive.record import FetchRecord
from cryosamu.errors import ArchiveError

_UNANSWERED_IN_A_ROW = 3


@dataclass
class Outcome:
    """The records of all files, and how many of them had to be downloaded."""

    records: list[FetchRecord] = field(default_factory=list)
    downloaded: int = 0

    @property
    def failed(self) -> list[FetchRecord]:
        """The records of those that could not be had."""
        return [record for record in self.records if record.status == "failed"]

    def summary(self) -> str:
        """Return the counts in words."""
        held = len(self.records) - self.downloaded - len(self.failed)
        return f"{self.downloaded} fetched, {held} already in the store, {len(self.failed)} failed"


def fetch_all(client: ArchiveClient, wanted: Sequence[Wanted], refresh: bool = False) -> Outcome:
    """Bring many files into the store, and say what became of each.

    Raises
    ------
    ArchiveError
        When several files in a row, or all that were asked for, get no answer: then the archive
        is down, and a table of failures would mislead.
    CryosamuError
        When the disk is full, or the store cannot be written.
    """
    outcome = Outcome()
    unanswered, answered = 0, False
    silence: ArchiveError | None = None
    for one in tqdm(wanted, desc=_title(wanted), unit="file", disable=None):
        try:
            fetched = fetch(client, one, refresh)
        except ArchiveError as error:
            if not isinstance(error, RefusalError):
                unanswered, silence = unanswered + 1, error
                if unanswered >= _UNANSWERED_IN_A_ROW:
                    raise
            else:
                unanswered, answered = 0, True
            outcome.records.append(one.failed(error))
            tqdm.write(f"failed {one.identifier} {one.kind}: {error}", file=sys.stderr)
            continue
        outcome.records.append(fetched.record)
        if fetched.downloaded:
            unanswered, answered = 0, True
            outcome.downloaded += 1
    if silence is not None and not answered:
        raise silence
    return outcome


def _title(wanted: Sequence[Wanted]) -> str:
    return " and ".join(sorted({f"{one.kind}s" for one in wanted})) or "nothing"
