"""The voxel size by what it makes of the particle: its mass, and the finest detail it can hold.

A wrong voxel size changes the volume of the particle, and so the mass of protein that the volume
amounts to, by its cube. As in `input_checks`, nothing is refused; bounds and what they come from:
`docs/input_checks.md`.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np

from cryosamu.enhancement.checks.input_checks import Finding
from cryosamu.enhancement.trust.confidence_evidence import coarse_map
from cryosamu.structure.contour import CUBIC_ANGSTROM_PER_DALTON, outline_level
from cryosamu.volume.volume import Volume

OUTLINE = 10.0
"""Å that the map is low-passed to for its outline: side chains, helices and noise are no more in
it, so that what it encloses depends little on the resolution, the sharpening and the noise."""

MASS_OFF = 2.0
"""Factor on the mass, either way, from which on the voxel size is doubted: 26 % of the latter."""

NO_PARTICLE = (5.0, 1e6)
"""kDa: less than any particle that a 4-8 Å map was made of, and more than the largest capsids."""

_MOST_WRONG = 4.0
"""Factor on the voxel size, either way, beyond which another is no explanation."""

_STEPS = 4
_NYQUIST_TOLERANCE = 0.01


@dataclass(frozen=True)
class Mass:
    """Protein that the map's density amounts to, kDa.

    Attributes
    ----------
    seen
        By the volume of the map's outline.
    at_contour
        By the volume at the level recommended for the map; None where none is known. The level is
        a matter of taste, so nothing is concluded from it.
    told
        What the particle was said to be; None where nothing was.
    """

    seen: float
    at_contour: float | None
    told: float | None

    def record(self) -> dict[str, float | None]:
        """Return it as plain JSON values."""
        return {f"{name}_kda": value for name, value in asdict(self).items()}


def mass_of(volume: Volume, contour: float | None = None, told: float | None = None) -> Mass | None:
    """Return the mass of protein that the map's density amounts to; None of a flat map.

    The outline is what Otsu's threshold tells from solvent after a low-pass to 10 Å; protein takes
    `CUBIC_ANGSTROM_PER_DALTON`.

    Parameters
    ----------
    contour
        Level recommended for the map, in its units.
    told
        Mass of the particle, kDa.
    """
    coarse = coarse_map(volume, OUTLINE)
    if not np.ptp(coarse.data) > 0:
        return None
    at_contour = None if contour is None else _protein(volume, contour)
    return Mass(_protein(coarse, outline_level(coarse.data)), at_contour, told)


def _protein(volume: Volume, level: float) -> float:
    """Return the mass, kDa, of protein that fills the voxels at or above the level."""
    voxels = int(np.count_nonzero(volume.data >= level))
    return voxels * math.prod(volume.voxel_size) / CUBIC_ANGSTROM_PER_DALTON / 1000


def voxel_size_by_mass(volume: Volume, mass: Mass) -> Finding | None:
    """Note a voxel size that makes the particle too light or too heavy.

    The value is the factor on the voxel size that would make the mass the told one or, where none
    was told and the mass is one that no particle has, the mass in kDa.
    """
    seen = f"the map's density amounts to {_written(mass.seen)} of protein"
    if mass.at_contour is not None:
        seen += f" ({_written(mass.at_contour)} at the given contour)"
    here = volume.voxel_size[0]
    if mass.told is None:
        least, most = NO_PARTICLE
        if least <= mass.seen <= most:
            return None
        amount, size = ("little", "small") if mass.seen < least else ("much", "large")
        return Finding(
            "mass",
            mass.seen,
            f"{seen}, which is too {amount} for a particle: the voxel size of {here:.3f} Å may be "
            f"too {size}, or this is no map of a particle. Its mass (--mass) would tell which "
            "voxel size is right.",
        )
    ratio = mass.seen / mass.told
    if 1 / MASS_OFF <= ratio <= MASS_OFF:
        return None
    factor = _right_size(volume, mass.seen, mass.told)
    other = (
        "a part of it is missing or too faint"
        if ratio < 1
        else "the box holds more than was weighed, such as neighbours, a micelle or noise"
    )
    if not 1 / _MOST_WRONG <= factor <= _MOST_WRONG:
        return Finding(
            "voxel_size",
            factor,
            f"{seen}, {ratio:.2g} times the {_written(mass.told)} that the particle was said to "
            f"have, which no voxel size near {here:.3f} Å explains: the mass is in kDa, not in "
            f"daltons. Or {other}.",
        )
    return Finding(
        "voxel_size",
        factor,
        f"{seen}, {ratio:.2g} times the {_written(mass.told)} that the particle was said to have: "
        f"the voxel size may be wrong, and about {factor * here:.2f} Å instead of {here:.3f} Å "
        f"right. Or {other}, or the mass is another.",
    )


def _right_size(volume: Volume, seen: float, told: float) -> float:
    """Return the factor on the voxel size that makes the mass of the outline the told one.

    The cube root of the masses' ratio, again and again: a low-pass to 10 Å tells another outline
    at another size.
    """
    factor: float = (told / seen) ** (1 / 3)
    for _ in range(_STEPS):
        x, y, z = (factor * size for size in volume.voxel_size)
        again = mass_of(Volume(volume.data, (x, y, z)))
        if again is None:
            break
        factor *= (told / again.seen) ** (1 / 3)
    return factor


def _written(mass: float) -> str:
    """Return a mass in kDa or MDa, with about as many digits as can be believed."""
    value, unit = (mass, "kDa") if mass < 999.5 else (mass / 1000, "MDa")
    return f"{value:.2g} {unit}" if value < 9.95 else f"{value:,.0f} {unit}"


def finer_than_voxels(volume: Volume, resolution: float) -> Finding | None:
    """Note a resolution that voxels of this size cannot hold (Shannon 1949, Nyquist's limit).

    The value is the factor on the voxel size from which downwards they could.

    Parameters
    ----------
    resolution
        As reported, Å.
    """
    coarsest = max(volume.voxel_size)
    factor = resolution / (2 * coarsest)
    if factor >= 1 - _NYQUIST_TOLERANCE:
        return None
    return Finding(
        "voxel_size",
        factor,
        f"the reported resolution of {resolution:g} Å is finer than the {2 * coarsest:.2f} Å that "
        f"voxels of {coarsest:.3f} Å can hold: either the resolution or the voxel size is wrong, "
        f"and the latter at most {resolution / 2:.2f} Å.",
    )
