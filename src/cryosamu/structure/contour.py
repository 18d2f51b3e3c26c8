"""Contour levels at which maps enclose the same volume, so that their surfaces compare."""

from __future__ import annotations

import gemmi
import numpy as np

from cryosamu.errors import MapError
from cryosamu.structure.model import Atoms
from cryosamu.volume.volume import FloatArray, Volume

CUBIC_ANGSTROM_PER_DALTON = 1.21
"""Volume of protein, from a partial specific volume of 0.73 cm³/g (Matthews 1968)."""

HYDROGEN_SHARE = 0.07
"""Hydrogens' share of a protein's mass; deposited models mostly leave them out."""

DRAWN_SHARE = 0.4
"""Share of the molecule's volume that drawn surfaces enclose: at 4–8 Å helices stand apart."""


def molecular_volume(atoms: Atoms) -> float:
    """Return the volume in Å³ that the molecule takes, from the mass of its heavy atoms."""
    weight_of = {number: gemmi.Element(int(number)).weight for number in set(atoms.atomic_numbers)}
    weights = np.array([weight_of[number] for number in atoms.atomic_numbers])
    heavy = float((weights * atoms.occupancies).sum())
    return heavy / (1 - HYDROGEN_SHARE) * CUBIC_ANGSTROM_PER_DALTON


def outline_level(values: FloatArray) -> float:
    """Return what Otsu's threshold tells from solvent, in a map's units.

    Otsu 1979 (IEEE Trans. Syst. Man Cybern. 9, 62-66), over the values' own range: a large offset
    would leave the histogram no room.

    Parameters
    ----------
    values
        Of a map, any shape; not all equal.
    """
    from skimage.filters import threshold_otsu

    least, extent = values.min(), float(np.ptp(values))
    level = threshold_otsu((values.ravel() - least) / np.float32(extent))  # type: ignore[no-untyped-call]
    return float(least) + extent * float(level)


def equal_volume_levels(volumes: list[Volume], enclosed: float) -> tuple[list[float], float]:
    """Return a level for each map so that all of them enclose the same volume.

    A voxel is enclosed when its value is at or above the level. Where one of the maps has less
    positive density than asked for, all are drawn at what that map has.

    Parameters
    ----------
    volumes
        Maps on one grid.
    enclosed
        Å³.

    Returns
    -------
    levels
        One a map, in its own units; each is positive.
    enclosed
        The volume that is enclosed by all of them, in Å³.

    Raises
    ------
    MapError
        When a map has no positive voxel.
    """
    voxel = float(np.prod(volumes[0].voxel_size))
    available = min(int((volume.data > 0).sum()) for volume in volumes)
    if available == 0:
        raise MapError("a map has no positive voxel around the model: no surface can be drawn.")
    count = int(np.clip(round(enclosed / voxel), 1, available))
    levels = []
    for volume in volumes:
        flat = volume.data.ravel()
        levels.append(float(np.partition(flat, flat.size - count)[flat.size - count]))
    return levels, count * voxel
