"""Where a map holds nothing but solvent, by its own noise, so that no network need look there.

The noise is that of the outermost part of the box that is not constant (outside a mask, maps are),
and is believed only where it looks like noise: symmetric, without far outliers, far below the
map's peaks. Density is positive and its tail long, so that a map without solvent, or one masked
tightly, fails this and only its constant part is left out. What stands out of the noise, in
single voxels or in means over 4 Å, is kept with 8 Å around it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryosamu.enhancement.inference.blocks import (
    Box,
    all_round,
    between_centres,
    block_statistics,
    reached,
    squared_distances,
    voxels_in,
)
from cryosamu.volume.quantiles import median, percentile
from cryosamu.volume.volume import FloatArray, Volume

BLOCK = 4
"""Edge in voxels of the working grid, about Å, of the blocks that are kept or left out."""

SURROUNDINGS = 8.0
"""Å around what stands out that are kept whole."""

RAMP = 8.0
"""Å over which the network's answer then passes into that to empty input."""

VOXEL_SIGMAS = 5.0
"""Of the noise, above which a voxel stands out. Recommended contours are higher."""

MEAN_SIGMAS = 5.0
"""Of the noise of block means, above which a mean over a block does."""

INSIDE_MASK = 0.1
"""Value from which a voxel of a given mask is inside; a mask's soft edge is kept."""

_OUTER_SHARE = 0.25
_LEAST_OUTER_BLOCKS = 64
_MOST_ASYMMETRY = 0.1
_MOST_OUTLIERS = 1e-4
_LEAST_CONTRAST = 8.0


@dataclass(frozen=True)
class Solvent:
    """Where the network's answer counts.

    Attributes
    ----------
    weights
        float32 [blocks of z, y, x]: 1 where it counts, 0 where the answer to empty input stands.
    shape
        (nz, ny, nx) of the working grid that the blocks lie on.
    source
        `noise`, `constant` or `mask`: what told the solvent.
    level
        The solvent's density in the map's units: the constant, the noise's median, or the median
        outside the mask.
    """

    weights: FloatArray
    shape: tuple[int, int, int]
    source: str
    level: float = 0.0

    @property
    def kept(self) -> float:
        """Share of the blocks that count at all."""
        return float((self.weights > 0).mean())

    def box(self, margin: int, stride: int) -> Box:
        """Return what has to be computed: what counts, with a margin.

        Both faces lie whole strides from the volume's own, so that a network sees the lattice that
        it would see in the whole volume, reversed or not.
        """
        slices = []
        for axis, length in enumerate(self.shape):
            others = tuple(other for other in range(3) if other != axis)
            places = np.flatnonzero((self.weights > 0).any(axis=others))
            # Between block centres weights are interpolated: one block more on either side.
            first = max((int(places[0]) - 1) * BLOCK - margin, 0) // stride * stride
            after = max(length - (int(places[-1]) + 2) * BLOCK - margin, 0) // stride * stride
            slices.append(slice(first, length - after))
        z, y, x = slices
        return z, y, x

    def planes(self, box: Box) -> Iterator[FloatArray]:
        """Yield the weights of a box's voxels, a plane float32 [y, x] at a time, to be used up."""
        return between_centres(self.weights, BLOCK, box)

    def counting(self, box: Box) -> NDArray[np.bool_]:
        """Return which of a box's voxels count at all, bool [z, y, x]."""
        return reached(self.weights, BLOCK, box)


def find_solvent(volume: Volume, shape: tuple[int, int, int]) -> Solvent | None:
    """Return where a map holds solvent alone; None where nowhere or where that cannot be told.

    Parameters
    ----------
    volume
        As read: resampling would make noise of exact constants.
    shape
        (nz, ny, nx) of the working grid in the same box.
    """
    background = _background(volume)
    highest, lowest, means = block_statistics(volume.data, _block_edges(volume))
    live = (highest != background) | (lowest != background)
    noise = _noise(volume, means, live, background)
    source, level = "constant", background
    occupied = live
    if noise is not None:
        middle, sigma, of_means = noise
        source, level = "noise", middle
        occupied = live & (
            (highest > middle + VOXEL_SIGMAS * sigma) | (means > middle + MEAN_SIGMAS * of_means)
        )
    return _around(occupied, shape, source, level)


def solvent_outside(mask: Volume, volume: Volume, shape: tuple[int, int, int]) -> Solvent | None:
    """Return what lies outside a mask on the map's own grid; None where nothing does."""
    highest, _, _ = block_statistics(mask.data, _block_edges(mask))
    outside = volume.data[mask.data < INSIDE_MASK]
    level = float(np.median(outside)) if outside.size else 0.0
    return _around(highest >= INSIDE_MASK, shape, "mask", level)


