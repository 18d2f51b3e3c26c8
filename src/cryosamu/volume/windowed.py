"""A network's answers to the windows of a volume, put together."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from queue import SimpleQueue

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from cryosamu.volume.volume import FloatArray
from cryosamu.volume.windows import Span, Spans, WindowPlan

Predictor = Callable[[FloatArray], FloatArray]
"""Maps float32 [windows, z, y, x] to the same shape."""

Slices = tuple[slice, slice, slice]
Numbered = tuple[int, Spans]


def predict_in_windows(
    data: FloatArray,
    predictors: Predictor | Sequence[Predictor],
    plan: WindowPlan,
    *,
    smooth: bool = False,
    batch: int = 1,
    wanted: NDArray[np.bool_] | None = None,
    progress: bool = False,
) -> FloatArray:
    """Apply a predictor to every window of a volume and put the answers together.

    Parameters
    ----------
    data
        float32 [nz, ny, nx] of the plan's shape.
    predictors
        One, or several that work side by side, a thread each. The answers are put together in the
        plan's order, so that the result does not depend on who was faster.
    smooth
        False writes each window's own part, without blending: exact where the predictor is
        local to within the margin. True blends linearly over the overlaps, for networks whose
        answer depends on the whole window, so that no seam shows; it is then an approximation.
    batch
        How many windows a predictor is given at once.
    wanted
        bool [nz, ny, nx]: a window that keeps none of these is not computed, and its voxels are 0.
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
    todo = windows_to_compute(plan, wanted)
    batches = [todo[start : start + batch] for start in range(0, len(todo), batch)]
    team = [predictors] if callable(predictors) else list(predictors)
    result = np.zeros(plan.padded, np.float32)
    ramps = [_ramps(axis, length) for axis, length in zip(plan.spans, plan.padded, strict=True)]
    counts = [len(axis) for axis in plan.spans]
    with tqdm(total=len(todo), unit="window", disable=None if progress else True) as bar:
        for (number, spans), answer in _answers(padded, team, batches):
            if answer.shape != plan.window:
                raise ValueError(f"the predictor turned {plan.window} into {answer.shape}")
            if plan.count == 1:
                # Not copied: large memory takes longer to come by than to fill.
                result = answer
            elif smooth:
                places = np.unravel_index(number, counts)
                z, y, x = (axis[place] for axis, place in zip(ramps, places, strict=True))
                result[_seen(spans)] += answer * z[:, None, None] * y[:, None] * x
            else:
                inner = tuple(slice(s.keep_start - s.start, s.keep_stop - s.start) for s in spans)
                result[_kept(spans)] = answer[inner]
            bar.update()
    nz, ny, nx = plan.shape
    return np.ascontiguousarray(result[:nz, :ny, :nx])


def windows_to_compute(plan: WindowPlan, wanted: NDArray[np.bool_] | None) -> list[Numbered]:
    """Return number and spans of the windows of which something wanted is kept, x fastest."""
    return [
        (number, spans)
        for number, spans in enumerate(plan.windows())
        if wanted is None or wanted[_kept(spans)].any()
    ]


def _answers(
    padded: FloatArray, team: list[Predictor], batches: list[list[Numbered]]
) -> Iterator[tuple[Numbered, FloatArray]]:
    """Yield each window's answer in order, computed by whoever of the team is free."""
    free: SimpleQueue[Predictor] = SimpleQueue()
    for predictor in team:
        free.put(predictor)

    def compute(batch: list[Numbered]) -> FloatArray:
        predictor = free.get()
        try:
            if len(batch) == 1:
                return predictor(padded[_seen(batch[0][1])][None])
            return predictor(np.stack([padded[_seen(spans)] for _, spans in batch]))
        finally:
            free.put(predictor)

    if len(team) == 1:
        for batch in batches:
            yield from zip(batch, compute(batch), strict=True)
        return
    with ThreadPoolExecutor(len(team)) as pool:
        waiting = iter(batches)
        pending: deque[tuple[list[Numbered], Future[FloatArray]]] = deque()
        try:
            while True:
                for batch in islice(waiting, 2 * len(team) - len(pending)):
                    pending.append((batch, pool.submit(compute, batch)))
                if not pending:
                    return
                batch, answer = pending.popleft()
                yield from zip(batch, answer.result(), strict=True)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _kept(spans: Spans) -> Slices:
    z, y, x = (slice(span.keep_start, span.keep_stop) for span in spans)
    return z, y, x


def _seen(spans: Spans) -> Slices:
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
