"""The candidates: every map in the window, with what the archives say about it and its model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from cryosamu.archive import urls
from cryosamu.archive.choice import Choice, choose_model
from cryosamu.archive.client import ArchiveClient, RefusalError
from cryosamu.archive.descriptions import models_of_maps, read_models
from cryosamu.archive.listing import Listed, emdb_number, read_listing, warn
from cryosamu.archive.map_records import MapRecord, read_records
from cryosamu.archive.model_answers import Model
from cryosamu.archive.snapshot import Snapshot
from cryosamu.config import Config, CurationSettings
from cryosamu.tables import CATALOGUE

_COUNTS = tuple(field.name for field in CATALOGUE if field.type == "int64")


def build_catalogue(client: ArchiveClient, config: Config, snapshot: Snapshot) -> pd.DataFrame:
    """Ask the archives for all candidates and return them as a CATALOGUE table.

    One row a map, by rising EMDB id. Obsolete maps, and maps whose models were all removed from
    the PDB, keep a row that says so under `exclusion`. Cheapest first: an entry's own record is
    asked for only where search and model let it through the curation's window and composition,
    unless `full_records` is "all".
    Where a record is missing or malformed, the fields that it would fill are null and a warning
    names the fault: one bad entry does not stop the rest.

    Raises
    ------
    ArchiveError
        When a search fails, or when an archive stops answering altogether. What was answered
        until then is in the snapshot.
    """
    released = read_listing(client, snapshot, urls.search_query(config.catalogue))
    listed = {row.emdb_id: row for row in released + _obsolete(client, config, snapshot)}
    maps = sorted(listed, key=emdb_number)
    current = [one for one in maps if _standing(listed[one]) is None]
    choices, models = _choose(client, snapshot, {one: listed[one].models for one in current})
    wanted = [
        one
        for one in maps
        if one not in choices
        or config.catalogue.full_records == "all"
        or _worth_asking(listed[one], choices[one], models, config.curation)
    ]
    records = read_records(client, snapshot, wanted)
    rows = [_row(listed[one], choices.get(one), models, records.get(one)) for one in maps]
    frame = pd.DataFrame(rows, columns=CATALOGUE.names)
    return frame.astype(dict.fromkeys(_COUNTS, "Int64"))


def _obsolete(client: ArchiveClient, config: Config, snapshot: Snapshot) -> list[Listed]:
    try:
        return read_listing(client, snapshot, urls.obsolete_query(config.catalogue))
    except RefusalError as error:
        warn(f"{error} Obsolete entries are left out without being named.")
        return []


def _standing(row: Listed) -> str | None:
    """Return why a listed map is none that may be used, or None if it may be."""
    if row.obsolete_date is not None:
        return f"Obsolete since {row.obsolete_date}"
    if row.status != "REL":
        return f"Not listed as released (status {row.status or 'unknown'})"
    return None


def _choose(
    client: ArchiveClient, snapshot: Snapshot, named: Mapping[str, Sequence[str]]
) -> tuple[dict[str, Choice], dict[str, Model]]:
    """Return for each map the model that stands for it, and all models."""
    identifiers = {one for names in named.values() for one in names}
    try:
        identifiers |= models_of_maps(client, snapshot, list(named))
    except RefusalError as error:
        warn(f"{error} Models that only RCSB knows of are left out.")
    models, replaced = read_models(client, snapshot, identifiers)
    more: dict[str, list[str]] = {}
    for model in sorted(models.values(), key=lambda one: one.pdb_id):
        for emdb_id in model.maps:
            more.setdefault(emdb_id, []).append(model.pdb_id)
    choices = {
        emdb_id: choose_model(
            emdb_id, [*dict.fromkeys([*names, *more.get(emdb_id, [])])], models, replaced
        )
        for emdb_id, names in named.items()
    }
    return choices, models


def _worth_asking(
    row: Listed, choice: Choice, models: Mapping[str, Model], settings: CurationSettings
) -> bool:
    """Return whether a map may pass curation, as far as search and model tell."""
    if choice.pdb_id is None or row.resolution is None:
        return False
    model = models.get(choice.pdb_id)
    mixed = model is not None and model.nucleic_entities > 0
    within = settings.resolution.minimum <= row.resolution <= settings.resolution.maximum
    return within and not (mixed and settings.composition.protein_only)


def _row(
    row: Listed, choice: Choice | None, models: Mapping[str, Model], record: MapRecord | None
) -> dict[str, Any]:
    values: dict[str, Any] = {
        "emdb_id": row.emdb_id,
        "pdb_ids": _joined(choice.pdb_ids if choice else row.models),
        "exclusion": _exclusion(row, choice, record),
        "title": row.title,
        "method": row.method,
        "resolution": row.resolution,
        "resolution_method": row.resolution_method,
        "release_date": row.release_date,
        "revision_date": row.revision_date,
        "voxel_size": row.voxel_size,
        "half_maps": len(row.half_map_files) or None,
        "half_map_files": _joined(row.half_map_files),
    }
    if record is not None:
        values |= _record_values(record)
    if choice is not None:
        values |= {
            "pdb_id": choice.pdb_id,
            "model_choice": choice.reason,
            "built_from_map": choice.built_from_map,
        }
        if choice.pdb_id is not None and choice.pdb_id in models:
            values |= _model_values(models[choice.pdb_id])
    return values


def _exclusion(row: Listed, choice: Choice | None, record: MapRecord | None) -> str | None:
    if choice is None:
        successors = ", ".join(record.successors) if record else ""
        after = f"; {successors} took its place." if successors else "."
        return f"{_standing(row)}{after}"
    return choice.reason if choice.pdb_id is None and row.models else None


def _record_values(record: MapRecord) -> dict[str, Any]:
    columns, rows, sections = record.dimensions
    sizes = [size for _, size in record.half_maps]
    values: dict[str, Any] = {
        "map_file": record.map_file,
        "map_kilobytes": record.map_kilobytes,
        "map_columns": columns,
        "map_rows": rows,
        "map_sections": sections,
        "contour_level": record.contour_level,
        "half_maps": len(record.half_maps),
        "half_map_files": _joined([name for name, _ in record.half_maps]),
        "half_map_kilobytes": sum(filter(None, sizes)) if all(sizes) and sizes else None,
        "simulated": record.simulated,
    }
    if record.voxel_size is not None:
        values["voxel_size"] = record.voxel_size
    return values


def _model_values(model: Model) -> dict[str, Any]:
    return {
        "model_revision_date": model.revision_date,
        "polymer_types": model.polymer_types,
        "protein_entities": model.protein_entities,
        "nucleic_entities": model.nucleic_entities,
        "other_entities": model.other_entities,
        "deposited_residues": model.deposited_residues,
        "modelled_residues": model.modelled_residues,
        "sequences": model.sequences,
    }


def _joined(values: Sequence[str]) -> str | None:
    return ";".join(values) or None
