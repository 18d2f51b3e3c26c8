"""From the split to the work lists of its pairs: which files, with which contents."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from cryosamu.archive.record import FetchRecord
from cryosamu.errors import CryosamuError
from cryosamu.files import require_file, sha256_of
from cryosamu.pairs import Pair, write_pairs
from cryosamu.tables import REPAIRED

PARTS = {"training": ("train", "validation"), "test": ("test",)}
"""Folder of work lists to the splits in it: what is learnt from, and what is judged."""


def deal_pairs(
    split: pd.DataFrame,
    maps: Mapping[str, FetchRecord],
    models: Mapping[str, FetchRecord],
    repaired: pd.DataFrame | None,
    folder: Path,
    shards: int,
) -> None:
    """Write FOLDER/training/SHARD.jsonl and FOLDER/test/SHARD.jsonl: each pair with its files.

    Parameters
    ----------
    split
        SPLIT table.
    maps, models
        Fetches by EMDB id and by PDB id.
    repaired
        REPAIRED table: the models that were moved.

    Raises
    ------
    CryosamuError
        When a pair's map or model is not there.
    """
    rows = split.astype(object).where(split.notna(), None).to_dict("records")
    columns = () if repaired is None else (repaired[name] for name in REPAIRED.names)
    moved = {emdb_id: (path, sha256) for emdb_id, _, path, sha256 in zip(*columns, strict=True)}
    pairs = [_pair(row, maps, models, moved) for row in rows]
    for part, splits in PARTS.items():
        write_pairs(folder / part, (pair for pair in pairs if pair.split in splits), shards)


def _pair(
    row: Mapping[Hashable, Any],
    maps: Mapping[str, FetchRecord],
    models: Mapping[str, FetchRecord],
    moved: Mapping[str, tuple[str, str]],
) -> Pair:
    emdb_id = str(row["emdb_id"])
    map_path, map_sum = _fetched(maps, emdb_id, "map")
    deposited, deposited_sum = _fetched(models, str(row["pdb_id"]), "model")
    model, model_sum = deposited, deposited_sum
    if row["repaired"]:
        if emdb_id not in moved:
            raise CryosamuError(
                f"{emdb_id}: its model is to be moved and is not among --repaired; move it with "
                "`cryosamu curate repair`."
            )
        model, model_sum = moved[emdb_id]
    return Pair(
        emdb_id=emdb_id,
        pdb_id=str(row["pdb_id"]),
        split=str(row["split"]),
        resolution=float(row["resolution"]),
        contour_level=row["contour_level"],
        simulated=bool(row["simulated"]),
        repaired=bool(row["repaired"]),
        map=map_path,
        map_sha256=map_sum,
        model=model,
        model_sha256=model_sum,
        deposited_model=deposited,
        deposited_sha256=deposited_sum,
    )


def _fetched(fetches: Mapping[str, FetchRecord], identifier: str, kind: str) -> tuple[str, str]:
    """Return the path and the checksum of a fetched file."""
    fetch = fetches.get(identifier)
    if fetch is None or fetch.status != "ok" or fetch.path is None:
        reason = "was not fetched" if fetch is None else f"could not be fetched: {fetch.error}"
        raise CryosamuError(f"the {kind} {identifier} {reason}; fetch it, or split without it.")
    path = require_file(fetch.path, kind)
    return fetch.path, fetch.sha256 or sha256_of(path)
