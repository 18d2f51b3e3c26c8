"""Half maps: read, averaged, and an enhancement held against the half that it did not see.

A half map is signal and noise of its own: the FSC of the raw halves is S / (S + N) in each shell,
with powers S and N of a half. What is made of one half alone knows nothing of the other's noise, so
its FSC with the other, raw half is its correlation with the *signal* times √(S / (S + N)), and at
most √FSC of the raw halves (C_ref of P. B. Rosenthal & R. Henderson 2003, J. Mol. Biol. 333, 721).
The FSC of two enhanced halves is never taken: what a method adds to both agrees, and is no signal.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cryosamu.enhancement.trust.half_map_figures import (
    agreement_figures,
    crossings,
    digits,
    half_map_limit,
)
from cryosamu.errors import MapError
from cryosamu.evaluation.controls.fidelity import HALF_MAP_LEVEL, KEPT_SIGNAL, unsupported_power
from cryosamu.evaluation.map_fsc import MapFsc, map_fsc
from cryosamu.evaluation.masks import gaussian_blur
from cryosamu.volume.fourier import low_pass
from cryosamu.volume.io import read_map
from cryosamu.volume.volume import FloatArray, Volume

_SAME_GRID = 1e-3
"""Share of a voxel that voxel sizes, and Å that origins, of two halves may differ by."""

_SAME_MAP = 1 - 1e-6
_COARSE = 20.0
"""Å: halves of one map agree at what is coarser, and cannot be of opposite contrast there."""

_INVERTED = -0.3
_UNRELATED = 0.5
_SCALE_RATIO = 1.25
_EDGE = 0.2
"""Width of the low-pass filter's edge as a share of its frequency."""

_MASK_DETAIL = 12.0
"""Å: the mask is made from the averaged halves without finer detail."""

MEANING = (
    "A pass means that, shell by shell, the enhancement of one half is as much like the other raw "
    "half as the raw one is. It does not show that the enhancement of the averaged map, a map with "
    "less noise, errs no more; that what both halves have wrong alike (alignment, masks, preferred "
    "orientations) is right; or anything of what is finer than the halves agree."
)


def read_half_maps(first: Path | str, second: Path | str) -> tuple[Volume, Volume]:
    """Read the two half maps of one reconstruction.

    Raises
    ------
    MapError
        When a file is no map, or as `check_half_maps`.
    """
    halves = read_map(first), read_map(second)
    check_half_maps(halves, str(first), str(second))
    return halves


def check_half_maps(
    halves: tuple[Volume, Volume],
    first: str = "the first half map",
    second: str = "the second half map",
) -> None:
    """Refuse two maps that are not the halves of one reconstruction.

    Parameters
    ----------
    first, second
        What they are called in a sentence.

    Raises
    ------
    MapError
        When grids or places differ, both hold the same map (at any scale), one is constant, or one
        has the contrast of the other inverted.
    """
    one, two = halves
    names = f"{first} and {second}"
    if one.shape != two.shape:
        raise MapError(f"{names}: have grids of {one.shape} and {two.shape} voxels; give halves "
                       "of one reconstruction.")  # fmt: skip
    places = ((one.voxel_size, two.voxel_size, "voxel sizes"), (one.origin, two.origin, "origins"))
    for here, there, what in places:
        if not np.allclose(here, there, rtol=0, atol=_SAME_GRID):
            raise MapError(
                f"{names}: have different {what}, {_words(here)} and {_words(there)} Å; give "
                "halves of one reconstruction, or correct the header."
            )
    for path, half in zip((first, second), halves, strict=True):
        if half.data.min() == half.data.max():
            raise MapError(f"{path}: is constant; give a half map.")
    if abs(np.corrcoef(one.data.ravel(), two.data.ravel())[0, 1]) >= _SAME_MAP:
        raise MapError(f"{names}: hold the same map; two independent halves are needed.")
    if _coarse_agreement(halves) <= _INVERTED:
        raise MapError(
            f"{names}: the contrast of one is inverted (their coarse detail is anti-correlated); "
            "multiply it by -1."
        )


