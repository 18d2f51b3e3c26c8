"""A built model against the deposited one, as in cctbx 2025.11.

`mmtbx.validation.chain_comparison` with `test_unique_part_of_target_only=False` and
`unique_part_of_target_only=False`, the only form that the open library runs, and without crystal
symmetry. CA atoms of ATOM records alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import gemmi
import numpy as np
from numpy.typing import NDArray

DEFINITION = "cctbx-2025.11 chain_comparison, whole target"

MAXIMUM_DISTANCE = 3.0
"""Å within which a residue is close."""

_PUSHED_AWAY = 8.0
"""Å along x, y and z by which a taken residue is moved for the second try."""

_GAP = 7.6
"""Å between neighbours beyond which the query's next fragment begins."""


@dataclass(frozen=True)
class AlphaCarbons:
    """CA atoms in file order, one conformer a residue.

    Attributes
    ----------
    positions
        float64 [residues, 3], Å.
    names
        Component of each residue.
    """

    positions: NDArray[np.float64]
    names: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """What a query model shares with a target.

    Attributes
    ----------
    residue_coverage
        100 · close / residues of the target.
    sequence_match
        100 · close residues of the same component / close.
    rmsd
        Å over the close residues; None where there are none.
    close, far, forward, reverse, unaligned
        Residues of the query: near the target or not; those near it in runs along the target,
        against it, or neither.
    fragments
        Runs along or against the target.
    input_fragments
        Fragments of the query as it is.
    incorrect_connections
        Steps from one run to the next that leave the target's order.
    target_residues
        Residues of the target.
    """

    residue_coverage: float
    sequence_match: float
    rmsd: float | None
    close: int
    far: int
    forward: int
    reverse: int
    unaligned: int
    fragments: int
    input_fragments: int
    incorrect_connections: int
    target_residues: int


Pair = tuple[int, int]
"""Index of a query residue and of the target residue that it is close to."""


def alpha_carbons(structure: gemmi.Structure) -> AlphaCarbons:
    """Return the CA atoms of ATOM records, of each residue the conformer of highest occupancy."""
    positions, names = [], []
    for chain in structure[0]:
        for residue in chain:
            found = [atom for atom in residue if atom.name == "CA" and atom.element.name == "C"]
            if residue.het_flag == "H" or not found:
                continue
            best = max(found, key=lambda atom: atom.occ)
            positions.append(best.pos.tolist())
            names.append(residue.name)
    return AlphaCarbons(np.array(positions, np.float64).reshape(-1, 3), tuple(names))


def compare_chains(query: AlphaCarbons, target: AlphaCarbons) -> Comparison:
    """Compare a query model, such as a built one, with a target, such as the deposited one.

    Query residues take the nearest target residue in file order, one to one; where it is taken,
    the next nearest is tried once.
    """
    pairs, distances = match_residues(query.positions, target.positions)
    forward, reverse = _runs(pairs)
    same = sum(query.names[i] == target.names[j] for i, j in pairs)
    steps = np.linalg.norm(np.diff(query.positions, axis=0), axis=1)
    close = len(pairs)
    return Comparison(
        residue_coverage=100 * close / max(1, len(target.names)),
        sequence_match=100 * same / close if close else 0.0,
        rmsd=float(np.sqrt(np.mean(np.square(distances)))) if close else None,
        close=close,
        far=len(query.names) - close,
        forward=len(forward),
        reverse=len(reverse),
        unaligned=close - len(forward) - len(reverse),
        fragments=_count_fragments(forward) + _count_fragments(reverse),
        input_fragments=int((steps > _GAP).sum()) + 1,
        incorrect_connections=_incorrect_connections(pairs),
        target_residues=len(target.names),
    )


def match_residues(
    query: NDArray[np.float64], target: NDArray[np.float64], within: float = MAXIMUM_DISTANCE
) -> tuple[list[Pair], list[float]]:
    """Return pairs of close residues, one to one and greedy, and their distances in Å.

    Parameters
    ----------
    query, target
        float64 [residues, 3], Å.
    """
    pairs: list[Pair] = []
    distances: list[float] = []
    taken = np.zeros(len(target), np.bool_)
    if len(target) == 0:
        return pairs, distances
    for number, place in enumerate(query):
        squared = ((target - place) ** 2).sum(axis=1)
        nearest = int(np.argmin(squared))
        if taken[nearest]:
            squared[nearest] = ((target[nearest] + _PUSHED_AWAY - place) ** 2).sum()
            nearest = int(np.argmin(squared))
            if taken[nearest]:
                continue
        distance = float(np.sqrt(squared[nearest]))
        if distance <= within:
            taken[nearest] = True
            pairs.append((number, nearest))
            distances.append(distance)
    return pairs, distances


def _runs(pairs: list[Pair]) -> tuple[list[Pair], list[Pair]]:
    """Return the pairs in runs along the target and against it.

    A run begins where the next pair continues it, and goes on while both step to a neighbour; it
    may turn round, as in cctbx.
    """
    forward: list[Pair] = []
    reverse: list[Pair] = []
    previous: Pair | None = None
    for number, (i, j) in enumerate(pairs):
        following = pairs[number + 1] if number + 1 < len(pairs) else None
        if previous is not None:
            step = j - previous[1] if i == previous[0] + 1 else 0
        else:
            step = following[1] - j if following is not None and following[0] == i + 1 else 0
        if step in (1, -1):
            (forward if step == 1 else reverse).append((i, j))
            previous = (i, j)
        else:
            previous = None
    return forward, reverse


def _count_fragments(pairs: list[Pair]) -> int:
    """Return the number of stretches of consecutive query residues."""
    numbers = [i for i, _ in pairs]
    return sum(
        index == 0 or number != numbers[index - 1] + 1 for index, number in enumerate(numbers)
    )


def _incorrect_connections(pairs: list[Pair]) -> int:
    """Return how often a run is followed by one of the other direction, or out of order."""
    ends: list[tuple[bool, int]] = []
    last: int | None = None
    direction: bool | None = None
    for _, j in pairs:
        step = None if last is None else j - last
        if step in (1, -1) and direction in (None, step == 1):
            if direction is None:
                direction = step == 1
                ends.append((direction, j))
            ends[-1] = (direction, j)
        else:
            direction = None
        last = j
    return sum(
        onward != forward or (next_end <= end if forward else next_end > end)
        for (forward, end), (onward, next_end) in pairwise(ends)
    )
