"""Where a Fourier shell correlation curve falls below a level, as cctbx 2025.11 reads it.

cctbx refines the first bin below the level by a parabola through its neighbours, fitted by
L-BFGS from (1, 1, 1) that stops at a gradient of 1e-5: before the least-squares solution. Where it
stops moves d by up to 0.05 Å, so the figure cannot be had from the solution; the descent is
repeated here, shortened by what holds for a quadratic function.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_NEIGHBOURS = 5
_PARAMETERS = 3
_TRUST = 0.25
"""Å that the refined d may differ from the bin's."""

_RESTARTS = 5
_PAIRS = 5
_GRADIENT_TOLERANCE = 1e-5
_SUFFICIENT_DECREASE = 1e-4
_CURVATURE = 0.9
_MAXIMUM_STEPS = 1000

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Crossing:
    """Where a curve first falls below a level.

    Attributes
    ----------
    spacing
        d in Å, as cctbx gives it; `first_bin` where that is finer than the curve's last point.
    first_bin
        d in Å of the first bin below the level, before it is refined.
    extrapolated
        The refined d lies beyond the bins that refined it. cctbx gives it all the same;
        `first_bin` is what to believe then.
    """

    spacing: float
    first_bin: float
    extrapolated: bool


def first_below(spatial_frequency: Vector, fsc: Vector, level: float) -> Crossing | None:
    """Return where a curve, coarse to fine, first falls below `level`; None if never.

    Parameters
    ----------
    spatial_frequency
        [points], 1/Å, ascending.
    fsc
        [points].
    """
    below = np.flatnonzero(fsc < level)
    if below.size == 0:
        return None
    middle = int(below[0])
    first_bin = float(1 / spatial_frequency[middle])
    # The last point is never part of the fit, in cctbx neither.
    window = slice(max(middle - _NEIGHBOURS, 0), min(middle + _NEIGHBOURS + 1, len(fsc) - 1))
    nearby = spatial_frequency[window]
    refined = None
    if len(nearby) >= _PARAMETERS:
        c, b, a = fit_parabola(nearby, fsc[window])
        refined = _root_near(a, b, c - level, first_bin)
    if refined is None or 1 / refined > spatial_frequency[-1]:
        return Crossing(first_bin, first_bin, extrapolated=False)
    outside = not min(nearby[0], 1 / first_bin) <= 1 / refined <= max(nearby[-1], 1 / first_bin)
    return Crossing(refined, first_bin, extrapolated=bool(outside))


def _root_near(a: float, b: float, c: float, spacing: float) -> float | None:
    """Return 1 / root of a s² + b s + c nearest to `spacing`, or None where none can be trusted."""
    discriminant = b**2 - 4 * a * c
    if discriminant < 0 or a == 0:
        return None
    roots = (-b + np.array([1.0, -1.0]) * np.sqrt(discriminant)) / (2 * a)
    spacings = [float(1 / root) for root in roots if root > 0]
    if len(spacings) < 2:
        return spacings[0] if spacings else None
    nearest = min(spacings, key=lambda candidate: abs(candidate - spacing))
    return nearest if abs(nearest - spacing) <= _TRUST else None


def fit_parabola(x: Vector, y: Vector) -> Vector:
    """Return (c, b, a) of c + b x + a x², near the least-squares solution: see the module."""
    powers = np.vander(x, _PARAMETERS, increasing=True)
    hessian, target = 2 * powers.T @ powers, 2 * powers.T @ y
    solution = np.ones(_PARAMETERS)
    for _ in range(_RESTARTS):
        solution = _descend(hessian, target, solution)
    return solution


def _descend(hessian: Vector, target: Vector, start: Vector) -> Vector:
    """Minimise x·Hx/2 − t·x by L-BFGS (D. C. Liu & J. Nocedal 1989, Math. Prog. 45, 503)."""
    x, gradient = start, hessian @ start - target
    pairs: list[tuple[Vector, Vector]] = []
    for _ in range(_MAXIMUM_STEPS):
        direction = _two_loops(gradient, pairs)
        slope, curvature = float(gradient @ direction), float(direction @ hessian @ direction)
        if slope >= 0 or curvature <= 0:
            break  # rounding has taken over
        first = 1.0 if pairs else 1 / float(np.linalg.norm(gradient))
        moved = x + _line_search(slope, curvature, first) * direction
        changed = hessian @ moved - target
        pairs = [*pairs, (moved - x, changed - gradient)][-_PAIRS:]
        x, gradient = moved, changed
        if np.linalg.norm(gradient) <= _GRADIENT_TOLERANCE * max(1.0, float(np.linalg.norm(x))):
            break
    return x


def _two_loops(gradient: Vector, pairs: list[tuple[Vector, Vector]]) -> Vector:
    """Return −(approximate inverse Hessian) · gradient from the last steps and their changes."""
    direction = -gradient
    weights: list[float] = []
    for step, change in reversed(pairs):
        weight = float(step @ direction) / float(step @ change)
        weights.append(weight)
        direction = direction - weight * change
    if pairs:
        step, change = pairs[-1]
        direction = direction * ((step @ change) / (change @ change))
    for (step, change), weight in zip(pairs, reversed(weights), strict=True):
        direction = direction + (weight - (change @ direction) / (step @ change)) * step
    return direction


def _line_search(slope: float, curvature: float, first: float) -> float:
    """Return the step that Moré and Thuente's search takes on a quadratic function.

    Its interpolations all hit the minimum there: the first trial stands if it decreases the
    function and flattens the slope enough; else the minimum is taken, in strides of at most four
    times the last.
    """
    minimum = -slope / curvature
    previous, trial = 0.0, first
    while True:
        decrease = slope + trial * curvature / 2 <= _SUFFICIENT_DECREASE * slope
        if decrease and abs(slope + trial * curvature) <= _CURVATURE * abs(slope):
            return trial
        if trial >= minimum:
            return minimum
        previous, trial = trial, min(minimum, trial + 4 * (trial - previous))
