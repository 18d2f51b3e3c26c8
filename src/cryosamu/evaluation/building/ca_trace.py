"""A proxy for model building: a trace of CA-like points along a map's ridges.

No freely installable builder gives residue coverage and sequence match, so this stands in where
none is at hand, under names of its own. Steps, after G. Terashi & D. Kihara (2018), Nature
Communications 9, 1618: the voxels that enclose the protein's expected volume move uphill by mean
shift until they lie on ridges; a minimum spanning tree joins them; its longest paths, taken out
one after the other, are cut into steps of 3.8 Å.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.spatial import KDTree

from cryosamu.errors import MapError
from cryosamu.evaluation.masks import gaussian_blur
from cryosamu.volume.volume import Volume

RESIDUE_VOLUME = 134.0
"""Å³ a residue: 110 Da at 1.35 g/cm³."""

STEP = 3.8
"""Å between CA atoms of neighbours."""

_BANDWIDTH = 1.0
"""σ of the mean shift, Å."""

_SHIFTS = 10
_MERGED_WITHIN = 1.0
_JOINED_WITHIN = 4.5
"""Å: points nearer than the first are one, points farther than the second have no bond."""

_SHORTEST_PATH = 4
"""Residues that a path must be worth."""

_MAXIMUM_SEEDS = 400_000


@dataclass(frozen=True)
class Trace:
    """CA-like points.

    Attributes
    ----------
    positions
        float64 [points, 3], Å, model frame, path by path.
    paths
        int64 [points]: the path that each belongs to.
    region
        float64 [voxels, 3], Å: centres of the voxels within the expected volume.
    """

    positions: NDArray[np.float64]
    paths: NDArray[np.int64]
    region: NDArray[np.float64]


def trace_map(volume: Volume, residues: int) -> Trace:
    """Trace a map that holds a protein of so many residues.

    Raises
    ------
    MapError
        When no voxel is above zero.
    """
    if not (volume.data > 0).any():
        raise MapError("the map has no density above zero: there is nothing to trace.")
    region = dense_voxels(volume, residues)
    ridges = _thinned(*_shifted(volume, region))
    positions: list[NDArray[np.float64]] = []
    for path in longest_paths(ridges):
        cut = resampled(path)
        if len(cut) >= _SHORTEST_PATH:
            positions.append(cut)
    paths = np.repeat(np.arange(len(positions)), [len(path) for path in positions])
    points = np.concatenate([np.zeros((0, 3)), *positions])
    return Trace(points, paths.astype(np.int64), volume.to_model_frame(region.astype(np.float64)))


def dense_voxels(volume: Volume, residues: int) -> NDArray[np.int64]:
    """Return the densest voxels that fill the protein's expected volume, [voxels, (i, j, k)].

    Positive ones alone: a map that was cut out tightly has nothing more.
    """
    count = round(residues * RESIDUE_VOLUME / float(np.prod(volume.voxel_size)))
    count = max(min(count, int((volume.data > 0).sum())), 1)
    places = np.argpartition(volume.data, -count, axis=None)[-count:]
    k, j, i = np.unravel_index(np.sort(places), volume.shape)
    return np.stack([i, j, k], axis=1).astype(np.int64)


def _shifted(
    volume: Volume, region: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the region's voxels moved uphill, [points, 3] in Å, and the density where they end.

    Mean shift with a Gaussian kernel is a step of σ² ∇ log of the blurred density.
    """
    outside = np.ones(volume.shape, np.bool_)
    outside[tuple(region.T[::-1])] = False
    level = volume.data.max(where=outside, initial=0)
    above = volume.with_data(np.maximum(volume.data - level, 0))
    blurred = np.maximum(gaussian_blur(above, _BANDWIDTH).data, 0)
    logarithm = np.log(blurred + 1e-3 * float(blurred.max()))
    slopes = np.gradient(logarithm, *reversed(volume.voxel_size))[::-1]
    seeds = region[:: -(-len(region) // _MAXIMUM_SEEDS)]
    places = seeds.astype(np.float64)
    for _ in range(_SHIFTS):
        steps = np.stack([_at(slope, places) for slope in slopes], axis=1)
        places = places + _BANDWIDTH**2 * steps / volume.voxel_size
    return volume.to_model_frame(places), _at(blurred, places)


def _at(data: NDArray[np.floating], places: NDArray[np.float64]) -> NDArray[np.float64]:
    found = map_coordinates(data, places[:, ::-1].T, np.float64, order=1, mode="nearest")
    return np.asarray(found, np.float64)


def _thinned(positions: NDArray[np.float64], density: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the points of which none is near one that is denser."""
    neighbours = KDTree(positions).query_ball_point(positions, _MERGED_WITHIN)
    alive = np.ones(len(positions), np.bool_)
    kept = []
    for number in np.argsort(-density, kind="stable"):
        if alive[number]:
            kept.append(number)
            alive[neighbours[number]] = False
    thinned: NDArray[np.float64] = positions[np.sort(kept)]
    return thinned


def longest_paths(points: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Return the longest paths of the points' minimum spanning forest, [points, 3] each.

    The longest path is taken out, then that of each piece that is left, and so on.
    """
    neighbours = _spanning_forest(points)
    paths, starts = [], list(range(len(points)))
    while starts:
        start = starts.pop()
        if neighbours[start] is None:
            continue
        path = _diameter(neighbours, start)
        paths.append(points[path])
        for place in path:
            starts += [other for other in neighbours[place] or {} if other not in path]
        for place in path:
            neighbours[place] = None
    return paths


def _spanning_forest(points: NDArray[np.float64]) -> list[dict[int, float] | None]:
    """Return each point's neighbours in the forest and their distances, Å."""
    pairs = KDTree(points).query_pairs(_JOINED_WITHIN, output_type="ndarray")
    lengths = np.linalg.norm(points[pairs[:, 0]] - points[pairs[:, 1]], axis=1)
    graph = coo_matrix((lengths, pairs.T), (len(points), len(points)))
    tree = minimum_spanning_tree(graph.tocsr()).tocoo()
    neighbours: list[dict[int, float]] = [{} for _ in points]
    for one, other, length in zip(
        tree.row.tolist(), tree.col.tolist(), tree.data.tolist(), strict=True
    ):
        neighbours[one][other] = neighbours[other][one] = length
    return list(neighbours)


def _diameter(neighbours: list[dict[int, float] | None], start: int) -> list[int]:
    """Return the longest path of the tree that holds `start`."""
    one_end, _ = _farthest(neighbours, start)
    other_end, parents = _farthest(neighbours, one_end)
    path = [other_end]
    while path[-1] != one_end:
        path.append(parents[path[-1]])
    return path


def _farthest(neighbours: list[dict[int, float] | None], start: int) -> tuple[int, dict[int, int]]:
    """Return the point farthest from `start` along its tree, and each point's way back."""
    distances, parents, waiting = {start: 0.0}, {start: start}, [start]
    while waiting:
        place = waiting.pop()
        for other, length in (neighbours[place] or {}).items():
            if other not in distances and neighbours[other] is not None:
                distances[other] = distances[place] + length
                parents[other] = place
                waiting.append(other)
    return max(distances, key=lambda place: (distances[place], -place)), parents


def resampled(path: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return points [m, 3] every 3.8 Å of arc along a path [n, 3] (Å), from its first point on."""
    steps = np.linalg.norm(np.diff(path, axis=0), axis=1)
    arc = np.concatenate([[0.0], np.cumsum(steps)])
    wanted = np.arange(0, arc[-1] + 1e-9, STEP)
    places = [np.interp(wanted, arc, path[:, axis]) for axis in range(3)]
    return np.asarray(np.stack(places, axis=1), np.float64)
