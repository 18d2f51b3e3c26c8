"""A candidate as the catalogue knows it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import pandas as pd

from cryosamu.errors import CryosamuError


@dataclass(frozen=True)
class Entry:
    """One row of the catalogue, as far as curation needs it; None where the archive is silent.

    Attributes
    ----------
    resolution
        Reported, Å.
    protein_entities, nucleic_entities, other_entities
        Polymer entities of the PDB entry by kind; copies of a chain count once.
    deposited_residues
        Length of the deposited sequences over all polymer chains, copies included.
    map_kilobytes
        Size of the uncompressed map, 1000 bytes.
    exclusion
        Why the entry is none to use, such as an obsolete one.
    """

    emdb_id: str
    pdb_id: str | None
    method: str | None
    resolution: float | None
    protein_entities: int | None
    nucleic_entities: int | None
    other_entities: int | None
    deposited_residues: int | None
    map_file: str | None
    map_kilobytes: float | None
    contour_level: float | None
    simulated: bool | None
    exclusion: str | None = None


def entries_of(catalogue: pd.DataFrame) -> dict[str, Entry]:
    """Return the entries of a CATALOGUE table by EMDB id, in its order.

    Raises
    ------
    CryosamuError
        When an EMDB id is listed twice.
    """
    twice = catalogue["emdb_id"][catalogue["emdb_id"].duplicated()]
    if len(twice):
        raise CryosamuError(f"the catalogue lists {twice.iloc[0]} twice; build it again.")
    names = [field.name for field in fields(Entry)]
    rows = catalogue[names].to_dict("records")
    return {row["emdb_id"]: Entry(**{key: _known(row[key]) for key in names}) for row in rows}


def _known(value: Any) -> Any:
    return None if pd.isna(value) else value


def emdb_number(emdb_id: str) -> int:
    """Return the number in EMD-N, by which entries are ordered: older entries have lower ones."""
    return int(emdb_id.removeprefix("EMD-"))
