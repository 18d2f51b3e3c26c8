"""How much density the middle of a map holds."""

from __future__ import annotations

import math

import numpy as np

from cryosamu.volume.volume import Volume


def density_of_middle(volume: Volume) -> float | None:
    """Return the mean density of the middle over that of the shell around it.

    The middle is what lies within half the radius of gyration of the positive density, the shell
    what lies within a quarter of that radius of it. None where there is nothing to compare.
    """
    # By planes and by sums along each axis: squared distances add up, and little memory is needed.
    along = [np.zeros(count) for count in volume.shape]
    for place, plane in enumerate(volume.data):
        density = np.maximum(plane, 0)
        along[1] += density.sum(axis=1, dtype=np.float64)
        along[2] += density.sum(axis=0, dtype=np.float64)
        along[0][place] = density.sum(dtype=np.float64)
    total = along[0].sum()
    if total <= 0:
        return None
    squares = []
    for one, size in zip(along, reversed(volume.voxel_size), strict=True):
        places = np.arange(len(one)) * size
        squares.append((places - (one * places).sum() / total) ** 2)
    gyration = math.sqrt(
        sum(float((one * off).sum()) for one, off in zip(along, squares, strict=True)) / total
    )
    held, counts = np.zeros(2), np.zeros(2, np.int64)
    across = squares[1][:, None] + squares[2]
    for plane, off in zip(volume.data, squares[0], strict=True):
        if off >= (gyration * 5 / 4) ** 2:
            continue
        radius = np.sqrt(off + across)
        parts = (radius < gyration / 2, np.abs(radius - gyration) < gyration / 4)
        for which, part in enumerate(parts):
            held[which] += np.maximum(plane[part], 0).sum(dtype=np.float64)
            counts[which] += np.count_nonzero(part)
    if counts.min() == 0 or held[1] <= 0:
        return None
    middle, shell = held / counts
    return float(middle / shell)
