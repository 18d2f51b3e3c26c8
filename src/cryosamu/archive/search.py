"""The part of EMDB's search that our client uses, answered from a folder of entry records.

Clauses joined by AND: `field:"value"`, `field:value` and `field:[low TO high]`, `*` for an open
end; both ends open ask whether there is a value. As in EMDB, obsolete entries have no status.
Whatever else Solr understands is refused rather than misread.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

Entry = Mapping[str, Any]


class QueryError(Exception):
    """A query, field or format that this small search does not know."""


def search_csv(folder: Path, query: str, parameters: Mapping[str, str]) -> str:
    """Return one page of the entries in `folder` that match `query`, as CSV.

    Parameters
    ----------
    folder
        Where the entries' records are: EMD-3488.json and so on. Unreadable ones are not listed.
    parameters
        `wt` (csv only), `fl` (comma-separated fields), `rows` and `page` (from 1).

    Raises
    ------
    QueryError
        Where the query or a parameter is not understood.
    """
    if parameters.get("wt") != "csv":
        raise QueryError("only wt=csv is served")
    fields = [_reader(name) for name in parameters.get("fl", "emdb_id").split(",")]
    rows = _positive(parameters.get("rows", "100"))
    page = _positive(parameters.get("page", "1"))
    matches = [_clause(text) for text in re.split(r"\s+AND\s+", query.strip())]
    found = [entry for entry in _entries(folder) if all(match(entry) for match in matches)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(parameters.get("fl", "emdb_id").split(","))
    for entry in found[(page - 1) * rows : page * rows]:
        writer.writerow(",".join(read(entry)) for read in fields)
    return text.getvalue()


def _entries(folder: Path) -> list[Entry]:
    entries: list[Entry] = []
    for path in sorted(folder.glob("EMD-*.json")):
        try:
            entry = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            continue
        if isinstance(entry, dict):
            entries.append(entry)
    return entries


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) == 0:
        raise QueryError(f"'{text}' is not a positive number")
    return int(text)


def _clause(text: str) -> Callable[[Entry], bool]:
    """Return the test that one clause of the query stands for."""
    found = re.fullmatch(r'(\w+):(?:"([^"]*)"|\[(\S+) TO (\S+)\]|([\w.-]+))', text)
    if found is None:
        raise QueryError(f"'{text}' is not understood")
    name, quoted, low, high, bare = found.groups()
    read = _reader(name)
    if low is None:
        wanted = bare if quoted is None else quoted
        return lambda entry: wanted in read(entry)
    if low == high == "*":
        return lambda entry: bool(read(entry))
    bounds = _bound(low, "-inf"), _bound(high, "inf")
    return lambda entry: any(bounds[0] <= value <= bounds[1] for value in _numbers(read(entry)))


def _bound(text: str, open_end: str) -> float:
    try:
        return float(open_end if text == "*" else text)
    except ValueError as error:
        raise QueryError(f"'{text}' is not a number") from error


def _numbers(values: Sequence[str]) -> list[float]:
    numbers = []
    for value in values:
        try:
            numbers.append(float(value))
        except ValueError:
            continue
    return numbers


def _reader(name: str) -> Callable[[Entry], list[str]]:
    """Return the function that reads all values of a search field from an entry's record."""
    if name == "xref_links":
        return _links
    if name == "current_status":
        return _status
    if name not in _PATHS:
        raise QueryError(f"the field '{name}' is not served")
    path = _PATHS[name]
    return lambda entry: values_at(entry, path)


_METHOD = ("structure_determination_list", "structure_determination")
_RECONSTRUCTION = (*_METHOD, "image_processing", "final_reconstruction")
_FITTED = ("crossreferences", "pdb_list", "pdb_reference", "pdb_id")
_PATHS: Mapping[str, tuple[str, ...]] = {
    "emdb_id": ("emdb_id",),
    "title": ("admin", "title"),
    "structure_determination_method": (*_METHOD, "method"),
    "resolution": (*_RECONSTRUCTION, "resolution", "valueOf_"),
    "resolution_method": (*_RECONSTRUCTION, "resolution_method"),
    "map_release_date": ("admin", "key_dates", "map_release"),
    "update_date": ("admin", "key_dates", "update"),
    "obsolete_date": ("admin", "key_dates", "obsolete"),
    "fitted_pdbs": _FITTED,
    "map_pixel_spacing_x": ("map", "pixel_spacing", "x", "valueOf_"),
    "half_map_filename": ("interpretation", "half_map_list", "half_map", "file"),
}


def _links(entry: Entry) -> list[str]:
    return ["pdb"] if values_at(entry, _FITTED) else []


def _status(entry: Entry) -> list[str]:
    codes = values_at(entry, ("admin", "current_status", "code", "valueOf_"))
    return [code for code in codes if code != "OBS"]


def values_at(part: Any, path: Sequence[str]) -> list[str]:
    """Return the texts at the end of a path of keys, through every item of lists on the way."""
    if isinstance(part, list):
        return [value for item in part for value in values_at(item, path)]
    if not path:
        return [] if part is None or isinstance(part, dict) else [str(part)]
    return values_at(part.get(path[0]), path[1:]) if isinstance(part, dict) else []
