"""The cube's 24 rotations and their groups of 4 and 8, as turns of arrays."""

from __future__ import annotations

from itertools import permutations, product
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Value = TypeVar("Value", bound=np.generic)

Rotation = tuple[tuple[int, int, int], tuple[bool, bool, bool]]
"""Which axis becomes the first, second, third, and which of these are then reversed."""


def rotations(count: int) -> list[Rotation]:
    """Return a group of 1, 4 (about z), 8 (also about axes across z) or 24 rotations.

    The identity comes first. Proteins are chiral: no mirror image is among them.

    Raises
    ------
    ValueError
        For another number.
    """
    proper: list[Rotation] = [
        ((i, j, k), (u, v, w))
        for i, j, k in permutations((0, 1, 2))
        for u, v, w in product((False, True), repeat=3)
        if _determinant((i, j, k), (u, v, w)) == 1
    ]
    groups: dict[int, list[Rotation]] = {
        1: [rotation for rotation in proper if rotation == ((0, 1, 2), (False,) * 3)],
        4: [(axes, flips) for axes, flips in proper if axes[0] == 0 and not flips[0]],
        8: [(axes, flips) for axes, flips in proper if axes[0] == 0],
        24: proper,
    }
    if count not in groups:
        raise ValueError(f"the cube has groups of 1, 4, 8 and 24 rotations here, not {count}")
    return groups[count]


def _determinant(axes: tuple[int, ...], flips: tuple[bool, ...]) -> int:
    matrix = np.zeros((3, 3))
    for row, (axis, flipped) in enumerate(zip(axes, flips, strict=True)):
        matrix[row, axis] = -1 if flipped else 1
    return round(float(np.linalg.det(matrix)))


def rotated(data: NDArray[Value], rotation: Rotation) -> NDArray[Value]:
    """Return a view of data [z, y, x] under a rotation."""
    axes, flips = rotation
    reversing = tuple(slice(None, None, -1) if flipped else slice(None) for flipped in flips)
    return data.transpose(axes)[reversing]


def rotated_back(data: NDArray[Value], rotation: Rotation) -> NDArray[Value]:
    """Undo `rotated`, as a view."""
    axes, flips = rotation
    reversing = tuple(slice(None, None, -1) if flipped else slice(None) for flipped in flips)
    return data[reversing].transpose(np.argsort(axes))
