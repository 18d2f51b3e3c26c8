"""Maps and models into the store that all configurations share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryosamu.archive import urls
from cryosamu.archive.client import ArchiveClient, RefusalError
from cryosamu.archive.download import download
from cryosamu.archive.mirror import UnchangedError
from cryosamu.archive.partial import PartialFile
from cryosamu.archive.receipt import Receipt, receipt_path, vouching_receipt, write_receipt
from cryosamu.archive.record import FetchRecord, Kind
from cryosamu.archive.soundness import check_gzip
from cryosamu.config import ArchiveSettings
from cryosamu.errors import ArchiveError
from cryosamu.shards import member_folder


@dataclass(frozen=True)
class Fetched:
    """The record of a fetch, and whether anything was downloaded for it."""

    record: FetchRecord
    downloaded: bool


@dataclass(frozen=True)
class Wanted:
    """A file of the archive: its mirrors, and its place in the store."""

    identifier: str
    kind: Kind
    addresses: Sequence[str]
    path: Path

    def failed(self, error: ArchiveError) -> FetchRecord:
        """Return the record of a file that the archive does not give."""
        return FetchRecord(
            id=self.identifier,
            kind=self.kind,
            status="failed",
            path=None,
            bytes=None,
            sha256=None,
            url=urls.below_root(self.addresses[0]),
            error=str(error),
        )

    def had(self, receipt: Receipt) -> FetchRecord:
        """Return the record of a file in the store."""
        return FetchRecord(
            id=self.identifier,
            kind=self.kind,
            status="ok",
            path=str(self.path),
            bytes=receipt.bytes,
            sha256=receipt.sha256,
            url=receipt.url,
            error=None,
        )


def place_of(store: Path, kind: str, identifier: str, name: str) -> Path:
    """Return where the store keeps a file: no folder holds those of all entries."""
    return member_folder(store / "archive" / kind, identifier) / name


def wanted_map(identifier: str, settings: ArchiveSettings, store: Path) -> Wanted:
    """Return what to fetch for a map: STORE/archive/maps/88/emd_3488.map.gz."""
    identifier = urls.emdb_id(identifier)
    path = place_of(store, "maps", identifier, urls.map_file_name(identifier))
    return Wanted(identifier, "map", urls.map_urls(settings, identifier), path)


def wanted_model(identifier: str, settings: ArchiveSettings, store: Path) -> Wanted:
    """Return what to fetch for a model: STORE/archive/models/NI/5NI1.cif.gz."""
    identifier = urls.pdb_id(identifier)
    path = place_of(store, "models", identifier, urls.model_file_name(identifier))
    return Wanted(identifier, "model", urls.model_urls(settings, identifier), path)


def fetch(client: ArchiveClient, wanted: Wanted, refresh: bool = False) -> Fetched:
    """Bring a file into the store, unless it is there already.

    What has arrived of a download lies in FILE.part: a killed one goes on from there. A file gets
    its name, and then its receipt, only after all checks. A file that agrees with its receipt is
    kept unasked; one without (put there by hand, say) is kept if it is sound gzip; any other is
    fetched again. Two processes do not disturb each other: the second waits for the first and
    finds the work done.

    Parameters
    ----------
    refresh
        Ask the archive, though the store has the file, whether it changed, and take the new one.

    Raises
    ------
    RefusalError
        When the archive does not give a sound file; one that the store holds stays.
    ArchiveError
        When the archive cannot be reached now.
    CryosamuError
        When the disk is full, or the store cannot be written.
    """
    receipt = vouching_receipt(wanted.path)
    if receipt is not None and not refresh:
        return Fetched(wanted.had(receipt), downloaded=False)
    maximum_bytes = int(client.settings.maximum_map_gigabytes * 1e9)
    with PartialFile(wanted.path) as part:
        held = vouching_receipt(wanted.path) or _receipt_of_sound(wanted, maximum_bytes)
        if held is not None and not refresh:
            part.cut(0)
            return Fetched(wanted.had(held), downloaded=False)
        if held is None:
            wanted.path.unlink(missing_ok=True)
        # Other mirrors may lag behind: an older version must not replace the one that is held.
        addresses = wanted.addresses[:1] if held is not None else wanted.addresses
        try:
            arrival = download(client, addresses, part, maximum_bytes, held)
        except UnchangedError as unchanged:
            return Fetched(wanted.had(unchanged.held), downloaded=False)
        part.finish()
        receipt = write_receipt(
            wanted.path, urls.below_root(arrival.address), arrival.etag, arrival.last_modified
        )
    return Fetched(wanted.had(receipt), downloaded=True)


def _receipt_of_sound(wanted: Wanted, maximum_bytes: int) -> Receipt | None:
    """Return a new receipt of a file that has none, if it is a sound one."""
    if not wanted.path.is_file() or receipt_path(wanted.path).exists():
        return None
    try:
        check_gzip(wanted.path, wanted.addresses[0], maximum_bytes)
    except RefusalError:
        return None
    return write_receipt(wanted.path, urls.below_root(wanted.addresses[0]))