def _around(
    occupied: NDArray[np.bool_], shape: tuple[int, int, int], source: str, level: float
) -> Solvent | None:
    if not occupied.any():
        return None
    counts = [-(-length // BLOCK) for length in shape]
    places = [
        # The blocks of either grid divide the same box; roundings lie within the surroundings.
        np.minimum((np.arange(count) + 0.5) / count * own, own - 1).astype(int)
        for count, own in zip(counts, occupied.shape, strict=True)
    ]
    # Between block centres weights are interpolated: a block more, for what lies at its far face.
    reach = SURROUNDINGS + BLOCK + RAMP
    most = math.ceil(reach / BLOCK)
    distances = BLOCK * np.sqrt(np.arange(most**2 + 1))
    falling = np.clip((reach - distances) / RAMP, 0, 1).astype(np.float32)
    weights = falling[squared_distances(occupied[np.ix_(*places)], most)]
    return None if (weights == 1).all() else Solvent(weights, shape, source, level)


def _background(volume: Volume) -> float:
    """Return the value at most of the box's corners."""
    z, y, x = (slice(None, None, max(length - 1, 1)) for length in volume.shape)
    values, counts = np.unique(volume.data[z, y, x], return_counts=True)
    return float(values[counts.argmax()])


def _block_edges(volume: Volume) -> tuple[int, int, int]:
    """Return the (z, y, x) voxels of a block with edges of about 4 Å, or the map's if thinner."""
    z, y, x = (
        min(max(round(BLOCK / size), 1), length)
        for size, length in zip(reversed(volume.voxel_size), volume.shape, strict=True)
    )
    return z, y, x


def _noise(
    volume: Volume, means: FloatArray, live: NDArray[np.bool_], background: float
) -> tuple[float, float, float] | None:
    """Return the noise's median, its sigma, and that of block means; None where there is none."""
    outer = _outermost(live)
    if outer is None:
        return None
    edges = _block_edges(volume)
    values = voxels_in(volume.data, outer, edges)
    if (values == background).any():
        values = values[values != background]
    middle, sigma = _robust(values)
    peak = percentile(volume.data[:: max(edges[0] // 2, 1)], 99.9)
    if (
        sigma == 0
        or abs(values.mean(dtype=np.float64) - middle) > _MOST_ASYMMETRY * sigma
        or np.count_nonzero(values > _rounded_down(middle + VOXEL_SIGMAS * sigma))
        > _MOST_OUTLIERS * values.size
        or peak < middle + _LEAST_CONTRAST * sigma
    ):
        return None
    _, of_means = _robust(means[outer])
    return middle, sigma, of_means


def _outermost(live: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    """Return the quarter farthest from the box's middle of the blocks that are live all through."""
    live = all_round(live)
    radius = np.zeros(live.shape)
    for axis, length in enumerate(live.shape):
        line = (np.arange(length) + 0.5) / length - 0.5
        radius += np.expand_dims(line**2, [other for other in range(3) if other != axis])
    if live.sum() * _OUTER_SHARE < _LEAST_OUTER_BLOCKS:
        return None
    outer: NDArray[np.bool_] = live & (radius >= percentile(radius[live], 100 - 100 * _OUTER_SHARE))
    return outer


def _rounded_down(bound: float) -> np.float32:
    """Return the largest single that is no larger: the same singles exceed it."""
    single = np.float32(bound)
    return single if float(single) <= bound else np.nextafter(single, np.float32(-np.inf))


def _robust(values: FloatArray) -> tuple[float, float]:
    """Return median and sigma, both in double precision."""
    middle = np.float64(median(values))
    return float(middle), 1.4826 * median(values, lambda piece: np.abs(piece - middle))


def blended(
    answer: FloatArray, box: Box, solvent: Solvent, empty: float, into: FloatArray
) -> FloatArray:
    """Return a volume with the answer where it counts and `empty` elsewhere, no step between.

    Parameters
    ----------
    answer
        float32 in the box's shape.
    into
        float32 in the solvent's shape: becomes the result. Fresh memory takes longer to come by
        than to fill.
    """
    level = np.float32(empty)
    z, y, x = box
    into[: z.start] = into[z.stop :] = level
    above = np.empty(answer.shape[1:], np.float32)
    for plane, part, weights in zip(into[z], answer, solvent.planes(box), strict=True):
        np.subtract(part, level, out=above)
        above *= weights
        plane[:] = level
        plane[y, x] += above
    return into
