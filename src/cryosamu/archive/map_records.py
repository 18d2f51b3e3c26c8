"""The records of single EMDB entries: what the search does not say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tqdm import tqdm

from cryosamu.archive import urls
from cryosamu.archive.answers import EmdbEntry, check_answer, shape_of
from cryosamu.archive.client import ArchiveClient, RefusalError
from cryosamu.archive.listing import warn
from cryosamu.archive.snapshot import Snapshot
from cryosamu.errors import ArchiveError

_UNREACHABLE_IN_A_ROW = 3


@dataclass(frozen=True, slots=True)
class MapRecord:
    """An entry's record as far as the catalogue tells of it; sizes in 1000 bytes, unpacked.

    Attributes
    ----------
    dimensions
        (columns, rows, sections) of the map.
    half_maps
        File name and size of each.
    successors
        EMDB ids that took the place of an obsolete entry.
    """

    map_file: str | None
    map_kilobytes: float | None
    dimensions: tuple[int | None, int | None, int | None]
    voxel_size: float | None
    contour_level: float | None
    half_maps: tuple[tuple[str, float | None], ...]
    simulated: bool
    successors: tuple[str, ...]


def read_records(
    client: ArchiveClient, snapshot: Snapshot, identifiers: Iterable[str]
) -> dict[str, MapRecord]:
    """Return the records of EMDB entries; those that cannot be had are left out with a warning.

    Each is kept as it comes; one that could not be had is asked for again in the next run.

    Raises
    ------
    ArchiveError
        When several entries in a row get no answer at all: then the archive is down.
    """
    prefix = f"entry {shape_of(EmdbEntry)} "
    asked = list(identifiers)
    records = {
        question.removeprefix(prefix): _record(EmdbEntry.model_validate_json(text))
        for question, text in snapshot.get_many(prefix + one for one in asked)
    }
    missing = [one for one in asked if one not in records]
    unreachable = 0
    for identifier in tqdm(missing, desc="EMDB entries", unit="entry", disable=None):
        try:
            entry = _read_entry(client, identifier)
        except RefusalError as error:
            warn(error)
            unreachable = 0
        except ArchiveError as error:
            unreachable += 1
            if unreachable >= _UNREACHABLE_IN_A_ROW:
                raise
            warn(error)
        else:
            snapshot.put({prefix + identifier: entry.model_dump_json(by_alias=True)})
            records[identifier] = _record(entry)
            unreachable = 0
    return records


def _read_entry(client: ArchiveClient, identifier: str) -> EmdbEntry:
    url = urls.entry_url(client.settings, identifier)
    entry = check_answer(EmdbEntry, client.json(url), url)
    if entry.emdb_id != identifier:
        raise RefusalError(f"{url}: 'emdb_id' is {entry.emdb_id}, another entry's.")
    return entry


def _record(entry: EmdbEntry) -> MapRecord:
    dimensions = entry.map.dimensions
    return MapRecord(
        map_file=entry.map.file,
        map_kilobytes=entry.map.size_kbytes,
        dimensions=(dimensions.col, dimensions.row, dimensions.sec),
        voxel_size=entry.voxel_size,
        contour_level=entry.contour_level,
        half_maps=tuple((one.file, one.size_kbytes) for one in entry.half_maps),
        simulated=entry.simulated,
        successors=tuple(entry.successors),
    )
