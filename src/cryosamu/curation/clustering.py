"""Entries connected by similar protein chains: one of them is kept, and all share a split."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

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
        Highest identity, 0 to 1, of a chain of this entry to a similar chain of another; None
        where there is none.
    """

    emdb_id: str
    cluster: str
    size: int
    representative: str
    representative_resolution: float
    identity: float | None


def cluster_entries(
    sequences: Mapping[str, Iterable[str]],
    resolutions: Mapping[str, float],
    settings: ClusteringSettings,
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
    """
    owners: dict[str, set[str]] = defaultdict(set)
    for emdb_id, chains in sequences.items():
        for sequence in chains:
            if sequence.strip("X"):
                owners[sequence].add(emdb_id)
    links = _links(owners, settings)
    components = _components(sequences, links)
    closest: dict[str, float] = {}
    for (first, second), identity in links.items():
        for emdb_id in (first, second):
            closest[emdb_id] = max(identity, closest.get(emdb_id, 0.0))
    found = {}
    for members in components:
        best = min(members, key=lambda one: (resolutions[one], emdb_number(one)))
        name = min(members, key=emdb_number)
        for emdb_id in members:
            found[emdb_id] = Membership(
                emdb_id, name, len(members), best, resolutions[best], closest.get(emdb_id)
            )
    return {emdb_id: found[emdb_id] for emdb_id in sequences}


def _links(
    owners: Mapping[str, set[str]], settings: ClusteringSettings
) -> dict[tuple[str, str], float]:
    """Return pairs of entries with similar chains and their identity: enough to connect them.

    All owners of one sequence are linked to its first owner, not each to each: a sequence with a
    thousand owners then has a thousand links instead of half a million.
    """
    unique = sorted(owners)
    first_owner = [min(owners[sequence], key=emdb_number) for sequence in unique]
    links: dict[tuple[str, str], float] = {}
    for sequence, first in zip(unique, first_owner, strict=True):
        for other in owners[sequence] - {first}:
            links[first, other] = 1.0
    for pair in find_similar(unique, settings):
        ends = first_owner[pair.first], first_owner[pair.second]
        if ends[0] != ends[1]:
            links[ends] = max(pair.identity, links.get(ends, 0.0))
    return links


def _components(entries: Iterable[str], links: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Return the connected components of a graph."""
    neighbours: dict[str, list[str]] = defaultdict(list)
    for first, second in links:
        neighbours[first].append(second)
        neighbours[second].append(first)
    seen: set[str] = set()
    components = []
    for start in entries:
        if start in seen:
            continue
        seen.add(start)
        members = [start]
        for member in members:
            fresh = [one for one in neighbours[member] if one not in seen]
            seen.update(fresh)
            members.extend(dict.fromkeys(fresh))
        components.append(members)
    return components
