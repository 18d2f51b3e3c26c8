"""Point-group symmetry of a map: where its axes meet, how well it holds, and putting it back.

The conventions are those of single-particle programs: the axis of a ring runs along z, the two-fold
of a dihedral group along x, the two- or four-folds of T, O and I along x, y and z (of I either
way), and the axes meet in the middle of the box. Which of the two middles of an even box is meant
differs between programs, so the map itself decides.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import product

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from cryosamu.errors import CryosamuError
from cryosamu.volume.volume import FloatArray, Volume

SPLINE_ORDER = 5
MAXIMUM_FOLD = 60
"""Larger rings than this are not known; it bounds the number of copies that are averaged."""

_LEAST_CORRELATION = 0.8
_JUDGED_EDGE = 64
_FEW = 4
_QUARTER_TURN = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])


@dataclass(frozen=True)
class Symmetry:
    """A point group in place.

    Attributes
    ----------
    name
        Schoenflies symbol: C4, D3, T, O, I.
    rotations
        float64 [operations, 3, 3], acting on column vectors (x, y, z); the first is the identity.
    centre
        (x, y, z) in Å, model frame: where the axes meet.
    """

    name: str
    rotations: NDArray[np.float64]
    centre: tuple[float, float, float]


def point_group(name: str) -> NDArray[np.float64]:
    """Return the rotations [operations, 3, 3] of C1, C2 …, D2, D3 …, T, O or I.

    Raises
    ------
    CryosamuError
        When the name is none of these.
    """
    text = name.strip().upper()
    ring = re.fullmatch(r"([CD])([1-9]\d*)", text)
    if text not in ("T", "O", "I") and not (ring and int(ring[2]) <= MAXIMUM_FOLD and text != "D1"):
        raise CryosamuError(
            f"the symmetry {name!r} is no point group known here; give C2-C{MAXIMUM_FOLD}, D2-"
            f"D{MAXIMUM_FOLD}, T, O or I."
        )
    rotations: NDArray[np.float64] = Rotation.create_group(text).as_matrix()  # type: ignore[arg-type]
    identity = int(np.abs(rotations - np.eye(3)).max(axis=(1, 2)).argmin())
    rotations = np.concatenate([rotations[[identity]], np.delete(rotations, identity, axis=0)])
    # Exact where they should be: 90° turns then take voxels to voxels.
    rotations[np.abs(rotations) < 1e-12] = 0.0
    return rotations


def find_symmetry(volume: Volume, name: str) -> Symmetry:
    """Return the group where the map shows it best: at one or the other middle of its box.

    Raises
    ------
    CryosamuError
        When the group is not known, or the map does not have that symmetry there.
    """
    rotations = point_group(name)
    # I has two-folds on the axes in two ways, a quarter turn apart.
    settings = [rotations, _QUARTER_TURN @ rotations @ _QUARTER_TURN.T][
        : 1 + (len(rotations) == 60)
    ]
    middles = [sorted({count // 2 + 0.0, (count - 1) / 2}) for count in reversed(volume.shape)]
    if np.allclose(rotations[:, 2, 2], 1):
        middles[2] = middles[2][:1]  # a ring about z lies at any height
    small = _smaller(volume)
    found = []
    for indices, setting in product(product(*middles), settings):
        x, y, z = volume.to_model_frame(np.array(indices)).tolist()
        symmetry = Symmetry(name.strip().upper(), setting, (x, y, z))
        found.append((_correlation(small, symmetry, _FEW), symmetry))
    symmetry = max(found, key=lambda pair: pair[0])[1]
    best = correlation_under(volume, symmetry)
    if best < _LEAST_CORRELATION:
        raise CryosamuError(
            f"the map does not have the symmetry {symmetry.name} about the middle of its box, axis "
            f"along z: turned on itself it correlates by {best:.2f}, and {_LEAST_CORRELATION:g} is "
            "asked. Give the right symmetry, or turn the map."
        )
    return symmetry


def _smaller(volume: Volume) -> Volume:
    """Return every nth voxel: enough to choose between two middles half a voxel apart."""
    step = max(1, round(volume.data.size ** (1 / 3) / _JUDGED_EDGE))
    smooth = scipy.ndimage.uniform_filter(volume.data, step) if step > 1 else volume.data
    x, y, z = (step * size for size in volume.voxel_size)
    shift = 0.0 if step % 2 else -0.5  # where the mean over an even window lies, in voxels
    origin = tuple(volume.to_model_frame(np.full(3, shift)).tolist())
    return Volume(np.ascontiguousarray(smooth[::step, ::step, ::step]), (x, y, z), origin)


def correlation_under(volume: Volume, symmetry: Symmetry) -> float:
    """Return the lowest Pearson correlation of the map with itself under any of the rotations.

    Taken over the voxels that every rotation keeps inside the box, of a large map over means of
    several voxels.
    """
    return _correlation(_smaller(volume), symmetry, len(symmetry.rotations))


def _correlation(volume: Volume, symmetry: Symmetry, most: int) -> float:
    """Return the lowest correlation under so many of the rotations at most."""
    inside = _inside_always(volume, symmetry)
    here = volume.data[inside]
    if here.size < 2 or here.std() == 0:
        return 0.0
    coefficients = _spline(volume)
    lowest = 1.0
    for rotation in symmetry.rotations[1 :: -(-len(symmetry.rotations) // most)]:
        there = _turned(volume, coefficients, rotation, symmetry.centre)[inside]
        lowest = min(lowest, float(np.corrcoef(here, there)[0, 1]))
    return lowest


def symmetrised(volume: Volume, symmetry: Symmetry) -> Volume:
    """Return the mean of the map's copies under all rotations of the group.

    Voxels that some rotation takes out of the box, near its corners, stay as they are. Rotations
    that take voxels to voxels (90° turns of a box with equal edges) are exact; others interpolate
    by splines of order 5.
    """
    inside = _inside_always(volume, symmetry)
    coefficients = _spline(volume)
    total = volume.data.astype(np.float64)
    for rotation in symmetry.rotations[1:]:
        total += _turned(volume, coefficients, rotation, symmetry.centre)
    total /= len(symmetry.rotations)
    return volume.with_data(np.where(inside, total, volume.data).astype(np.float32))


def _spline(volume: Volume) -> FloatArray:
    coefficients = np.empty_like(volume.data)
    # The stubs know no output array of float32; without one a copy in float64 is made.
    scipy.ndimage.spline_filter(volume.data, SPLINE_ORDER, output=coefficients)  # type: ignore[call-overload]
    return coefficients


def _affine(
    volume: Volume, rotation: NDArray[np.float64], centre: tuple[float, float, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return matrix and offset, in (k, j, i) indices, of where a turned map's voxels come from.

    The turned map at r holds the map at R⁻¹ (r − c) + c; indices are z y x, positions x y z.
    """
    size = np.array(volume.voxel_size)
    matrix = (rotation.T * size[None, :] / size[:, None])[::-1, ::-1]
    middle = volume.to_grid(np.array(centre))[::-1]
    return matrix, middle - matrix @ middle


