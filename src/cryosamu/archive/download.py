"""Bringing one compressed file home: resumed where it broke off, checked, then given its name."""

from __future__ import annotations

import gzip
import re
import shutil
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import requests
from tqdm import tqdm
from urllib3.exceptions import HTTPError

from cryosamu.archive.client import ArchiveClient, RefusalError
from cryosamu.archive.partial import PartialFile
from cryosamu.errors import ArchiveError, CryosamuError

_PIECE_BYTES = 2**18
_WORTHWHILE_BYTES = 2**20
_SPARE_DISK_BYTES = 2**26
_SLOWEST_BYTES_A_SECOND = 1024


class _BrokenTransferError(Exception):
    """The connection ended before the file did."""


def download(
    client: ArchiveClient, addresses: Sequence[str], destination: Path, maximum_bytes: int
) -> str:
    """Download a gzip file from the first mirror that has it and return that mirror's address.

    What has arrived lies in DESTINATION.part: a killed download goes on from there by Range. A
    whole file is unpacked once, in bounded memory, against gzip's own length and checksum; only
    then does it get its name. Two processes do not disturb each other: the second waits for the
    first and finds the work done.

    Parameters
    ----------
    addresses
        The same file on several mirrors, in the order to try them.
    maximum_bytes
        The most that the file may hold, unpacked.

    Raises
    ------
    RefusalError, ArchiveError
        The first mirror's fault, if none has the file: the others may lag behind it.
    CryosamuError
        When the disk is or would become full.
    """
    faults: list[ArchiveError] = []
    with PartialFile(destination) as part:
        if destination.exists():
            part.cut(0)
            return addresses[0]
        for address in addresses:
            try:
                _OneMirror(client, address, part, maximum_bytes).fetch()
            except ArchiveError as fault:
                faults.append(fault)
                continue
            part.finish()
            return address
    raise faults[0]


@dataclass(frozen=True)
class _OneMirror:
    """One mirror's attempt to complete the partial file."""

    client: ArchiveClient
    address: str
    part: PartialFile
    maximum_bytes: int

    def fetch(self) -> None:
        """Bring the partial file to its full length, and check it.

        A resumed file that fails the check may be a splice of two versions: once more, afresh.
        """
        for last_chance in (False, True):
            resumed = self._transfer_patiently()
            try:
                check_gzip(self.part.path, self.address, self.maximum_bytes)
            except RefusalError:
                self.part.cut(0)
                if last_chance or not resumed:
                    raise
            else:
                return

    def _transfer_patiently(self) -> bool:
        """Transfer until the file is whole; return whether it was put together from parts.

        Patience runs out after `retries` failures in a row that each brought next to nothing;
        what has arrived is then kept for the next run.
        """
        failures = 0
        resumed = False
        while True:
            before = self.part.size
            resumed = resumed or before > 0
            try:
                self._transfer()
            except _BrokenTransferError as broken:
                gained = self.part.size - before
                failures = 0 if gained >= _WORTHWHILE_BYTES else failures + 1
                if failures > self.client.settings.retries:
                    raise RefusalError(
                        f"{self.address}: the transfer always breaks off ({broken})."
                    ) from None
                self.client.pause(max(failures - 1, 0))
            else:
                return resumed

    def _transfer(self) -> None:
        """Ask once for what is missing, and append it."""
        offset = self.part.size
        headers = {"Accept-Encoding": "identity"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
        with self.client.open(self.address, headers, also_accept=frozenset({416})) as response:
            start, total = _placement(response)
            if response.status_code == 416 and offset and total == offset:
                return
            if response.status_code == 416 or start not in (0, offset):
                self.part.cut(0)
                raise _BrokenTransferError(f"it cannot be resumed after {offset} bytes")
            self.part.cut(start)
            self._require_allowed(total or 0)
            _require_disk(self.part.path.parent, (total or 0) - start)
            self._append(response, start, total)

    def _append(self, response: requests.Response, start: int, total: int | None) -> None:
        """Append the body; without a stated length it ends where the connection does."""
        state = f"of {total} bytes" if total is not None else "bytes"
        started, position = time.monotonic(), start
        with tqdm(
            desc=self.part.destination.name, total=total, initial=start,
            unit="B", unit_scale=True, disable=None,
        ) as progress:  # fmt: skip
            try:
                for piece in _pieces(response):
                    self.part.append(piece)
                    position += len(piece)
                    progress.update(len(piece))
                    self._require_allowed(position)
                    _require_speed(
                        position - start,
                        time.monotonic() - started,
                        self.client.settings.timeout_seconds,
                    )
            except (HTTPError, OSError):
                raise _BrokenTransferError(f"after {position} {state}") from None
        if total is not None and position != total:
            raise _BrokenTransferError(f"after {position} {state}")

    def _require_allowed(self, size: int) -> None:
        if size > self.maximum_bytes:
            self.part.cut(0)
            raise _too_large(self.address, self.maximum_bytes)


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


def _pieces(response: requests.Response) -> Iterator[bytes]:
    """Yield the body as it was sent, each piece as soon as it arrives."""
    while piece := response.raw.read1(_PIECE_BYTES, decode_content=False):
        yield piece


def _require_speed(gained: int, elapsed: float, patience_seconds: float) -> None:
    if elapsed > patience_seconds and gained < elapsed * _SLOWEST_BYTES_A_SECOND:
        raise _BrokenTransferError(f"it came at {gained / elapsed:.0f} bytes a second")


def _require_disk(folder: Path, missing_bytes: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < missing_bytes + _SPARE_DISK_BYTES:
        raise CryosamuError(
            f"{folder}: has {free / 1e9:.2f} GB free, but {missing_bytes / 1e9:.2f} GB are "
            "still to be downloaded; make room or choose another --store."
        )


def check_gzip(path: Path, address: str, maximum_bytes: int) -> None:
    """Unpack a gzip file in bounded memory to see that it is whole and not too large.

    Raises
    ------
    RefusalError
        When it is not gzip, cut short, fails its checksum, is empty, or unpacks to more than
        `maximum_bytes`.
    """
    unpacked = 0
    try:
        with gzip.open(path) as stream:
            while piece := stream.read(_PIECE_BYTES):
                unpacked += len(piece)
                if unpacked > maximum_bytes:
                    raise _too_large(address, maximum_bytes)
    except EOFError:
        raise RefusalError(f"{address}: the gzip file is cut short.") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise RefusalError(f"{address}: is not a sound gzip file ({error}).") from error
    if unpacked == 0:
        raise RefusalError(f"{address}: the file is empty.")


def _too_large(address: str, maximum_bytes: int) -> RefusalError:
    return RefusalError(
        f"{address}: is larger than archive.maximum_map_gigabytes ({maximum_bytes / 1e9:g})."
    )
