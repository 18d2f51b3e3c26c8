"""Entries connected by similar protein chains: one of them is kept, and all share a split."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from cryosamu.config import ClusteringSettings
from cryosamu.curation.entry import emdb_number
from cryosamu.curation.similarity import find_similar


@dataclass(frozen=True)
class Membership:
    """The place of an entry among those that it is connected with.

    Attributes
    ----------
    cluster
        Name of the connected component: its entry with the lowest EMDB number. EMDB numbers rise
        with time, so the name stays when newer entries join.
    size
        Entries in the component.
    representative
        The best-resolved entry of the component, the lowest EMDB number among equals.
    representative_resolution
        Its reported resolution, Å.
    identity
        Highest identity found, 0 to 1, of a chain of this entry to a similar chain of another;
        None where there is none.
    """

    emdb_id: str
    cluster: str
    size: int
    representative: str
    representative_resolution: float
    identity: float | None


@dataclass(frozen=True)
class _Ownership:
    """Which entry has which sequence: one element of `entry` and `sequence` a case.

    Attributes
    ----------
    sequences
        Each sequence once, sorted.
    entry, sequence
        int64 [cases]: numbers of the entry and of the sequence.
    """

    sequences: list[str]
    entry: NDArray[np.int64]
    sequence: NDArray[np.int64]

    @classmethod
    def of(cls, chains: Iterable[Iterable[str]]) -> _Ownership:
        """Collapse equal chains; those of unknown residues alone are left out."""
        owners: dict[str, set[int]] = defaultdict(set)
        for number, sequences in enumerate(chains):
            for text in sequences:
                if text.strip("X"):
                    owners[text].add(number)
        unique = sorted(owners)
        cases = [(one, place) for place, text in enumerate(unique) for one in sorted(owners[text])]
        entry, sequence = np.array(cases, dtype=np.int64).reshape(-1, 2).T
        return cls(unique, entry, sequence)


def cluster_entries(
    sequences: Mapping[str, Iterable[str]],
    resolutions: Mapping[str, float],
    settings: ClusteringSettings,
    threads: int = 1,
    folder: Path | None = None,
) -> dict[str, Membership]:
    """Connect entries that share similar protein chains.

    Chains of the same sequence are similar, however short; peptides under 20 residues are similar
    in no other way, since no alignment of them is significant. Chains of unknown residues (X)
    alone are similar to none.

    Parameters
    ----------
    sequences
        EMDB id to the sequences of the entry's protein chains.
    resolutions
        EMDB id to the reported resolution, Å.
    threads, folder
        As `find_similar` takes them; neither changes the result.
    """
    names = list(sequences)
    owned = _Ownership.of(sequences.values())
    pairs = find_similar(owned.sequences, settings, threads, folder)
    closest = _closest(len(names), owned, pairs)
    found = {}
    for numbers in _components(len(names), owned, pairs):
        members = [names[number] for number in numbers]
        best = min(members, key=lambda one: (resolutions[one], emdb_number(one)))
        name = min(members, key=emdb_number)
        for number in numbers:
            identity = None if np.isnan(closest[number]) else float(closest[number])
            found[names[number]] = Membership(
                names[number], name, len(members), best, resolutions[best], identity
            )
    return {emdb_id: found[emdb_id] for emdb_id in names}


def connected_names(
    chains: Mapping[str, Iterable[str]], similar: Iterable[tuple[str, str]]
) -> dict[str, str]:
    """Return the name of each owner's connected component: the first of its owners' names.

    Parameters
    ----------
    chains
        Owner to the sequences of its protein chains; owners of equal sequences are connected.
    similar
        Pairs of similar sequences, as `find_similar` finds them; others' may be among them.
    """
    owned = _Ownership.of(chains.values())
    place = {text: number for number, text in enumerate(owned.sequences)}
    ends = [(place[one], place[other]) for one, other in similar if {one, other} <= place.keys()]
    pairs = pd.DataFrame(ends, columns=["first", "second"], dtype=np.int64)
    names = list(chains)
    found: dict[str, str] = {}
    for numbers in _components(len(names), owned, pairs):
        members = [names[number] for number in numbers]
        found |= dict.fromkeys(members, min(members))
    return {name: found[name] for name in names}


def _components(count: int, owned: _Ownership, pairs: pd.DataFrame) -> list[NDArray[np.int64]]:
    """Return the entries of each connected component of the graph of entries and sequences."""
    size = count + len(owned.sequences)
    first = np.concatenate([owned.entry, count + pairs["first"].to_numpy()])
    second = np.concatenate([count + owned.sequence, count + pairs["second"].to_numpy()])
    graph = coo_array((np.ones(len(first), dtype=np.int8), (first, second)), shape=(size, size))
    labels = connected_components(graph, directed=False)[1][:count]
    order = np.argsort(labels, kind="stable")
    borders = np.flatnonzero(np.diff(labels[order])) + 1
    return np.split(order, borders) if count else []


def _closest(count: int, owned: _Ownership, pairs: pd.DataFrame) -> NDArray[np.float64]:
    """Return each entry's highest identity to a chain of another entry; NaN where it has none."""
    owners = np.bincount(owned.sequence, minlength=len(owned.sequences))
    sole = np.full(len(owned.sequences), -1)
    alone = owners[owned.sequence] == 1
    sole[owned.sequence[alone]] = owned.entry[alone]
    best = np.where(owners > 1, 1.0, -np.inf)
    for one, other in (("first", "second"), ("second", "first")):
        mine, theirs = pairs[one].to_numpy(), pairs[other].to_numpy()
        of_another = (sole[mine] != sole[theirs]) | (sole[theirs] < 0)
        np.maximum.at(best, mine[of_another], pairs["identity"].to_numpy()[of_another])
    closest = np.full(count, -np.inf)
    np.maximum.at(closest, owned.entry, best[owned.sequence])
    return np.where(np.isfinite(closest), closest, np.nan)
