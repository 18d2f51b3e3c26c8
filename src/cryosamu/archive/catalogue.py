"""The candidates: every released map in the window, with what the archives say about it."""

from __future__ import annotations

import csv
import io
import itertools
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd
from tqdm import tqdm

from cryosamu.archive import urls
from cryosamu.archive.answers import EmdbEntry, RcsbAnswer, RcsbEntry, SearchRow, check_answer
from cryosamu.archive.client import ArchiveClient, RefusalError
from cryosamu.config import CatalogueSettings
from cryosamu.errors import ArchiveError
from cryosamu.tables import CATALOGUE

_ROWS_A_PAGE = 500
_MODELS_A_QUESTION = 100
_UNREACHABLE_IN_A_ROW = 3
_NUCLEIC = frozenset({"DNA", "RNA", "NA-hybrid"})
_COUNTS = (
    "protein_entities",
    "nucleic_entities",
    "other_entities",
    "deposited_residues",
    "half_maps",
)


def build_catalogue(client: ArchiveClient, settings: CatalogueSettings) -> pd.DataFrame:
    """Ask the archives for all candidates and return them as a CATALOGUE table.

    One row a map, by rising EMDB id. A map with several models gets the first id in the
    archive's `fitted_pdbs`; a map whose list is empty keeps its row, without a model. Where the
    archives' records of an entry or model are missing or malformed, the fields that they would
    fill are null and a warning names the fault: one bad entry does not stop the rest.

    Raises
    ------
    ArchiveError
        When the search itself fails, or when the archive stops answering altogether.
    """
    found = search(client, settings)
    entries = read_entries(client, [row.emdb_id for row in found])
    chosen = {row.emdb_id: fitted_model(row) for row in found}
    models = read_models(client, sorted({model for model in chosen.values() if model}))
    rows = [
        _catalogue_row(row, chosen[row.emdb_id], entries.get(row.emdb_id), models) for row in found
    ]
    frame = pd.DataFrame(rows, columns=CATALOGUE.names)
    return frame.astype(dict.fromkeys(_COUNTS, "Int64"))


def search(client: ArchiveClient, settings: CatalogueSettings) -> list[SearchRow]:
    """Return all pages of the search, each entry once, by rising EMDB id.

    The archive lists obsolete entries too, without saying that they are released: left out here.
    """
    query = urls.search_query(settings)
    found: dict[str, SearchRow] = {}
    for page in itertools.count(1):
        url = urls.search_url(client.settings, query, _ROWS_A_PAGE, page, urls.SEARCH_FIELDS)
        listed = _read_page(client.text(url), url)
        fresh = {row.emdb_id: row for row in _sound_rows(listed, url) if row.emdb_id not in found}
        if listed and not fresh:
            raise RefusalError(f"{url}: page {page} repeats earlier pages; the paging is broken.")
        found.update(fresh)
        if len(listed) < _ROWS_A_PAGE:
            break
    released = [row for row in found.values() if row.current_status == "REL"]
    return sorted(released, key=lambda row: int(row.emdb_id.removeprefix("EMD-")))


def _read_page(text: str, url: str) -> list[dict[str, str]]:
    reader = csv.DictReader(io.StringIO(text), strict=True)
    try:
        columns = reader.fieldnames or []
        missing = [name for name in urls.SEARCH_FIELDS if name not in columns]
        if missing:
            raise RefusalError(f"{url}: the answer has no column '{missing[0]}'.")
        return list(reader)
    except csv.Error as error:
        raise RefusalError(f"{url}: the answer is not CSV ({error}).") from error


def _sound_rows(listed: list[dict[str, str]], url: str) -> list[SearchRow]:
    """Check the rows of a page: single bad ones are named and left out, not a page of them."""
    sound: list[SearchRow] = []
    faults: list[RefusalError] = []
    for number, row in enumerate(listed, 1):
        try:
            sound.append(check_answer(SearchRow, row, f"{url} row {number}"))
        except RefusalError as error:
            faults.append(error)
    if faults and not sound:
        raise faults[0]
    for fault in faults:
        _warn(fault)
    return sound


