"""A map-model pair as a line of a work list: all that what is made of it follows from."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from cryosamu.errors import CryosamuError
from cryosamu.files import require_checksum
from cryosamu.shards import read_work, write_work


@dataclass(frozen=True)
class Pair:
    """One pair of the data set, with its files.

    Attributes
    ----------
    resolution
        Reported, Å.
    contour_level
        The depositors', in the map's units; None where they gave none.
    map, map_sha256
        The deposited map's path, relative to the working directory or absolute, and checksum.
    model, model_sha256
        The model where it fits the map: as deposited, or moved there where `repaired`.
    deposited_model, deposited_sha256
        The model as deposited.
    """

    emdb_id: str
    pdb_id: str
    split: str
    resolution: float
    contour_level: float | None
    simulated: bool
    repaired: bool
    map: str
    map_sha256: str
    model: str
    model_sha256: str
    deposited_model: str
    deposited_sha256: str

    def arrived_map(self) -> Path:
        """Return the map's path, its content checked."""
        return require_checksum(self.map, self.map_sha256, "map")

    def arrived_model(self) -> Path:
        """Return the path of the model where it fits the map, its content checked."""
        return require_checksum(self.model, self.model_sha256, "model")

    def arrived_deposited_model(self) -> Path:
        """Return the path of the model as deposited, its content checked."""
        return require_checksum(self.deposited_model, self.deposited_sha256, "model")


_PAIRS = TypeAdapter(Pair)


def write_pairs(folder: Path, pairs: Iterable[Pair], shards: int) -> None:
    """Write FOLDER/SHARD.jsonl for every shard; empty ones too."""
    write_work(folder, (asdict(pair) for pair in pairs), shards)


def read_pairs(path: Path) -> list[Pair]:
    """Return the pairs of a work list, in its order.

    Raises
    ------
    CryosamuError
        When the file is no work list of pairs, a value is of a wrong type, no resolution is
        positive, or one pair is named twice.
    """
    names = [field.name for field in fields(Pair)]
    members = read_work(path, names)
    pairs = [
        _pair({name: member[name] for name in names}, f"{path} line {number}")
        for number, member in enumerate(members, 1)
    ]
    seen: set[str] = set()
    for pair in pairs:
        if pair.emdb_id in seen:
            raise CryosamuError(f"{path}: names {pair.emdb_id} twice; make the list anew.")
        seen.add(pair.emdb_id)
    return pairs


def _pair(values: dict[str, Any], place: str) -> Pair:
    try:
        pair = _PAIRS.validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        (name, *_), wrong = error.errors()[0]["loc"], error.errors()[0]["input"]
        raise CryosamuError(
            f"{place}: {name} is {wrong!r}, which is no value of its type; make the list anew."
        ) from None
    # json.loads takes NaN for a number.
    if not 0 < pair.resolution < math.inf:
        raise CryosamuError(
            f"{place}: a resolution of {pair.resolution:g} Å is none; make the list anew."
        )
    return pair
