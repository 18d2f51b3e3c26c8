"""Bringing one compressed file home, from whichever mirror has it sound."""

from __future__ import annotations

from collections.abc import Sequence

from cryosamu.archive.client import ArchiveClient, BusyError, NoAnswerError, RefusalError
from cryosamu.archive.mirror import Arrival, Mirror
from cryosamu.archive.partial import PartialFile
from cryosamu.archive.receipt import Receipt
from cryosamu.errors import ArchiveError


def download(
    client: ArchiveClient,
    addresses: Sequence[str],
    part: PartialFile,
    maximum_bytes: int,
    held: Receipt | None = None,
) -> Arrival:
    """Complete a partial file from the first mirror that has it; it is then known to be sound.

    A file that has no answer at all is asked for once more, and then is a refusal, if its archive
    is up: one file that the archive chokes on is not an outage.

    Parameters
    ----------
    addresses
        The same file on several mirrors, in the order to try them.
    maximum_bytes
        The most that the file may hold, unpacked.
    held
        The receipt of the version in the store.

    Raises
    ------
    UnchangedError
        When the archive still has the version that is held.
    RefusalError, ArchiveError
        The first mirror's fault, if none has the file: the others may lag behind it.
    CryosamuError
        When the disk is or would become full.
    """
    mirrors = [Mirror(client, address, part, maximum_bytes, held) for address in addresses]
    try:
        return _first_that_gives(mirrors)
    except BusyError:
        raise
    except NoAnswerError:
        if not client.is_up(addresses[0]):
            raise
    try:
        return _first_that_gives(mirrors)
    except BusyError:
        raise
    except NoAnswerError as silence:
        if not client.is_up(addresses[0]):
            raise
        raise RefusalError(
            f"{addresses[0]}: {silence.said}, though the archive is up."
        ) from silence


def _first_that_gives(mirrors: Sequence[Mirror]) -> Arrival:
    faults: list[ArchiveError] = []
    for mirror in mirrors:
        try:
            return mirror.fetch()
        except ArchiveError as fault:
            faults.append(fault)
    raise faults[0]
