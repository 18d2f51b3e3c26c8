"""Controls 7 to 9: whether the output keeps to what was measured, and what it erases."""

from __future__ import annotations

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray
from skimage.filters import threshold_otsu

from cryosamu.evaluation.controls.kinds import kinds_near
from cryosamu.evaluation.controls.subject import (
    Detail,
    Outcome,
    Subject,
    not_applicable,
    verdict_of,
)
from cryosamu.evaluation.map_fsc import MapFsc, map_fsc, power_beyond
from cryosamu.volume.volume import FloatArray, Volume

KEPT_SIGNAL = -0.05
"""Mean FSC that an enhanced half map may lose against the other, raw one."""

SAME_INSIDE = 0.8
"""Mean FSC of output and input over the shells to the reported resolution."""

ERASED = 0.05
ERASED_OF_A_KIND = 0.2
"""Share of the density above contour that may vanish, in all and of one kind of molecule."""

HALF_MAP_LEVEL = 0.143
"""FSC of two half maps at which the resolution is read (Rosenthal & Henderson 2003)."""

_SEVEN = (
    "An enhanced half map agrees with the other raw half map as well as the raw one does: mean FSC "
    "to the reported resolution at most 0.05 lower"
)
_EIGHT = (
    "Inside the reported resolution the output is the input: mean FSC of the two over those shells "
    "is 0.8 or more"
)
_NINE = (
    "Of the input's density above contour at most 5 % vanishes, and at most 20 % of any kind of "
    "molecule"
)


def half_maps(subject: Subject) -> Outcome:
    """Control 7: FSC of the enhanced first half map with the raw second one.

    Never that of two enhanced halves as a resolution: what a method adds to both, agrees.
    """
    name = "half_maps"
    if subject.halves is None:
        return not_applicable(7, name, _SEVEN, "no half maps were given")
    first, second = (half.data for half in subject.halves)
    condition = subject.fullest
    made = subject.enhanced(first, condition)
    raw = map_fsc(first, second, subject.volume)
    cross = map_fsc(made, second, subject.volume)
    both = map_fsc(made, subject.enhanced(second, condition), subject.volume)
    before, after, apparent = (curve.mean(subject.resolution) for curve in (raw, cross, both))
    value = after - before
    detail: dict[str, Detail] = {
        "fsc_raw": before,
        "fsc_enhanced_with_raw": after,
        "fsc_two_enhanced_inflated": apparent,
        "unsupported_power": unsupported_power(made, subject.volume, cross),
    }
    reason = (
        f"mean FSC {after:.3f} (raw halves {before:.3f}); two enhanced halves would claim "
        f"{apparent:.3f}; {100 * float(detail['unsupported_power'] or 0):.0f} % of the output's "
        f"power is in shells where the raw half does not support it (FSC < {HALF_MAP_LEVEL})"
    )
    verdict = verdict_of(value >= KEPT_SIGNAL)
    return Outcome(7, name, verdict, value, KEPT_SIGNAL, _SEVEN, reason, detail)


def unsupported_power(made: FloatArray, grid: Volume, cross: MapFsc) -> float:
    """Return the share of an output's power from the first shell below 0.143 on.

    Parameters
    ----------
    made
        [nz, ny, nx] on the grid of `grid`.
    cross
        Its FSC with the half map that it was not made from.
    """
    below = np.flatnonzero(cross.fsc < HALF_MAP_LEVEL)
    if below.size == 0:
        return 0.0
    return power_beyond(made, grid, float(cross.spatial_frequency[below[0]]))


def inside_resolution(subject: Subject) -> Outcome:
    """Control 8: the low-passed output against the input, shell by shell."""
    made = subject.output(subject.fullest)
    curve = map_fsc(made, subject.volume.data, subject.volume)
    shells = _inside(curve, subject.resolution)
    value = curve.mean(subject.resolution)
    different = np.flatnonzero(shells < 0.9)
    detail: dict[str, Detail] = {
        "lowest_fsc": float(shells.min()),
        "same_to": float(1 / curve.spatial_frequency[different[0]]) if different.size else None,
    }
    reason = f"mean FSC {value:.3f}, lowest {shells.min():.3f} inside {subject.resolution:g} Å"
    verdict = verdict_of(value >= SAME_INSIDE)
    return Outcome(8, "inside_resolution", verdict, value, SAME_INSIDE, _EIGHT, reason, detail)


def _inside(curve: MapFsc, resolution: float) -> NDArray[np.float64]:
    return curve.fsc[curve.spatial_frequency <= 1 / resolution]


def erased_density(subject: Subject) -> Outcome:
    """Control 9: what the output no longer shows of the input's density above contour.

    Both maps are low-passed to the reported resolution and contoured at equal enclosed volume.
    Density counts as erased where the output's contour is farther than half the resolution: that
    rims move is what sharpening does.
    """
    name = "erased_density"
    before, after = (
        subject.smooth(data) for data in (subject.volume.data, subject.output(subject.fullest))
    )
    level = _level(subject, before)
    shown, left, far = _regions(before, after, level, subject)
    if not shown.any():
        return not_applicable(9, name, _NINE, "the map has no density above its contour level")
    lost = shown & far
    mass = before - min(level, 0.0)
    value = float(mass[lost].sum() / mass[shown].sum())
    detail: dict[str, Detail] = {
        "contour": level,
        "invented": _invented(after, left, shown, subject),
    }
    worst = 0.0
    if subject.structure is not None:
        for kind, near in kinds_near(subject.structure, subject.volume).items():
            total = float(mass[shown & near].sum())
            if total > 0:
                detail[f"erased_{kind}"] = share = float(mass[lost & near].sum()) / total
                worst = max(worst, share if kind != "unmodelled" else 0.0)
    verdict = verdict_of(value <= ERASED and worst <= ERASED_OF_A_KIND)
    reason = f"{100 * value:.1f} % of the density above {level:.3g} vanished"
    if verdict == "pass" and subject.outline_is_models:
        reason += "; the map was cut out round its model, so that little else could vanish"
    return Outcome(9, name, verdict, value, ERASED, _NINE, reason, detail)


def _level(subject: Subject, smooth: FloatArray) -> float:
    if subject.contour is not None:
        return subject.contour
    return float(threshold_otsu(smooth.ravel()))  # type: ignore[no-untyped-call]


def _regions(
    before: FloatArray, after: FloatArray, level: float, subject: Subject
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the input's voxels above contour, the output's, and what is far from the output's."""
    shown = before >= level
    place = after.size - max(int(shown.sum()), 1)
    left = after >= np.partition(after, place, axis=None)[place]
    return shown, left, _far_from(left, subject)


def _far_from(region: NDArray[np.bool_], subject: Subject) -> NDArray[np.bool_]:
    spacing = subject.volume.voxel_size[::-1]
    distance = scipy.ndimage.distance_transform_edt(~region, sampling=spacing)
    far: NDArray[np.bool_] = distance > subject.resolution / 2
    return far


def _invented(
    after: FloatArray, left: NDArray[np.bool_], shown: NDArray[np.bool_], subject: Subject
) -> float:
    """Return the share of the output's density above contour that is far from the input's."""
    mass = np.maximum(after, 0)
    total = float(mass[left].sum())
    return float(mass[left & _far_from(shown, subject)].sum()) / total if total > 0 else 0.0
