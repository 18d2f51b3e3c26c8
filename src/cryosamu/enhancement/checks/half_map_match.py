"""Whether a map was made from the half maps that are given with it.

A half is signal and noise of its own, the map the mean of both: with each half it shares the signal
and, in part, that half's noise, so that in every shell its FSC with each half is at least that of
the halves with each other. Filters and sharpening do not change an FSC; a mask only takes noise.
"""

from __future__ import annotations

import numpy as np

from cryosamu.enhancement.trust.half_map_figures import half_map_limit
from cryosamu.errors import MapError
from cryosamu.evaluation.map_fsc import MapFsc, map_fsc
from cryosamu.volume.volume import Volume

_SAME_MAP = 1 - 1e-6
_COARSE = 20.0
"""Å: a map agrees with its halves at what is coarser, however it was filtered or masked."""

_UNRELATED = 0.5
_LESS = 0.1
"""FSC that a map's agreement with a half may lie below what is expected of it."""


def check_map_of_halves(
    volume: Volume, halves: tuple[Volume, Volume], name: str, forced: bool = False
) -> list[str]:
    """Refuse a map that its half maps have nothing to do with, or that is one of them.

    Parameters
    ----------
    volume, halves
        On one grid.
    name
        What the map is called in a sentence.
    forced
        Says it in a note instead.

    Returns
    -------
    Sentences: what is out of the ordinary.

    Raises
    ------
    MapError
        When the map is a half map, one half map is the map, or they are of different things.
    """
    cross = [map_fsc(volume.data, half.data, volume) for half in halves]
    raw = map_fsc(halves[0].data, halves[1].data, volume)
    fault = _fault(volume, halves, cross, raw)
    if fault is not None:
        sentence = f"{name}: {fault}; give the map that was made from these half maps"
        if not forced:
            raise MapError(f"{sentence}, or the half maps alone.")
        return [f"{sentence}."]
    below = _expected(raw) - max(_means(cross, raw))
    if below > _LESS:
        return [
            f"the map agrees less with each half map (mean FSC {max(_means(cross, raw)):.2f}) than "
            f"they with each other ({_expected(raw):.2f}): it was low-passed, or "
            "changed by more than filters and masks."
        ]
    return []


def _fault(
    volume: Volume, halves: tuple[Volume, Volume], cross: list[MapFsc], raw: MapFsc
) -> str | None:
    """Return what is wrong, if anything is."""
    for which, half in zip(("first", "second"), halves, strict=True):
        if np.corrcoef(volume.data.ravel(), half.data.ravel())[0, 1] >= _SAME_MAP:
            return f"holds the same as the {which} half map"
    coarse = min(_coarse(curve) for curve in cross)
    if coarse < min(_UNRELATED, _coarse(raw) - _LESS):
        return (
            f"has little to do with the half maps even in coarse detail (FSC {coarse:.2f}, and of "
            f"the half maps {_coarse(raw):.2f})"
        )
    low, high = sorted(_means(cross, raw))
    if _expected(raw) - low > _LESS and high - low > _LESS:
        which = "first" if _means(cross, raw)[0] == low else "second"
        return (
            f"agrees less with the {which} half map (mean FSC {low:.2f}) than the two half maps "
            f"with each other ({_expected(raw):.2f}), as if it were a half map itself and the "
            "other one the whole map"
        )
    return None


def _expected(raw: MapFsc) -> float:
    return raw.mean(_limit(raw))


def _means(cross: list[MapFsc], raw: MapFsc) -> list[float]:
    return [curve.mean(_limit(raw)) for curve in cross]


def _limit(raw: MapFsc) -> float:
    """Return Å to which means are taken: where the halves stop to agree, at least one shell."""
    finest, coarsest = 1 / float(raw.spatial_frequency[-1]), 1 / float(raw.spatial_frequency[0])
    return min(half_map_limit(raw) or finest, coarsest)


def _coarse(curve: MapFsc) -> float:
    return curve.average(min(_COARSE, 1 / float(curve.spatial_frequency[0])))
