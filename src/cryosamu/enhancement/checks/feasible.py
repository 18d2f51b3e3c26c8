"""What can be refused before the work: numbers that make no sense, or that the map cannot serve."""

from __future__ import annotations

import math

from cryosamu.enhancement.checks.mass_checks import NO_PARTICLE
from cryosamu.enhancement.trust.confidence import check_confidence
from cryosamu.errors import CryosamuError, MapError
from cryosamu.volume.volume import Volume


def check_numbers(
    resolution: float | None,
    low_pass: float | None,
    contour: float | None,
    mass: float | None = None,
) -> None:
    """Refuse numbers that no map could serve.

    Parameters
    ----------
    resolution, low_pass
        Å.
    contour
        In a map's units.
    mass
        kDa.

    Raises
    ------
    CryosamuError
        Naming the number.
    """
    if contour is not None and not math.isfinite(contour):
        raise CryosamuError(f"a contour of {contour:g} makes no sense; give a level of the map.")
    if mass is not None and not 1 <= mass <= NO_PARTICLE[1]:
        raise CryosamuError(
            f"a mass of {mass:g} kDa makes no sense; give kDa (thousands of daltons), 1 to 1000000."
        )
    for what, given in (("resolution", resolution), ("low-pass", low_pass)):
        if given is not None and not 0 < given <= 100:
            raise CryosamuError(f"a {what} of {given:g} Å makes no sense; give Å above 0.")


def check_map(
    volume: Volume, name: str, contour: float | None, confidence: bool, resolution: float | None
) -> None:
    """Refuse what this map cannot be asked for.

    Parameters
    ----------
    name
        What the map is called in a sentence.
    contour
        In the map's units.
    confidence
        Whether a confidence map is asked for.
    resolution
        As reported, Å.

    Raises
    ------
    MapError
        When the contour encloses nothing, or the voxels or the box cannot hold the resolution.
    """
    if contour is not None and contour > (highest := float(volume.data.max())):
        raise MapError(
            f"{name}: no voxel reaches the contour of {contour:g}, the highest is {highest:.4g}; "
            "give a level of this map."
        )
    if not confidence:
        return
    try:
        check_confidence(volume, resolution)
    except MapError as error:
        raise MapError(
            f"{name}: {str(error).removesuffix('.')}, or leave the confidence out "
            "(--no-confidence)."
        ) from error
