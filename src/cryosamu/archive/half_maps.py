"""An entry's two half maps: named by its record, stored under names of ours."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from cryosamu.archive import urls
from cryosamu.archive.answers import EmdbEntry, check_answer
from cryosamu.archive.client import ArchiveClient, RefusalError
from cryosamu.archive.fetch import Wanted, place_of
from cryosamu.archive.record import FetchRecord
from cryosamu.config import ArchiveSettings

_KINDS: tuple[Literal["half_map_1", "half_map_2"], ...] = ("half_map_1", "half_map_2")


def wanted_half_maps(client: ArchiveClient, identifier: str, store: Path) -> list[Wanted]:
    """Ask for an entry's record and return what to fetch for its half maps.

    They go to STORE/archive/half_maps/88/emd_3488_half_map_1.map.gz, whatever the record calls
    them: a record that names another entry's file cannot put it in that one's place.

    Raises
    ------
    RefusalError
        When the record cannot be had, is another entry's, or does not name two half maps.
    """
    identifier = urls.emdb_id(identifier)
    url = urls.entry_url(client.settings, identifier)
    entry = check_answer(EmdbEntry, client.json(url), url)
    if entry.emdb_id != identifier:
        raise RefusalError(f"{url}: 'emdb_id' is {entry.emdb_id}, another entry's.")
    names = sorted(half.file for half in entry.half_maps)
    if len(names) != len(_KINDS):
        raise RefusalError(f"{url}: names {len(names)} half maps, not two.")
    return _wanted(client.settings, identifier, names, store)


def failed_half_maps(
    settings: ArchiveSettings, identifier: str, error: RefusalError
) -> list[FetchRecord]:
    """Return the records of half maps whose very names could not be had."""
    identifier = urls.emdb_id(identifier)
    names = [_file_name(identifier, kind) for kind in _KINDS]
    return [one.failed(error) for one in _wanted(settings, identifier, names, Path())]


def _wanted(
    settings: ArchiveSettings, identifier: str, names: list[str], store: Path
) -> list[Wanted]:
    return [
        Wanted(
            identifier,
            kind,
            urls.half_map_urls(settings, identifier, name),
            place_of(store, "half_maps", identifier, _file_name(identifier, kind)),
        )
        for kind, name in zip(_KINDS, names, strict=True)
    ]


def _file_name(identifier: str, kind: str) -> str:
    return urls.map_file_name(identifier).replace(".map.gz", f"_{kind}.map.gz")
