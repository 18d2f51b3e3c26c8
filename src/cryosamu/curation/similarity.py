"""Which protein sequences are similar: every pair compared, or nearly every one of very many."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from cryosamu.config import ClusteringSettings
from cryosamu.curation.mmseqs import Workplace

SHORTEST_ALIGNED = 20
"""Residues below which hardly any alignment is significant."""

LONGEST_ALIGNED = 6000
"""Residues that are compared of a longer sequence, its first: MMseqs2 (2025) loses alignments with
scores of 44,000 and more, and chains of 10,000 residues reach them."""

_MAXIMUM_E_VALUE = 0.001
_REFERENCE_RESIDUES = 100_000
"""E-values are as if searched for among so many residues, whatever the number at hand: else a pair
could cease to be significant because others joined. So few, since identity and coverage alone keep
chance out: of 10 million pairs of shuffled real chains, none is similar."""

_EVERY_PAIR = ("--prefilter-mode", "1", "--min-ungapped-score", "30")
"""Every pair's best alignment without gaps is scored first, which keeps one in four or so. On 4,455
real chains the same pairs remain as of aligning all with all, in half of the time."""

_COMMON_WORDS = ("--prefilter-mode", "0", "-s", "5.7")
"""Pairs with two similar words of six residues on a diagonal: quick, misses 10 % of the pairs."""

_QUERIES = 2000
"""Sequences searched for at a time: a step of the progress, and what lies on the disk at once."""

_NEARLY_EQUAL, _CLOSE = 0.9, 0.5
"""Identities from which one sequence stands for another, where there are too many to compare."""

_EQUALLY_LONG = 0.95
"""And lengths, shorter over longer, since what one of them covers the other must cover too."""


def find_similar(
    sequences: Sequence[str],
    settings: ClusteringSettings,
    threads: int = 1,
    folder: Path | None = None,
) -> pd.DataFrame:
    """Return the pairs of sequences at or above the settings' identity and coverage.

    Identity is over the columns of the local alignment, gaps included; coverage is of both
    sequences; chance hits are kept out by an E-value of 0.001 against a fixed number of residues.
    Sequences shorter than `SHORTEST_ALIGNED`, or with as few known residues, are similar to
    nothing here; of those longer than `LONGEST_ALIGNED`, the first so many residues are compared.

    Up to `settings.exhaustive_sequences`, every sequence is compared with every other, and whether
    two are similar depends on these two alone. Of more, see `_through_representatives`: all pairs
    found are similar, some are not found, hardly any group is torn apart. Neither depends on the
    number of threads.

    Parameters
    ----------
    sequences
        One letter a residue, X where it is not known; each sequence once.
    folder
        Where a temporary folder is made and removed again; None for the system's.

    Returns
    -------
    DataFrame
        first < second, positions in `sequences`; identity, 0 to 1. Sorted, each pair once.

    Raises
    ------
    CryosamuError
        When MMseqs2 is missing or fails.
    """
    sequences = [sequence[:LONGEST_ALIGNED] for sequence in sequences]
    # Shorter ones first: the query of a pair, whose composition counts in the score, is fixed.
    order = sorted(
        (
            number
            for number, sequence in enumerate(sequences)
            if len(sequence) - sequence.count("X") >= SHORTEST_ALIGNED
        ),
        key=lambda number: (len(sequences[number]), sequences[number]),
    )
    chosen = {number: sequences[number] for number in order}
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".similar-", dir=folder) as name:
        workplace = Workplace(Path(name), threads, settings.identity, settings.coverage)
        if len(chosen) <= settings.exhaustive_sequences:
            tables = list(_exhaustively(chosen, workplace))
        else:
            tables = list(_through_representatives(chosen, workplace))
    return _pairs(tables)


def _exhaustively(sequences: Mapping[int, str], workplace: Workplace) -> Iterator[pd.DataFrame]:
    """Compare each sequence with itself and those behind it in the order given."""
    numbers = np.fromiter(sequences, dtype=np.int64)
    place = pd.Series(np.arange(len(numbers)), index=numbers)
    bar = tqdm(total=len(numbers), desc="comparing", unit="sequence", disable=None)
    with bar:
        for start in range(0, len(numbers), _QUERIES):
            behind = {number: sequences[number] for number in numbers[start:].tolist()}
            some = {number: behind[number] for number in numbers[start : start + _QUERIES].tolist()}
            targets = workplace.database("targets", behind)
            queries = workplace.database("queries", some)
            limit = _permissive_e_value(targets.residues)
            hits = _significant(workplace.search(queries, targets, limit, _EVERY_PAIR), sequences)
            ahead = place[hits["query"]].to_numpy() < place[hits["target"]].to_numpy()
            yield hits[ahead]
            bar.update(len(some))


def _through_representatives(
    sequences: Mapping[int, str], workplace: Workplace
) -> Iterator[pd.DataFrame]:
    """Find nearly equal sequences, then those with common k-mers, then compare what is left.

    Each step leaves out sequences that a representative stands for, at `_NEARLY_EQUAL` and at
    `_CLOSE` identity. Links that only a left-out sequence has are lost to the last step: of 4,455
    real chains 11 of the 2,358 that hold the groups together.
    """
    database = workplace.database("all", sequences)
    limit = _permissive_e_value(database.residues)
    with tqdm(total=2, desc="grouping", unit="search", disable=None) as bar:
        near = workplace.linear_clusters(database, _NEARLY_EQUAL, limit)
        near = _significant(near, sequences)
        yield near
        left = _representatives(sequences, near, _NEARLY_EQUAL)
        bar.update()
        database = workplace.database("representatives", left)
        related = workplace.search(database, database, limit, _COMMON_WORDS)
        related = _significant(related, sequences)
        yield related
        left = _representatives(left, related, _CLOSE)
        bar.update()
    yield from _exhaustively(left, workplace)


def _permissive_e_value(residues: int) -> float:
    """Return the E-value among `residues` that lets through what `_significant` shall judge."""
    return _MAXIMUM_E_VALUE * max(1.0, 2 * residues / _REFERENCE_RESIDUES)


def _significant(hits: pd.DataFrame, sequences: Mapping[int, str]) -> pd.DataFrame:
    """Keep hits of different sequences with E ≤ `_MAXIMUM_E_VALUE`, E = m n 2^-bits.

    m is the length of the longer sequence, n `_REFERENCE_RESIDUES` (S. Karlin and S. F. Altschul,
    PNAS 87:2264, 1990; bits as normalised there).
    """
    longer = np.maximum(*(_lengths(sequences, hits[name]) for name in ("query", "target")))
    e_values = longer * _REFERENCE_RESIDUES * np.exp2(-hits["bits"].to_numpy())
    different = (hits["query"] != hits["target"]).to_numpy()
    chosen: pd.DataFrame = hits[(e_values <= _MAXIMUM_E_VALUE) & different]
    return chosen


def _lengths(sequences: Mapping[int, str], numbers: pd.Series[int]) -> NDArray[np.int64]:
    return np.fromiter((len(sequences[number]) for number in numbers), dtype=np.int64)


def _representatives(
    sequences: Mapping[int, str], hits: pd.DataFrame, identity: float
) -> dict[int, str]:
    """Return the sequences less those that a longer one, itself left, is that identical to.

    `sequences` are ordered by length, and so are those returned.
    """
    first, second = (_lengths(sequences, hits[name]) for name in ("query", "target"))
    ratio = np.minimum(first, second) / np.maximum(first, second)
    close = hits[(hits["fident"] >= identity).to_numpy() & (ratio >= _EQUALLY_LONG)]
    neighbours: dict[int, list[int]] = {}
    for first, second in zip(close["query"].tolist(), close["target"].tolist(), strict=True):
        neighbours.setdefault(first, []).append(second)
        neighbours.setdefault(second, []).append(first)
    stood_for: set[int] = set()
    for number in reversed(list(sequences)):
        if number not in stood_for:
            stood_for.update(neighbours.get(number, []))
    return {number: text for number, text in sequences.items() if number not in stood_for}


def _pairs(tables: list[pd.DataFrame]) -> pd.DataFrame:
    hits = pd.concat(tables) if tables else pd.DataFrame(columns=["query", "target", "fident"])
    ends = hits[["query", "target"]].to_numpy(dtype=np.int64).reshape(-1, 2)
    pairs = pd.DataFrame(
        {
            "first": ends.min(axis=1),
            "second": ends.max(axis=1),
            "identity": hits["fident"].to_numpy(dtype=np.float64),
        }
    )
    # A pair of the k-mer search was perhaps found from both ends.
    pairs = pairs.sort_values(["first", "second", "identity"])
    return pairs.drop_duplicates(["first", "second"], keep="last", ignore_index=True)
