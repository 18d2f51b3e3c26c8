"""What the FSC of an enhanced half map with the other, raw half says, as JSON values."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryosamu.evaluation.controls.fidelity import HALF_MAP_LEVEL, KEPT_SIGNAL, unsupported_power
from cryosamu.evaluation.crossing import first_below
from cryosamu.evaluation.map_fsc import MapFsc, power_beyond
from cryosamu.volume.volume import FloatArray, Volume

_LOWERED = 0.05
"""Least FSC that a shell must lose to count as lowered."""

_SIGMAS = 3.0


def agreement_figures(
    made: FloatArray,
    grid: Volume,
    cross: MapFsc,
    raw: MapFsc,
    inside: float,
    limit: float | None,
    independent: NDArray[np.float64],
) -> dict[str, Any]:
    """Return what the FSC of an enhanced half with the other, raw one says.

    Parameters
    ----------
    made
        The enhanced half under the mask, [nz, ny, nx] on the grid of `grid`.
    cross, raw
        Its FSC with the other raw half, and that of the two raw halves, in the same shells.
    inside
        Å to which means and shells are taken.
    limit
        Å where `raw` falls below 0.143; None where it does not.
    independent
        [shells], about how many independent coefficients each has under the mask.
    """
    counted = raw.spatial_frequency <= 1 / inside
    ceiling = np.sqrt(np.clip(raw.fsc, 0, 1))
    # A correlation of n independent coefficients has a standard deviation of (1 - r²) / √n.
    allowed = np.maximum(_LOWERED, _SIGMAS * (1 - raw.fsc**2) / np.sqrt(independent))
    lowered = counted & (raw.fsc - cross.fsc > allowed)
    above = cross.mean(inside) - float(ceiling[counted].mean())
    return {
        **crossings(cross),
        "mean_fsc": digits(cross.mean(inside)),
        "gain": digits(cross.mean(inside) - raw.mean(inside)),
        "mean_fsc_of_perfect_map": digits(float(ceiling[counted].mean())),
        "above_perfect_map": bool(above > -KEPT_SIGNAL),
        "lowered_shells": int(lowered.sum()),
        "shells": int(counted.sum()),
        "lowered_ranges": _ranges(raw.spatial_frequency, lowered),
        "unsupported_power": digits(unsupported_power(made, grid, cross)),
        "power_beyond_half_maps": digits(power_beyond(made, grid, 1 / limit)) if limit else 0.0,
    }


def crossings(curve: MapFsc) -> dict[str, float | None]:
    """Return Å where a curve first falls below 0.143 and 0.5; None where it does not."""
    found = {}
    for name, level in (("d_0143", HALF_MAP_LEVEL), ("d_05", 0.5)):
        place = first_below(curve.spatial_frequency, curve.fsc, level)
        found[name] = None if place is None else digits(place.spacing)
    return found


def half_map_limit(curve: MapFsc) -> float | None:
    """Return Å where the FSC of raw halves falls below 0.143; None where it does not."""
    place = first_below(curve.spatial_frequency, curve.fsc, HALF_MAP_LEVEL)
    return None if place is None else place.spacing


def _ranges(frequency: NDArray[np.float64], chosen: NDArray[np.bool_]) -> list[list[float]]:
    """Return runs of shells as [coarsest, finest] Å."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], chosen, [False]]).astype(int)))
    return [
        [digits(1 / frequency[first]), digits(1 / frequency[end - 1])]
        for first, end in edges.reshape(-1, 2)
    ]


def digits(value: float) -> float:
    """Return a figure to four digits after the point."""
    return round(float(value), 4)
