"""What a CA trace is worth against the deposited model, and against points at random."""

from __future__ import annotations

from dataclasses import dataclass

import gemmi
import numpy as np
from numpy.typing import NDArray

from cryosamu.errors import ModelError
from cryosamu.evaluation.building.ca_trace import Trace, trace_map
from cryosamu.evaluation.building.chain_comparison import (
    MAXIMUM_DISTANCE,
    AlphaCarbons,
    alpha_carbons,
    match_residues,
)
from cryosamu.volume.volume import Volume

DEFINITION = "ca_trace 1"

_BOND = 4.2
"""Å that CA atoms of neighbours in a chain are apart at most."""

_NULLS = 5
_SEED = 2024


@dataclass(frozen=True)
class TraceScores:
    """Scores of a trace, in per cent.

    Attributes
    ----------
    catrace_coverage
        Target residues to which a point of the trace is matched within 3 Å, one to one.
    catrace_precision
        Points of the trace that are matched.
    catrace_connectivity
        Bonds of the target, CA atoms of one chain within 4.2 Å, whose two residues are matched
        to neighbouring points of one path.
    catrace_coverage_excess
        Coverage minus the mean coverage of as many points at random in the traced region.
    null_coverage, null_connectivity
        What those random points reach, mean of five draws.
    points
        Points of the trace.
    """

    catrace_coverage: float
    catrace_precision: float
    catrace_connectivity: float
    catrace_coverage_excess: float
    null_coverage: float
    null_connectivity: float
    points: int


def score_trace(trace: Trace, target: AlphaCarbons) -> TraceScores:
    """Score a trace against the CA atoms of the deposited model."""
    coverage, precision, connectivity = _score(trace.positions, trace.paths, target)
    random = np.random.default_rng(_SEED)
    nulls = []
    for _ in range(_NULLS):
        drawn = random.choice(len(trace.region), len(trace.positions))
        nulls.append(_score(trace.region[drawn], trace.paths, target))
    null_coverage, _, null_connectivity = np.mean(nulls, axis=0)
    return TraceScores(
        catrace_coverage=coverage,
        catrace_precision=precision,
        catrace_connectivity=connectivity,
        catrace_coverage_excess=coverage - float(null_coverage),
        null_coverage=float(null_coverage),
        null_connectivity=float(null_connectivity),
        points=len(trace.positions),
    )


def trace_and_score(volume: Volume, structure: gemmi.Structure) -> tuple[Trace, TraceScores]:
    """Trace a map and score it against its model; the model gives the number of residues.

    Raises
    ------
    MapError, ModelError
        When the map has nothing above zero, or the model no CA atoms.
    """
    target = alpha_carbons(structure)
    if not target.names:
        raise ModelError("the model has no CA atoms: there is nothing to compare a trace with.")
    trace = trace_map(volume, len(target.names))
    return trace, score_trace(trace, target)


def _score(
    positions: NDArray[np.float64], paths: NDArray[np.int64], target: AlphaCarbons
) -> tuple[float, float, float]:
    """Return coverage, precision and connectivity, %."""
    pairs, _ = match_residues(positions, target.positions, MAXIMUM_DISTANCE)
    close = len(pairs)
    points = {residue: point for point, residue in pairs}
    steps = np.linalg.norm(np.diff(target.positions, axis=0), axis=1)
    bonds = np.flatnonzero(steps <= _BOND)
    joined = sum(
        first in points
        and first + 1 in points
        and abs(points[first] - points[first + 1]) == 1
        and paths[points[first]] == paths[points[first + 1]]
        for first in bonds.tolist()
    )
    return (
        100 * close / max(1, len(target.names)),
        100 * close / max(1, len(positions)),
        100 * joined / max(1, len(bonds)),
    )
