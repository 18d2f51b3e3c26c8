"""A map in blocks: what each holds, how far it lies from others, and values between their centres.

Plane by plane and by whole rows, so that each voxel is fetched from memory once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryosamu.volume.volume import FloatArray

Edges = tuple[int, int, int]
Box = tuple[slice, slice, slice]


def block_statistics(data: FloatArray, edges: Edges) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the highest and lowest voxel and the mean of each block, float32 [blocks z, y, x].

    Parameters
    ----------
    data
        float32 [nz, ny, nx].
    edges
        Voxels of a block along z, y, x; the last blocks hold what is left.
    """
    depth, height, width = edges
    counts = [
        _lengths(length, edge).astype(np.float32)
        for length, edge in zip(data.shape, edges, strict=True)
    ]
    area = counts[1][:, None] * counts[2]
    highest, lowest, means = (np.empty([len(one) for one in counts], np.float32) for _ in range(3))
    for row, start in enumerate(range(0, len(data), depth)):
        planes = data[start : start + depth]
        for ufunc, found in ((np.maximum, highest), (np.minimum, lowest), (np.add, means)):
            plane = planes[0].copy()
            for other in planes[1:]:
                ufunc(plane, other, out=plane)
            rows = _folded(ufunc, plane, height)
            found[row] = _folded(ufunc, rows.T, width).T
        means[row] /= area * counts[0][row]
    return highest, lowest, means


def _folded(ufunc: np.ufunc, data: FloatArray, edge: int) -> FloatArray:
    """Return what a ufunc makes of every `edge` rows, the last of which may be fewer."""
    result = data[::edge].copy()
    for place in range(1, edge):
        part = data[place::edge]
        ufunc(result[: len(part)], part, out=result[: len(part)])
    return result


def voxels_in(data: FloatArray, blocks: NDArray[np.bool_], edges: Edges) -> FloatArray:
    """Return the voxels of the chosen blocks, float32 [voxels], in the order of planes.

    Parameters
    ----------
    blocks
        bool [blocks z, y, x].
    """
    depth, height, width = edges
    _, ny, nx = data.shape
    tall, wide = _lengths(ny, height), _lengths(nx, width)
    areas = np.array([int(tall @ (chosen @ wide)) for chosen in blocks])
    found = np.empty(int(areas @ _lengths(len(data), depth)), np.float32)
    filled = 0
    for row, area in enumerate(areas):
        if area:
            places = np.flatnonzero(blocks[row].repeat(tall, 0).repeat(wide, 1))
            for plane in data[row * depth : (row + 1) * depth]:
                found[filled : filled + area] = plane.reshape(-1)[places]
                filled += area
    return found


def _lengths(length: int, edge: int) -> NDArray[np.intp]:
    """Return how many voxels along an axis each block holds."""
    return np.diff(np.append(np.arange(0, length, edge), length))


def squared_distances(chosen: NDArray[np.bool_], most: int) -> NDArray[np.uint8]:
    """Return the squared distance in blocks to the nearest chosen one, where below `most`².

    It is exact: squared distances add up axis by axis (Felzenszwalb & Huttenlocher 2012, Theory
    Comput. 8, 415), and only offsets below `most` matter. Elsewhere it is `most`².

    Parameters
    ----------
    most
        At most 11, so that what is added up fits in eight bits.
    """
    found = np.where(chosen, 0, most**2).astype(np.uint8)
    for axis in range(3):
        before = np.moveaxis(found.copy(), axis, 0)
        after = np.moveaxis(found, axis, 0)
        for offset in range(1, min(most, len(after))):
            further = before + np.uint8(offset**2)
            np.minimum(after[offset:], further[:-offset], out=after[offset:])
            np.minimum(after[:-offset], further[offset:], out=after[:-offset])
    return found


def all_round(chosen: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the chosen blocks all of whose up to 26 neighbours are chosen."""
    found = chosen.copy()
    for axis in range(3):
        before = np.moveaxis(found.copy(), axis, 0)
        after = np.moveaxis(found, axis, 0)
        after[1:] &= before[:-1]
        after[:-1] &= before[1:]
    return found


@dataclass(frozen=True)
class _Line:
    """Where voxels lie along one axis: between which two blocks' centres, and how far along."""

    first: NDArray[np.intp]
    second: NDArray[np.intp]
    share: FloatArray


def _line(count: int, edge: int, wanted: slice) -> _Line:
    voxels = np.arange(*wanted.indices(edge * count))
    place = np.clip((voxels + 0.5) / edge - 0.5, 0, count - 1)
    first = np.minimum(place.astype(np.intp), max(count - 2, 0))
    return _Line(first, np.minimum(first + 1, count - 1), (place - first).astype(np.float32))


def between_centres(blocks: FloatArray, edge: int, box: Box) -> Iterator[FloatArray]:
    """Yield the planes [y, x] of a box, linearly interpolated between the centres of blocks.

    Each is overwritten by the next.

    Parameters
    ----------
    blocks
        float32 [blocks z, y, x].
    edge
        Voxels of a block.
    box
        In voxels.
    """
    z, y, x = (_line(count, edge, part) for count, part in zip(blocks.shape, box, strict=True))
    rows = blocks[..., x.first] * (1 - x.share) + blocks[..., x.second] * x.share
    before, after = 1 - y.share[:, None], y.share[:, None]
    layers: dict[int, FloatArray] = {}
    plane, other = (np.empty((len(y.first), len(x.first)), np.float32) for _ in range(2))
    for first, second, share in zip(z.first, z.second, z.share, strict=True):
        layers = {
            place: layers[place]
            if place in layers
            else rows[place, y.first] * before + rows[place, y.second] * after
            for place in (int(first), int(second))
        }
        np.multiply(layers[int(first)], 1 - share, out=plane)
        np.multiply(layers[int(second)], share, out=other)
        yield np.add(plane, other, out=plane)


def reached(blocks: FloatArray, edge: int, box: Box) -> NDArray[np.bool_]:
    """Return where in a box `between_centres` is above zero, bool [z, y, x].

    Parameters
    ----------
    blocks
        Nowhere below zero.
    edge
        Even, so that no voxel lies on a block's centre and has part in one block alone.
    box
        As `between_centres`.
    """
    found = blocks > 0
    # The longest axis last, where what is copied lies together.
    for axis, part in ((2, box[2]), (1, box[1]), (0, box[0])):
        count = found.shape[axis]
        voxels = np.arange(*part.indices(edge * count))
        ends = [found.take([place], axis) for place in (0, -1)]
        pairs = found.take(range(count - 1), axis) | found.take(range(1, count), axis)
        gaps = np.concatenate([ends[0], pairs, ends[1]], axis)
        found = gaps.take((voxels + edge // 2) // edge, axis)
    return found
