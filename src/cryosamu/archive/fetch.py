"""Maps and models into the store that all configurations share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cryosamu.archive import urls
from cryosamu.archive.client import ArchiveClient, RefusalError
from cryosamu.archive.download import check_gzip, download
from cryosamu.archive.record import FetchRecord
from cryosamu.config import ArchiveSettings
from cryosamu.files import sha256_of


@dataclass(frozen=True)
class Fetched:
    """The record of a fetch, and whether the archive had to be asked for it."""

    record: FetchRecord
    downloaded: bool


@dataclass(frozen=True)
class Wanted:
    """A file of the archive: its mirrors, and its place in the store."""

    identifier: str
    kind: Literal["map", "model"]
    addresses: Sequence[str]
    path: Path

    def failed(self, error: RefusalError) -> FetchRecord:
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


def wanted_map(identifier: str, settings: ArchiveSettings, store: Path) -> Wanted:
    """Return what to fetch for a map: STORE/archive/maps/emd_3488.map.gz."""
    identifier = urls.emdb_id(identifier)
    path = store / "archive" / "maps" / urls.map_file_name(identifier)
    return Wanted(identifier, "map", urls.map_urls(settings, identifier), path)


def wanted_model(identifier: str, settings: ArchiveSettings, store: Path) -> Wanted:
    """Return what to fetch for a model: STORE/archive/models/5NI1.cif.gz."""
    identifier = urls.pdb_id(identifier)
    path = store / "archive" / "models" / urls.model_file_name(identifier)
    return Wanted(identifier, "model", urls.model_urls(settings, identifier), path)


def fetch(client: ArchiveClient, wanted: Wanted, known: FetchRecord | None = None) -> Fetched:
    """Bring a file into the store, unless it is there already.

    A file that agrees with `known` in length and SHA-256 is kept. Without a record, a file in
    the store is kept if it is sound gzip: it got its name only after all checks. Any other file
    is fetched again.

    Parameters
    ----------
    known
        The record of an earlier fetch of the same file, if there is one.

    Raises
    ------
    RefusalError
        When the archive does not give a sound file.
    ArchiveError
        When the archive cannot be reached now.
    """
    maximum_bytes = int(client.settings.maximum_map_gigabytes * 1e9)
    url = known.url if known is not None else urls.below_root(wanted.addresses[0])
    if wanted.path.is_file():
        record = _record_of(wanted, url)
        if _is_trusted(record, wanted, known, maximum_bytes):
            return Fetched(record, downloaded=False)
        wanted.path.unlink()
    address = download(client, wanted.addresses, wanted.path, maximum_bytes)
    return Fetched(_record_of(wanted, urls.below_root(address)), downloaded=True)


def _is_trusted(
    record: FetchRecord, wanted: Wanted, known: FetchRecord | None, maximum_bytes: int
) -> bool:
    if known is not None and known.status == "ok" and known.id == record.id:
        return (known.bytes, known.sha256) == (record.bytes, record.sha256)
    try:
        check_gzip(wanted.path, wanted.addresses[0], maximum_bytes)
    except RefusalError:
        return False
    return True


def _record_of(wanted: Wanted, url: str) -> FetchRecord:
    return FetchRecord(
        id=wanted.identifier,
        kind=wanted.kind,
        status="ok",
        path=str(wanted.path),
        bytes=wanted.path.stat().st_size,
        sha256=sha256_of(wanted.path),
        url=url,
        error=None,
    )
