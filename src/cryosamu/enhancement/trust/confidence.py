"""How far each voxel of an enhanced map may be believed: a calibrated confidence from 0 to 1.

The confidence is an estimate of the local correlation of the enhanced map with the density
calculated from a right model, made without one; `docs/confidence.md` says how well it does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.ndimage import affine_transform

from cryosamu.enhancement.trust.confidence_calibration import (
    DEFINITION,
    Calibration,
    read_calibration,
)
from cryosamu.enhancement.trust.confidence_evidence import (
    coarse_map,
    evidence_of,
    flat_voxels,
    local_correlation,
)
from cryosamu.enhancement.trust.half_maps import half_map_resolution
from cryosamu.errors import MapError
from cryosamu.evaluation.frame import check_not_constant, check_resolution
from cryosamu.volume.volume import FloatArray, Volume

DEFAULT_RESOLUTION = 6.0
"""Å, where none is given and no half maps tell: the middle of what the networks are made for."""

_MASKED_SHARE = 0.3
_BELIEVED = 0.5


@dataclass(frozen=True)
class Confidence:
    """How far an enhanced map may be believed.

    Attributes
    ----------
    volume
        0 to 1 on the grid and in the frame of the map that was enhanced; 0 where a mask left
        nothing of the map.
    record
        Plain JSON values: what it means, how it was made, and notes for whoever uses it.
    """

    volume: Volume
    record: dict[str, Any]


def check_confidence(volume: Volume, resolution: float | None) -> None:
    """Refuse, before the work, a map of which no confidence can be made.

    Parameters
    ----------
    volume, resolution
        As `confidence_map`.

    Raises
    ------
    MapError
        When the map's voxels or box cannot hold the resolution.
    """
    check_resolution(volume, _resolution(volume, resolution, None)[0])


def confidence_map(
    volume: Volume,
    enhanced: Volume,
    resolution: float | None = None,
    halves: tuple[Volume, Volume] | None = None,
    checkpoint_sha256: str | None = None,
    calibration: Calibration | None = None,
) -> Confidence:
    """Estimate how far each voxel of an enhanced map may be believed.

    Parameters
    ----------
    volume
        The map that was enhanced.
    enhanced
        The result on the same grid, not low-passed.
    resolution
        Reported resolution, Å. Where None, where the FSC of the half maps falls below 0.143, and
        without them 6 Å.
    halves
        The raw half maps on the same grid. They can only lower the confidence: to what the average
        of halves with this local correlation can have in common with the truth,
        √(2 CC / (1 + CC)) (Rosenthal & Henderson 2003), CC below 0 counting as 0.
    checkpoint_sha256
        Of the checkpoint that enhanced the map; the record says when the calibration is another's.
    calibration
        The packaged one where None.

    Raises
    ------
    MapError
        When grids differ, the map is constant, or the resolution does not suit the grid.
    CheckpointError
        When the packaged calibration cannot be read.
    """
    for other in (enhanced, *(halves or ())):
        if other.shape != volume.shape:
            raise MapError(
                f"a confidence map needs maps on one grid, not {volume.shape} and {other.shape} "
                "voxels; give half maps on the map's grid."
            )
    check_not_constant(volume.data)
    calibration = calibration or read_calibration()
    used, source = _resolution(volume, resolution, halves)
    check_resolution(volume, used)
    evidence = evidence_of(volume, enhanced, used)
    coarse = calibration.confidence(evidence.values)
    if halves is not None:
        coarse = np.minimum(coarse, half_map_bound(halves, used))
    flat = flat_voxels(volume)
    data = _interpolated(coarse, volume.shape)
    data[flat] = 0
    same = None if checkpoint_sha256 is None else checkpoint_sha256 == calibration.checkpoint_sha256
    mass = np.maximum(enhanced.data, 0)
    believed = mass[data >= _BELIEVED].sum(dtype=np.float64) / max(
        mass.sum(dtype=np.float64), float(np.finfo(np.float32).tiny)
    )
    record = {
        "meaning": DEFINITION,
        "resolution": round(used, 4),
        "resolution_from": source,
        "half_maps": halves is not None,
        "share_of_density_above_half": round(float(believed), 4),
        "calibration": {
            "checkpoint_sha256": calibration.checkpoint_sha256,
            "same_network": same,
            "data": calibration.data,
        },
        "notes": _notes(source, same, float(flat.mean())),
    }
    return Confidence(volume.with_data(data), record)


def half_map_bound(halves: tuple[Volume, Volume], resolution: float) -> FloatArray:
    """Return C_ref of the halves' local correlation on the coarse grid, [nz, ny, nx], 0 to 1."""
    first, second = (coarse_map(half, resolution) for half in halves)
    agreement = np.maximum(local_correlation(first, second, resolution), 0)
    return np.asarray(np.sqrt(2 * agreement / (1 + agreement)), np.float32)


def _resolution(
    volume: Volume, given: float | None, halves: tuple[Volume, Volume] | None
) -> tuple[float, str]:
    """Return the resolution to use, Å, and where it comes from."""
    if given is not None:
        return given, "given"
    nyquist, coarsest = 2 * max(volume.voxel_size), min(volume.box) / 2
    if halves is not None and (told := half_map_resolution(halves)) is not None:
        return float(np.clip(told, nyquist, coarsest)), "half maps"
    return float(np.clip(DEFAULT_RESOLUTION, nyquist, coarsest)), "default"


def _notes(source: str, same_network: bool | None, flat: float) -> list[str]:
    """Return what whoever uses the map should know, in sentences."""
    notes = []
    if source == "default":
        notes.append(
            f"no resolution was given: the confidence is one at {DEFAULT_RESOLUTION:g} Å; give "
            "--resolution or the half maps."
        )
    if same_network is False:
        notes.append(
            "the confidence was calibrated on the enhanced maps of another network than the one "
            "used here: its order may hold, its values need not."
        )
    if flat >= _MASKED_SHARE:
        notes.append(
            f"{flat:.0%} of the map was masked away and its noise with it: the confidence is "
            "nearer to 1 than it should be, and 0 where the mask left nothing."
        )
    return notes


def _interpolated(coarse: FloatArray, shape: tuple[int, int, int]) -> FloatArray:
    """Return values [nz, ny, nx] on another grid of the same periodic box, linearly."""
    steps = [old / new for old, new in zip(coarse.shape, shape, strict=True)]
    data = affine_transform(coarse, steps, output_shape=shape, order=1, mode="grid-wrap")
    return np.asarray(np.clip(data, 0, 1), np.float32)
