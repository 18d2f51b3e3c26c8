"""Whether a shift is one that a map's header makes people and programs forget.

Where voxel (0, 0, 0) lies is said twice in a header, by `origin` and by `nstart`, and some
programs read neither, or put the box's centre at zero. A model built in such a frame fits
perfectly, elsewhere; that is another thing than a poor fit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cryosamu.volume.volume import Volume

_TOLERANCE_VOXELS = 1.0
_SHORTEST_VOXELS = 3.0
"""An offset shorter than this explains nothing: any small shift would be near it."""


def explain_shift(volume: Volume, shift: tuple[float, float, float]) -> str | None:
    """Say in plain words which offset of the map's header a shift equals; None if it equals none.

    Parameters
    ----------
    shift
        (x, y, z) in Å that brings the model to where it fits.

    Returns
    -------
    str or None
        A clause such as ``it equals the map's header origin: the model was placed in the frame of
        voxel (0, 0, 0), as if that lay at zero``.
    """
    size = np.array(volume.voxel_size)
    for offset, words in _offsets(volume):
        long_enough = np.abs(offset / size).max() >= _SHORTEST_VOXELS
        if long_enough and np.abs((shift - offset) / size).max() <= _TOLERANCE_VOXELS:
            return words
    return None


def _offsets(volume: Volume) -> list[tuple[NDArray[np.float64], str]]:
    """Return offsets in Å (x, y, z), the likeliest first, each with what it would mean."""
    origin, start = np.array(volume.origin), _start(volume)
    by_nstart = volume.frame is not None and not any(volume.frame.origin)
    name = "nstart" if by_nstart else "header origin"
    half = np.array([count // 2 for count in volume.shape[::-1]]) * volume.voxel_size
    the, half_box = f"it equals the map's {name}", "it equals half the map's box"
    placed = "the model was placed"
    in_voxels = f"{placed} in the frame of voxel (0, 0, 0), as if that lay at zero"
    return [
        (origin, f"{the}: {in_voxels}"),
        (-origin, f"it equals minus the map's {name}: the model was moved by it once too often"),
        (origin - start, f"{the} minus its nstart: the two disagree, and {placed} by nstart"),
        (
            origin + half,
            f"it equals the place of the box's centre: {placed} as if that lay at zero",
        ),
        (-half, f"{half_box}: {placed} as if the box's corner were its centre"),
        (half, f"{half_box}: {placed} as if the box's centre were its corner"),
    ]


def _start(volume: Volume) -> NDArray[np.float64]:
    """Return nstart times the voxel size, (x, y, z) in Å."""
    if volume.frame is None:
        return np.zeros(3)
    places = dict(zip(volume.frame.axis_order, volume.frame.nstart, strict=True))
    return np.array([places[axis] for axis in (1, 2, 3)]) * volume.voxel_size