def fitted_model(row: SearchRow) -> str | None:
    """Return the PDB id that stands for a map: the first in the archive's list of fitted ones."""
    return row.fitted_pdbs[0] if row.fitted_pdbs else None


def read_entries(client: ArchiveClient, identifiers: Iterable[str]) -> dict[str, EmdbEntry]:
    """Return the records of EMDB entries; those that cannot be had are left out with a warning.

    Raises
    ------
    ArchiveError
        When several entries in a row get no answer at all: then the archive is down.
    """
    entries: dict[str, EmdbEntry] = {}
    unreachable = 0
    for identifier in tqdm(list(identifiers), desc="EMDB entries", unit="entry", disable=None):
        try:
            entries[identifier] = _read_entry(client, identifier)
            unreachable = 0
        except RefusalError as error:
            _warn(error)
            unreachable = 0
        except ArchiveError as error:
            unreachable += 1
            if unreachable >= _UNREACHABLE_IN_A_ROW:
                raise
            _warn(error)
    return entries


def _read_entry(client: ArchiveClient, identifier: str) -> EmdbEntry:
    url = urls.entry_url(client.settings, identifier)
    entry = check_answer(EmdbEntry, client.json(url), url)
    if entry.emdb_id != identifier:
        raise RefusalError(f"{url}: 'emdb_id' is {entry.emdb_id}, another entry's.")
    return entry


def read_models(client: ArchiveClient, identifiers: Sequence[str]) -> dict[str, RcsbEntry]:
    """Return RCSB's description of models, asked for in batches.

    Models that RCSB does not know, or describes in an unexpected way, are left out.
    """
    models: dict[str, RcsbEntry] = {}
    url = client.settings.rcsb_data
    for start in range(0, len(identifiers), _MODELS_A_QUESTION):
        batch = list(identifiers[start : start + _MODELS_A_QUESTION])
        question = {"query": urls.RCSB_QUERY, "variables": {"ids": batch}}
        answer = check_answer(RcsbAnswer, client.json(url, question), url)
        for value in answer.data.entries:
            try:
                model = check_answer(RcsbEntry, value, url)
            except RefusalError as error:
                _warn(error)
                continue
            models[model.rcsb_id.upper()] = model
    return models


def _catalogue_row(
    row: SearchRow,
    model_id: str | None,
    entry: EmdbEntry | None,
    models: dict[str, RcsbEntry],
) -> dict[str, Any]:
    values: dict[str, Any] = {
        "emdb_id": row.emdb_id,
        "pdb_id": model_id,
        "title": row.title,
        "method": row.structure_determination_method,
        "resolution": row.resolution,
        "resolution_method": row.resolution_method,
        "release_date": row.map_release_date and row.map_release_date[:10],
        "simulated": False,
    }
    if entry is not None:
        values |= {
            "map_file": entry.map.file,
            "map_kilobytes": entry.map.size_kbytes,
            "voxel_size": entry.voxel_size,
            "contour_level": entry.contour_level,
            "half_maps": entry.half_maps,
            "simulated": entry.simulated,
        }
    if model_id in models:
        values |= _polymers(models[model_id])
    return values


def _polymers(model: RcsbEntry) -> dict[str, Any]:
    """Count a model's polymer entities by kind, and its deposited residues over all copies."""
    entities = model.polymer_entities or []
    kinds = [entity.polymer.kind for entity in entities]
    proteins = kinds.count("Protein")
    nucleic = sum(kind in _NUCLEIC for kind in kinds)
    return {
        "polymer_types": ";".join(sorted(set(kinds))),
        "protein_entities": proteins,
        "nucleic_entities": nucleic,
        "other_entities": len(kinds) - proteins - nucleic,
        "deposited_residues": sum(
            entity.polymer.residues * len(entity.identifiers.asym_ids) for entity in entities
        ),
    }


def _warn(error: ArchiveError) -> None:
    tqdm.write(f"warning: {error}", file=sys.stderr)
