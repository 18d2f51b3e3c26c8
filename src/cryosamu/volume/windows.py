"""Which windows cover a volume for a network.

A network of total stride s sees the same sampling lattice in every window whose origin is a
multiple of s; away from the window's faces its output then does not depend on the window. So
windows begin at multiples of the stride, overlap by twice a margin, and only what lies a margin
or more from a face inside the volume is kept.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]

Spans = tuple["Span", "Span", "Span"]
"""A window's, along z, y, x."""


@dataclass(frozen=True)
class Span:
    """One window along one axis, in voxels of the padded volume.

    Attributes
    ----------
    start, stop
        What the network sees.
    keep_start, keep_stop
        What is kept of its answer; the spans of an axis keep every voxel exactly once.
    """

    start: int
    stop: int
    keep_start: int
    keep_stop: int


@dataclass(frozen=True)
class WindowPlan:
    """Equal windows that cover a volume.

    Attributes
    ----------
    shape
        (nz, ny, nx) of the volume.
    padded
        The same, rounded up to multiples of the stride; the added far faces hold zeros.
    spans
        Spans along z, y, x; every combination is a window.
    """

    shape: tuple[int, int, int]
    padded: tuple[int, int, int]
    spans: tuple[tuple[Span, ...], tuple[Span, ...], tuple[Span, ...]]

    @property
    def count(self) -> int:
        """Number of windows."""
        return math.prod(len(axis) for axis in self.spans)

    @property
    def window(self) -> tuple[int, int, int]:
        """Shape (nz, ny, nx) of every window."""
        z, y, x = (axis[0].stop - axis[0].start for axis in self.spans)
        return z, y, x

    @property
    def passes_per_voxel(self) -> float:
        """Voxels computed over voxels of the volume: 1 for one pass without padding."""
        return self.count * math.prod(self.window) / math.prod(self.shape)

    def windows(self) -> Iterator[tuple[Span, Span, Span]]:
        """Yield the (z, y, x) spans of each window, x fastest."""
        yield from product(*self.spans)


def plan_windows(
    shape: tuple[int, int, int], window: int, margin: int, stride: int = 1, workers: int = 1
) -> WindowPlan:
    """Return the windows that are computed soonest within a limit of window³ voxels a window.

    What limits a window is memory, that is its volume and not its edge: a flat volume is cut
    along its long axes alone, and one that fits whole is not cut at all.

    Parameters
    ----------
    shape
        (nz, ny, nx) of the volume.
    window
        Cube root of the largest number of voxels a window may have, at least `smallest_window`.
    margin
        Voxels at a window's inner faces of which nothing is kept.
    stride
        Windows begin at, and have edges of, multiples of this.
    workers
        How many windows are computed side by side: what counts is how long the last one takes.

    Raises
    ------
    ValueError
        When no such windows cover the volume.
    """
    if min(shape) < 1 or stride < 1 or margin < 0 or window < smallest_window(margin, stride):
        raise ValueError(
            f"windows of {window} with margin {margin} and stride {stride} cannot cover {shape}"
        )
    z, y, x = (-(-length // stride) * stride for length in shape)
    choices = [_axis_choices(length, margin, stride) for length in (z, y, x)]
    counts, edges = (
        np.multiply.outer(np.multiply.outer(*one[:2]), one[2]) for one in zip(*choices, strict=True)
    )
    seen = -(-counts // workers) * edges
    # The first of equals: the fewest windows along z, then y.
    places = np.unravel_index(
        np.where(edges <= window**3, seen, np.iinfo(np.int64).max).argmin(), seen.shape
    )
    best = [
        (int(count[place]), int(edge[place]))
        for (count, edge), place in zip(choices, places, strict=True)
    ]
    spans_z, spans_y, spans_x = (
        _spans(length, count, edge, stride)
        for length, (count, edge) in zip((z, y, x), best, strict=True)
    )
    return WindowPlan(shape, (z, y, x), (spans_z, spans_y, spans_x))


def smallest_window(margin: int, stride: int) -> int:
    """Return the smallest edge, a multiple of the stride, of which the margins leave something."""
    return (-(-2 * margin // stride) + 1) * stride


def _axis_choices(length: int, margin: int, stride: int) -> tuple[Integers, Integers]:
    """Return numbers of windows and their smallest edges along an axis of length stride · n."""
    units, overlap = length // stride, -(-2 * margin // stride)
    counts = np.arange(1, units + 1)
    # n windows of e strides cover e + (n − 1)(e − overlap).
    edges = -(-(units + overlap * (counts - 1)) // counts)
    smaller = np.diff(edges, prepend=units + 1) < 0
    return counts[smaller], edges[smaller] * stride


def _spans(length: int, count: int, edge: int, stride: int) -> tuple[Span, ...]:
    """Return `count` spans of `edge` voxels, evenly spread; seams lie midway in the overlaps."""
    free = (length - edge) // stride
    starts = [place * free // max(count - 1, 1) * stride for place in range(count)]
    seams = [(after + before + edge) // 2 for before, after in pairwise(starts)]
    bounds = [0, *seams, length]
    return tuple(
        Span(start, start + edge, first, last)
        for start, (first, last) in zip(starts, pairwise(bounds), strict=True)
    )
