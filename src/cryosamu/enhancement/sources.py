"""What an enhancement is made from, read from files or taken as it is in memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import gemmi

from cryosamu.enhancement.checks.fit import check_mask, read_mask
from cryosamu.enhancement.checks.half_map_match import check_map_of_halves
from cryosamu.enhancement.structure import Model, name_of, structure_of
from cryosamu.enhancement.trust.half_maps import (
    averaged,
    check_half_maps,
    half_map_notes,
    read_half_maps,
)
from cryosamu.errors import CryosamuError, MapError
from cryosamu.volume.io import read_map
from cryosamu.volume.volume import Volume

Map = Path | str | Volume
"""A map's file, or the map in memory."""

_SAME_GRID = 1e-2
"""Å that the origins, and a thousandth of it that the voxel sizes, of one grid may differ by."""


@dataclass(frozen=True)
class Sources:
    """Maps and model in memory.

    Attributes
    ----------
    volume
        The map to be enhanced: the given one, or the mean of the half maps.
    halves
        On the same grid.
    structure
        In the map's frame.
    mask
        On the map's grid, 0 to 1.
    map_name, model_name
        What they are called in a sentence.
    notes
        Sentences about the half maps.
    """

    volume: Volume
    halves: tuple[Volume, Volume] | None
    structure: gemmi.Structure | None
    mask: Volume | None
    map_name: str
    model_name: str
    notes: tuple[str, ...] = ()


def read_sources(
    volume: Map | None,
    structure: Model | None,
    half_maps: tuple[Map, Map] | None,
    mask: Map | None,
    resolution: float | None = None,
    force: bool = False,
) -> Sources:
    """Read what is given as a file, and check that maps belong together.

    Parameters
    ----------
    resolution
        As reported, Å; the mean of half maps is low-passed to it where no map is given.
    force
        Makes a note of a map that was not made from the half maps.

    Raises
    ------
    CryosamuError
        When there is no map, a file cannot be used, or maps do not belong together.
    """
    halves = None if half_maps is None else _halves(*half_maps)
    if volume is None and halves is None:
        raise CryosamuError("there is no map to enhance: give one, or two half maps.")
    if volume is not None:
        given, name = _read(volume), _name(volume)
    else:
        assert halves is not None
        assert half_maps is not None
        given, name = averaged(halves, resolution), _name(half_maps[0])
    if halves is not None and not _same_grid(given, halves[0]):
        raise MapError(
            f"{name}: is on another grid than the half maps; give the map that was made from them, "
            "or the half maps alone."
        )
    notes = []
    if halves is not None:
        notes += half_map_notes(halves)
        if volume is not None:
            notes += check_map_of_halves(given, halves, name, force)
    return Sources(
        given,
        halves,
        None if structure is None else structure_of(structure),
        _mask(mask, given),
        name,
        "the model" if structure is None else name_of(structure),
        tuple(notes),
    )


def _halves(first: Map, second: Map) -> tuple[Volume, Volume]:
    if isinstance(first, Volume) and isinstance(second, Volume):
        check_half_maps((first, second))
        return first, second
    if isinstance(first, Volume) or isinstance(second, Volume):
        raise CryosamuError("give both half maps as files, or both in memory.")
    return read_half_maps(first, second)


def _mask(mask: Map | None, volume: Volume) -> Volume | None:
    if isinstance(mask, Volume):
        return check_mask(mask, volume, "the mask")
    return None if mask is None else read_mask(mask, volume)


def _read(volume: Map) -> Volume:
    return volume if isinstance(volume, Volume) else read_map(volume)


def _name(volume: Map) -> str:
    return "the map" if isinstance(volume, Volume) else str(volume)


def _same_grid(one: Volume, other: Volume) -> bool:
    pairs = zip((*one.origin,), (*other.origin,), strict=True)
    sizes = zip(one.voxel_size, other.voxel_size, strict=True)
    return (
        one.shape == other.shape
        and all(abs(a - b) < _SAME_GRID for a, b in pairs)
        and all(abs(a / b - 1) < _SAME_GRID / 10 for a, b in sizes)
    )