def averaged(halves: tuple[Volume, Volume], resolution: float | None = None) -> Volume:
    """Return the mean of the halves in the first one's frame, low-passed to the resolution.

    Raw halves hold noise of more power than their signal, to the finest detail of their voxels,
    and the networks, which know maps without it, make worse of it (`docs/confidence.md`).

    Parameters
    ----------
    resolution
        Reported resolution, Å; where the FSC of the halves falls below 0.143 where None.
    """
    first, second = halves
    mean = first.with_data((first.data + second.data) / np.float32(2))
    return _without_fine_noise(mean, resolution or half_map_resolution(halves))


def _without_fine_noise(volume: Volume, resolution: float | None) -> Volume:
    """Return a map low-passed to the resolution with a soft edge; as it is where there is none."""
    return volume if resolution is None else low_pass(volume, resolution, _EDGE)


def half_map_notes(halves: tuple[Volume, Volume]) -> list[str]:
    """Return in sentences what is out of the ordinary about two halves that could be read."""
    first, second = halves
    notes = []
    ratio = float(first.data.std(dtype=np.float64) / second.data.std(dtype=np.float64))
    if not 1 / _SCALE_RATIO <= ratio <= _SCALE_RATIO:
        notes.append(
            f"the first half map's values spread {ratio:.2f} times as wide as the second's: they "
            "were scaled or filtered differently, and their mean weights one more than the other."
        )
    agreement = _coarse_agreement(halves)
    if agreement < _UNRELATED:
        notes.append(
            f"the half maps hardly agree even in coarse detail (FSC {agreement:.2f}): they may not "
            "be halves of one reconstruction."
        )
    elif half_map_limit(map_fsc(first.data, second.data, first)) is None:
        notes.append(
            f"the FSC of the half maps stays above {HALF_MAP_LEVEL} to the finest detail that the "
            "voxels hold: they were masked alike, are not independent, or the voxels are coarse; "
            "what is found with them flatters."
        )
    return notes


def half_map_resolution(halves: tuple[Volume, Volume]) -> float | None:
    """Return Å where the FSC of two halves, unmasked, falls below 0.143; None where it does not."""
    return half_map_limit(map_fsc(halves[0].data, halves[1].data, halves[0]))


def guard(
    enhance_one: Callable[[Volume], Volume],
    halves: tuple[Volume, Volume],
    resolution: float | None = None,
    mask: Volume | None = None,
) -> dict[str, Any]:
    """Enhance each half alone and hold it against the other, raw one.

    Parameters
    ----------
    enhance_one
        Enhances one map; called with each half by itself, low-passed as `averaged` does.
    halves
        Raw and unmasked, as the reconstruction left them.
    resolution
        Reported resolution, Å: means are taken to it. Where None, to where the FSC of the raw
        halves falls below 0.143.
    mask
        0 to 1 on the halves' grid, the same for all curves; where None a soft one round what the
        averaged halves show. It must not come from the enhanced map.

    Returns
    -------
    JSON values: `passed` (None where the halves agree too little to tell), `sentence`, `meaning`,
    the `mask`, figures of the `raw` halves and of each half `first_enhanced` and
    `second_enhanced`, and the `curves`.

    Raises
    ------
    MapError
        When the enhancement or the mask is on another grid, or the mask is empty.
    """
    grid = halves[0]
    weights, source = _mask(halves, mask)
    masked = [half.data * weights for half in halves]
    raw = map_fsc(masked[0], masked[1], grid)
    limit = half_map_limit(raw)
    inside = max(resolution or limit or 0.0, 1 / float(raw.spatial_frequency[-1]))
    independent = raw.counts / 2 * float(weights.mean(dtype=np.float64))
    raw_figures = {
        **crossings(raw),
        "mean_fsc": digits(raw.mean(inside)),
        "unsupported_power": digits(unsupported_power(masked[0], grid, raw)),
    }
    curves: dict[str, MapFsc] = {"raw": raw}
    found: dict[str, dict[str, Any]] = {}
    for name, half, other in (
        ("first_enhanced", halves[0], masked[1]),
        ("second_enhanced", halves[1], masked[0]),
    ):
        made = enhance_one(_without_fine_noise(half, resolution or half_map_resolution(halves)))
        if made.shape != grid.shape:
            raise MapError(f"the enhanced half has a grid of {made.shape} voxels, not the half's.")
        data = made.data * weights
        curves[name] = map_fsc(data, other, grid)
        found[name] = agreement_figures(data, grid, curves[name], raw, inside, limit, independent)
    tellable = raw.mean(inside) >= HALF_MAP_LEVEL
    passed = all(one["gain"] >= KEPT_SIGNAL for one in found.values()) if tellable else None
    return {
        "passed": passed,
        "sentence": _sentence(passed, raw_figures, found, inside, limit),
        "meaning": MEANING,
        "definition": "FSC of an enhanced half with the other, raw one; never of two enhanced",
        "resolution": digits(inside),
        "half_map_resolution": None if limit is None else digits(limit),
        "mask": {"source": source, "share": digits(float(weights.mean(dtype=np.float64)))},
        "limit": KEPT_SIGNAL,
        "raw": raw_figures,
        **found,
        "curves": {
            "spatial_frequency": [digits(s) for s in raw.spatial_frequency],
            **{name: [digits(value) for value in curve.fsc] for name, curve in curves.items()},
        },
    }


