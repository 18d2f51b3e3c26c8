"""EMDB's search, page by page: which maps there are, and what the search says of each."""

from __future__ import annotations

import csv
import io
import itertools
import sys
from dataclasses import dataclass

from tqdm import tqdm

from cryosamu.archive import urls
from cryosamu.archive.answers import SearchRow, check_answer
from cryosamu.archive.client import ArchiveClient, RefusalError
from cryosamu.archive.snapshot import Snapshot
from cryosamu.errors import ArchiveError

_ROWS_A_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Listed:
    """A map as the search lists it; resolution and voxel size in Å, dates as YYYY-MM-DD.

    Attributes
    ----------
    models
        PDB ids of the models that EMDB names as fitted, in its order.
    half_map_files
        None where the search says nothing of half maps.
    """

    emdb_id: str
    title: str | None
    status: str | None
    method: str | None
    resolution: float | None
    resolution_method: str | None
    release_date: str | None
    revision_date: str | None
    obsolete_date: str | None
    voxel_size: float | None
    models: tuple[str, ...]
    half_map_files: tuple[str, ...]


def read_listing(client: ArchiveClient, snapshot: Snapshot, query: str) -> list[Listed]:
    """Return all pages of a search, each map once, by rising EMDB id.

    Pages that the snapshot holds are not asked for. Single malformed rows are left out with a
    warning that names them.

    Raises
    ------
    ArchiveError
        When a page cannot be had or trusted. A page that repeats rows of earlier ones means that
        the archive's list moved meanwhile, so that rows may be missing: all pages are forgotten.
    """
    found: dict[str, Listed] = {}
    questions: list[str] = []
    for page in itertools.count(1):
        url = urls.search_url(client.settings, query, _ROWS_A_PAGE, page, urls.SEARCH_FIELDS)
        questions.append(url)
        kept = snapshot.get(url)
        text, listed = client.read(url, _read_page) if kept is None else _read_page(kept)
        rows = {row.emdb_id: row for row in _sound_rows(listed, url)}
        if repeated := rows.keys() & found.keys():
            snapshot.forget(questions)
            raise ArchiveError(
                f"{url}: page {page} repeats {min(repeated)} of an earlier page; the list changed "
                "while it was read. Run again."
            )
        if kept is None:
            _name_empty_columns(listed, url)
            snapshot.put({url: text})
        found.update(rows)
        if len(listed) < _ROWS_A_PAGE:
            break
    return sorted(found.values(), key=lambda row: emdb_number(row.emdb_id))


def emdb_number(identifier: str) -> int:
    """Return the number in EMD-N."""
    return int(identifier.removeprefix("EMD-"))


def _read_page(text: str) -> tuple[str, list[dict[str, str]]]:
    """Return a page with its rows; raise ValueError for one that is no such table."""
    reader = csv.DictReader(io.StringIO(text), strict=True)
    try:
        columns = reader.fieldnames or []
        missing = [name for name in urls.REQUIRED_FIELDS if name not in columns]
        if missing:
            raise ValueError(f"has no column '{missing[0]}'")
        rows = list(reader)
        if rows and None in rows[-1].values() and not text.endswith("\n"):
            raise ValueError("is cut short")
        return text, rows
    except csv.Error as error:
        raise ValueError(f"is not CSV ({error})") from error


def _name_empty_columns(listed: list[dict[str, str]], url: str) -> None:
    for name in urls.SEARCH_FIELDS:
        if listed and name not in listed[0]:
            warn(f"{url}: the answer has no column '{name}'; it stays empty.")


def _sound_rows(listed: list[dict[str, str]], url: str) -> list[Listed]:
    """Check the rows of a page: single bad ones are named and left out, not a page of them."""
    sound: list[Listed] = []
    faults: list[RefusalError] = []
    for number, row in enumerate(listed, 1):
        try:
            sound.append(_listed(check_answer(SearchRow, row, f"{url} row {number}")))
        except RefusalError as error:
            faults.append(error)
    if faults and not sound:
        raise faults[0]
    for fault in faults:
        warn(fault)
    return sound


def _listed(row: SearchRow) -> Listed:
    return Listed(
        emdb_id=row.emdb_id,
        title=row.title,
        status=row.current_status and sys.intern(row.current_status),
        method=row.structure_determination_method
        and sys.intern(row.structure_determination_method),
        resolution=row.resolution,
        resolution_method=row.resolution_method and sys.intern(row.resolution_method),
        release_date=_day(row.map_release_date),
        revision_date=_day(row.update_date),
        obsolete_date=_day(row.obsolete_date),
        voxel_size=row.map_pixel_spacing_x,
        models=tuple(row.fitted_pdbs),
        half_map_files=tuple(row.half_map_filename),
    )


def _day(moment: str | None) -> str | None:
    return moment[:10] if moment else None


def warn(fault: object) -> None:
    """Name a fault that does not stop the rest."""
    tqdm.write(f"warning: {fault}", file=sys.stderr)
