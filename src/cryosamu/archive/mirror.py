"""One mirror's attempt to complete a file: by Range where it broke off, patient, never believing.

The file's own gzip checksum is the judge, not ETag or length: a resumed file can never be a splice
of two versions, and one mirror may go on where another stopped.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import requests
from tqdm import tqdm

from cryosamu.archive import urls
from cryosamu.archive.client import ArchiveClient, RefusalError
from cryosamu.archive.pace import BrokenTransferError, pieces
from cryosamu.archive.partial import PartialFile
from cryosamu.archive.receipt import Receipt
from cryosamu.archive.soundness import TooLargeError, check_gzip
from cryosamu.errors import CryosamuError
from cryosamu.files import sha256_of

_WORTHWHILE_BYTES = 2**20
_SPARE_DISK_BYTES = 2**26
_JUDGED_HERE = frozenset({304, 416})


class UnchangedError(Exception):
    """The archive has the very version that the store holds."""

    def __init__(self, held: Receipt) -> None:
        super().__init__()
        self.held = held


@dataclass(frozen=True)
class Arrival:
    """Where a file came from, and the archive's marks of its state."""

    address: str
    etag: str | None
    last_modified: str | None


@dataclass(frozen=True)
class Mirror:
    """A file's address on one mirror, and the partial file to complete from there.

    Parameters
    ----------
    maximum_bytes
        The most that may be transferred, and that the file may hold unpacked.
    held
        The receipt of the version that the store holds: the same one is not sent again.
    """

    client: ArchiveClient
    address: str
    part: PartialFile
    maximum_bytes: int
    held: Receipt | None = None

    def fetch(self) -> Arrival:
        """Bring the partial file to its full length, and check it.

        A file that fails the check is thrown away and fetched afresh: it may have been damaged on
        its way, or be a splice of two versions. Where a large one comes damaged in the same way
        again, it lies damaged in the archive.

        Raises
        ------
        UnchangedError
            When the mirror still has the version that is held.
        RefusalError
            When the mirror does not give a sound file.
        ArchiveError
            When the mirror does not answer.
        """
        damaged: set[str] = set()
        failures = 0
        while True:
            arrival = self._transfer_patiently()
            try:
                check_gzip(self.part.path, self.address, self.maximum_bytes)
            except RefusalError as fault:
                failures += 1
                digest, size = sha256_of(self.part.path), self.part.size
                self.part.cut(0)
                hopeless = size >= _WORTHWHILE_BYTES and digest in damaged
                if isinstance(fault, TooLargeError) or hopeless or failures > self._retries():
                    raise
                damaged.add(digest)
                self.client.pause(failures - 1)
            else:
                return arrival

    def _retries(self) -> int:
        """Once afresh in any case, for what an earlier run left behind."""
        return max(self.client.settings.retries, 1)

    def _transfer_patiently(self) -> Arrival:
        """Transfer until the file is whole.

        Patience runs out after `retries` failures in a row that each brought next to nothing;
        what has arrived is then kept for the next run.
        """
        failures = 0
        while True:
            before = self.part.size
            try:
                return self._transfer()
            except BrokenTransferError as broken:
                gained = self.part.size - before
                failures = 0 if gained >= _WORTHWHILE_BYTES else failures + 1
                if failures > self.client.settings.retries:
                    raise RefusalError(
                        f"{self.address}: the transfer always breaks off ({broken})."
                    ) from None
                self.client.pause(max(failures - 1, 0))

    def _transfer(self) -> Arrival:
        """Ask once for what is missing, and append it."""
        offset = self.part.size
        held = None if offset else self._held_from_here()
        headers = {"Accept-Encoding": "identity"}
        headers |= {"Range": f"bytes={offset}-"} if offset else {}
        headers |= held.conditions() if held is not None else {}
        with self.client.open(self.address, headers, also_accept=_JUDGED_HERE) as response:
            if response.status_code == 304 and held is not None:
                raise UnchangedError(held)
            arrival = Arrival(
                self.address, response.headers.get("ETag"), response.headers.get("Last-Modified")
            )
            start, total = _placement(response)
            if response.status_code == 416 and offset and total == offset:
                return arrival
            if response.status_code == 416 or start not in (0, offset):
                self.part.cut(0)
                raise BrokenTransferError(f"it cannot be resumed after {offset} bytes")
            self.part.cut(start)
            self._require_allowed(total or 0)
            _require_disk(self.part.path.parent, (total or 0) - start)
            self._append(response, start, total)
            return arrival

    def _held_from_here(self) -> Receipt | None:
        """Return the receipt of what is held, if it came from here: marks are a mirror's own."""
        here = self.held is not None and self.held.url == urls.below_root(self.address)
        return self.held if here else None

    def _append(self, response: requests.Response, start: int, total: int | None) -> None:
        """Append the body; without a stated length it ends where the connection does."""
        state = f"of {total} bytes" if total is not None else "bytes"
        position = start
        with tqdm(
            desc=self.part.destination.name, total=total, initial=start,
            unit="B", unit_scale=True, disable=None, leave=None,
        ) as progress:  # fmt: skip
            try:
                for piece in pieces(response, self.client.settings.timeout_seconds):
                    self.part.append(piece)
                    position += len(piece)
                    progress.update(len(piece))
                    self._require_allowed(position)
            except BrokenTransferError as broken:
                raise BrokenTransferError(f"{broken} after {position} {state}") from None
        if total is not None and position != total:
            raise BrokenTransferError(f"the connection ends after {position} {state}")

    def _require_allowed(self, size: int) -> None:
        if size > self.maximum_bytes:
            self.part.cut(0)
            raise TooLargeError(self.address, self.maximum_bytes)


def _placement(response: requests.Response) -> tuple[int, int | None]:
    """Return where the body begins in the file, and the file's length if the archive says it."""
    if response.status_code == 200:
        length = response.headers.get("Content-Length", "")
        return 0, int(length) if length.isdigit() else None
    given = response.headers.get("Content-Range", "")
    found = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", given.strip())
    if found is None:
        return -1, None
    return int(found[1] or 0), int(found[2]) if found[2].isdigit() else None


def _require_disk(folder: Path, missing_bytes: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < missing_bytes + _SPARE_DISK_BYTES:
        raise CryosamuError(
            f"{folder}: has {free / 1e9:.2f} GB free, but {missing_bytes / 1e9:.2f} GB are "
            "still to be downloaded; make room or choose another --store."
        )