def _sentence(
    passed: bool | None,
    raw: dict[str, Any],
    found: dict[str, dict[str, Any]],
    inside: float,
    limit: float | None,
) -> str:
    first, second = found["first_enhanced"], found["second_enhanced"]
    figures = (
        f"mean FSC of each enhanced half with the raw half that it did not see is "
        f"{first['mean_fsc']:.3f} and {second['mean_fsc']:.3f} to {inside:.1f} Å (raw halves "
        f"{raw['mean_fsc']:.3f})"
    )
    if passed is None:
        return f"The raw half maps agree too little to judge by: {figures}."
    verdict = (
        "The enhancement kept what the unseen half supports"
        if passed
        else "The enhancement lost signal or invented detail that the unseen half does not support"
    )
    lowered = max(first["lowered_shells"], second["lowered_shells"])
    parts = [figures, f"agreement fell in {lowered} of {first['shells']} shells"]
    if limit is not None:
        beyond = max(first["power_beyond_half_maps"], second["power_beyond_half_maps"])
        parts.append(
            f"{100 * beyond:.1f} % of its power is finer than {limit:.1f} Å, where the halves "
            "support nothing"
        )
    if first["above_perfect_map"] or second["above_perfect_map"]:
        parts.append("more agreement than a perfect map could have: the halves share noise")
    return f"{verdict}: {'; '.join(parts)}."


def _mask(halves: tuple[Volume, Volume], given: Volume | None) -> tuple[FloatArray, str]:
    """Return weights from 0 to 1, [nz, ny, nx], and where they come from."""
    from skimage.filters import threshold_otsu

    if given is not None:
        if given.shape != halves[0].shape:
            raise MapError(f"the mask has {given.shape} voxels, and the half maps have "
                           f"{halves[0].shape}.")  # fmt: skip
        if not given.data.any():
            raise MapError("the mask is empty; give one that is above 0 round the molecule.")
        return np.clip(given.data, 0, 1), "given"
    smooth = averaged(halves, max(_MASK_DETAIL, 4 * max(halves[0].voxel_size)))
    level = threshold_otsu(smooth.data.ravel())  # type: ignore[no-untyped-call]
    core = smooth.with_data((smooth.data > level).astype(np.float32))
    # Whole within about half the blur outside the core, and gone, softly, beyond twice of it.
    soft = np.clip(4 * gaussian_blur(core, _MASK_DETAIL / 2).data, 0, 1)
    source = f"soft, round the averaged raw halves low-passed to {_MASK_DETAIL:g} Å"
    return np.asarray(soft, np.float32), source


def _coarse_agreement(halves: tuple[Volume, Volume]) -> float:
    """Return the FSC of the halves over all that is coarser than 20 Å, at least the first shell."""
    first, second = halves
    curve = map_fsc(first.data, second.data, first)
    return curve.average(min(_COARSE, 1 / float(curve.spatial_frequency[0])))


def _words(values: tuple[float, ...]) -> str:
    return "(" + ", ".join(f"{value:.4g}" for value in values) + ")"