def _turned(
    volume: Volume,
    coefficients: FloatArray,
    rotation: NDArray[np.float64],
    centre: tuple[float, float, float],
) -> FloatArray:
    matrix, offset = _affine(volume, rotation, centre)
    whole = np.allclose(matrix, np.rint(matrix), atol=1e-9) and np.allclose(
        offset, np.rint(offset), atol=1e-6
    )
    source, order = (volume.data, 0) if whole else (coefficients, SPLINE_ORDER)
    if whole:
        matrix, offset = np.rint(matrix), np.rint(offset)
    turned = np.empty_like(volume.data)
    scipy.ndimage.affine_transform(  # type: ignore[call-overload]
        source, matrix, offset, order=order, prefilter=False, mode="constant", output=turned
    )
    return turned


def _inside_always(volume: Volume, symmetry: Symmetry) -> NDArray[np.bool_]:
    """Return which voxels every rotation of the group takes from inside the box."""
    inside = np.ones(volume.shape, np.bool_)
    axes = [np.arange(count, dtype=np.float32) for count in volume.shape]
    for rotation in symmetry.rotations[1:]:
        matrix, offset = _affine(volume, rotation, symmetry.centre)
        for row, start, count in zip(matrix, offset, volume.shape, strict=True):
            place = (
                row[0] * axes[0][:, None, None]
                + row[1] * axes[1][:, None]
                + row[2] * axes[2]
                + start
            )
            inside &= (place > -1e-3) & (place < count - 1 + 1e-3)
    return inside
