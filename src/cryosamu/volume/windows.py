"""Cutting a volume into windows for a network and putting what comes back together.

A network of total stride s sees the same sampling lattice in every window whose origin is a
multiple of s; away from the window's faces its output then does not depend on the window. So
windows begin at multiples of the stride, overlap by twice a margin, and only what lies a margin
or more from a face inside the volume is kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from cryosamu.volume.volume import FloatArray

Predictor = Callable[[FloatArray], FloatArray]
Slices = tuple[slice, slice, slice]


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
    shape: tuple[int, int, int], window: int, margin: int, stride: int = 1
) -> WindowPlan:
    """Return the windows that compute the fewest voxels within a limit of window³ a window.

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
    choices = product(*(_axis_choices(length, margin, stride) for length in (z, y, x)))
    fitting = (choice for choice in choices if math.prod(edge for _, edge in choice) <= window**3)
    best = min(fitting, key=lambda choice: (math.prod(n * edge for n, edge in choice), choice))
    spans_z, spans_y, spans_x = (
        _spans(length, count, edge, stride)
        for length, (count, edge) in zip((z, y, x), best, strict=True)
    )
    return WindowPlan(shape, (z, y, x), (spans_z, spans_y, spans_x))


def smallest_window(margin: int, stride: int) -> int:
    """Return the smallest edge, a multiple of the stride, of which the margins leave something."""
    return (-(-2 * margin // stride) + 1) * stride


def _axis_choices(length: int, margin: int, stride: int) -> list[tuple[int, int]]:
    """Return (number of windows, smallest edge) along an axis whose length is stride · n."""
    choices = [(1, length)]
    units = length // stride
    for count in range(2, units + 1):
        enough = (
            edge
            for edge in range(1, units)
            if (edge - _largest_step(units, count, edge)) * stride >= 2 * margin
        )
        edge = next(enough, units)
        if edge * stride < choices[-1][1]:
            choices.append((count, edge * stride))
    return choices


def _largest_step(units: int, count: int, edge: int) -> int:
    return -(-(units - edge) // (count - 1))


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


def predict_in_windows(
    data: FloatArray,
    predictor: Predictor,
    plan: WindowPlan,
    *,
    smooth: bool = False,
    progress: bool = False,
) -> FloatArray:
    """Apply `predictor` to every window of a volume and put the answers together.

    Parameters
    ----------
    data
        float32 [nz, ny, nx] of the plan's shape.
    predictor
        Maps float32 [z, y, x] to the same shape.
    smooth
        False writes each window's own part, without blending: exact where the predictor is
        local to within the margin. True blends linearly over the overlaps, for networks whose
        answer depends on the whole window, so that no seam shows; it is then an approximation.
    progress
        Shows a bar on a terminal's standard error.

    Returns
    -------
    float32 [nz, ny, nx].

    Raises
    ------
    ValueError
        When the plan is for another shape.
    """
    if data.shape != plan.shape:
        raise ValueError(f"a plan for {plan.shape} does not fit a volume of {data.shape}")
    far = [(0, whole - length) for whole, length in zip(plan.padded, plan.shape, strict=True)]
    padded = np.pad(data, far) if any(after for _, after in far) else data
    result = np.zeros(plan.padded, np.float32)
    weights = [_ramps(axis, length) for axis, length in zip(plan.spans, plan.padded, strict=True)]
    windows = enumerate(plan.windows())
    bar = tqdm(windows, total=plan.count, unit="window", disable=None if progress else True)
    counts = [len(axis) for axis in plan.spans]
    for number, spans in bar:
        answer = predictor(padded[_seen(spans)])
        if answer.shape != plan.window:
            raise ValueError(f"the predictor turned {plan.window} into {answer.shape}")
        if smooth:
            places = np.unravel_index(number, counts)
            z, y, x = (ramps[place] for ramps, place in zip(weights, places, strict=True))
            result[_seen(spans)] += answer * z[:, None, None] * y[:, None] * x
        else:
            inner = tuple(slice(s.keep_start - s.start, s.keep_stop - s.start) for s in spans)
            result[tuple(slice(s.keep_start, s.keep_stop) for s in spans)] = answer[inner]
    nz, ny, nx = plan.shape
    return np.ascontiguousarray(result[:nz, :ny, :nx])


def _seen(spans: tuple[Span, Span, Span]) -> Slices:
    z, y, x = (slice(span.start, span.stop) for span in spans)
    return z, y, x


def _ramps(spans: tuple[Span, ...], length: int) -> list[NDArray[np.float32]]:
    """Return one weight [edge] a span: linear over the overlaps, with sum 1 at every voxel."""
    ramps = []
    for place, span in enumerate(spans):
        centres = np.arange(span.start, span.stop) + 0.5
        ramp = np.ones(span.stop - span.start)
        if place > 0:
            overlap = spans[place - 1].stop - span.start
            ramp = np.minimum(ramp, (centres - span.start) / max(overlap, 1))
        if place < len(spans) - 1:
            overlap = span.stop - spans[place + 1].start
            ramp = np.minimum(ramp, (span.stop - centres) / max(overlap, 1))
        ramps.append(ramp)
    total = np.zeros(length)
    for span, ramp in zip(spans, ramps, strict=True):
        total[span.start : span.stop] += ramp
    return [
        (ramp / total[span.start : span.stop]).astype(np.float32)
        for span, ramp in zip(spans, ramps, strict=True)
    ]
