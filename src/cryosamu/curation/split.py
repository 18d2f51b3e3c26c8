"""Train, validation, test: balanced over resolution, and growth moves nothing."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, floor
from typing import Literal

import pandas as pd

from cryosamu.config import SplitSettings
from cryosamu.curation.entry import emdb_number
from cryosamu.errors import ConfigError

SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")
"""In the order in which they win: what was trained on is never evaluated."""


@dataclass(frozen=True)
class Component:
    """Connected entries, of which one or more are pairs.

    Attributes
    ----------
    name
        The EMDB id of its oldest entry.
    members
        All its entries by rising EMDB number.
    stratum
        The place of its best resolution between the bounds of `split.strata`.
    """

    name: str
    members: tuple[str, ...]
    stratum: int


@dataclass(frozen=True)
class Assignment:
    """What a split decided.

    Attributes
    ----------
    table
        A SPLIT table in the order of the pairs.
    remembered
        EMDB id to component and split of every entry of the components, pairs or not.
    warnings
        One sentence a component that could not keep all its entries where they were.
    """

    table: pd.DataFrame
    remembered: dict[str, tuple[str, SplitName]]
    warnings: list[str]


def split_pairs(
    pairs: pd.DataFrame,
    settings: SplitSettings,
    remembered: Mapping[str, SplitName] | None = None,
    clusters: pd.DataFrame | None = None,
) -> Assignment:
    """Give each pair the split of its component.

    In this order: a pinned entry takes its component along; a component with remembered entries
    keeps their split; new components fill up the shares of each resolution stratum. Where a
    component has remembered entries of several splits, because a new entry connects what was
    apart, training wins over validation and validation over test.

    Parameters
    ----------
    pairs
        A PAIRS table.
    remembered
        EMDB id to its split in earlier runs.
    clusters
        A CLUSTERS table; without it a component is known by its name and its pairs alone.

    Raises
    ------
    ConfigError
        When two entries of one component are pinned to different splits.
    """
    remembered = remembered or {}
    components = _components(pairs, clusters, settings.strata)
    chosen: dict[str, SplitName] = {}
    warnings = []
    for component in components:
        pin = _pin_of(component, settings.pinned)
        known = {one: remembered[one] for one in component.members if one in remembered}
        name = pin or min(known.values(), key=SPLITS.index, default=None)
        if name is not None:
            chosen[component.name] = name
            warnings += _moved(component, known, name, pinned=pin is not None)
    chosen |= _fill_up(components, chosen, settings)
    return Assignment(
        pairs.assign(split=[chosen[cluster] for cluster in pairs["cluster"]]),
        {one: (c.name, chosen[c.name]) for c in components for one in c.members},
        warnings,
    )


def _components(
    pairs: pd.DataFrame, clusters: pd.DataFrame | None, bounds: tuple[float, ...]
) -> list[Component]:
    """Return the components that hold a pair, in the order of the pairs."""
    members: dict[str, set[str]] = {}
    best: dict[str, float] = {}
    rows = zip(pairs["emdb_id"], pairs["cluster"], pairs["resolution"], strict=True)
    for emdb_id, cluster, resolution in rows:
        members.setdefault(cluster, {cluster}).add(emdb_id)
        best[cluster] = min(resolution, best.get(cluster, resolution))
    if clusters is not None:
        for emdb_id, cluster in zip(clusters["emdb_id"], clusters["cluster"], strict=True):
            if cluster in members:
                members[cluster].add(emdb_id)
    return [
        Component(name, tuple(sorted(ones, key=emdb_number)), bisect_right(bounds, best[name]))
        for name, ones in members.items()
    ]


def _pin_of(component: Component, pinned: Mapping[str, SplitName]) -> SplitName | None:
    pins = {one: pinned[one] for one in component.members if one in pinned}
    if len(set(pins.values())) > 1:
        told = " and ".join(f"{one} into {name}" for one, name in pins.items())
        raise ConfigError(
            f"'split.pinned' puts {told}, which similar chains connect (component "
            f"{component.name}); pin them to the same split."
        )
    return next(iter(pins.values()), None)


def _moved(
    component: Component, known: Mapping[str, SplitName], name: SplitName, pinned: bool
) -> list[str]:
    """Return a sentence if entries of a component must leave the split that they were in."""
    if set(known.values()) <= {name}:
        return []
    were = ", ".join(f"{one} ({split})" for one, split in known.items())
    if not pinned:
        fresh = ", ".join(one for one in component.members if one not in known)
        by = f" by {fresh}" if fresh else ""
        return [
            f"{were} are connected now{by}; their component {component.name} goes to {name}, "
            "so that what was trained on is never evaluated."
        ]
    seen = " A network trained before has seen it." if "train" in known.values() else ""
    return [f"'split.pinned' moves component {component.name} to {name}; it was: {were}.{seen}"]


def _fill_up(
    components: Iterable[Component], chosen: Mapping[str, SplitName], settings: SplitSettings
) -> dict[str, SplitName]:
    """Return the splits of the components that have none yet, stratum by stratum.

    Within a stratum each split first gets its share rounded down; the few components that are
    left go where the data set as a whole lacks most, at most up to the share rounded up. So a
    fresh split is within one component of the shares in each stratum, and close to them in all.
    """
    counts: dict[int, Counter[SplitName]] = defaultdict(Counter)
    fresh: dict[int, list[str]] = defaultdict(list)
    for component in components:
        if component.name in chosen:
            counts[component.stratum][chosen[component.name]] += 1
        else:
            fresh[component.stratum].append(component.name)
    total: Counter[SplitName] = sum(counts.values(), Counter())
    found: dict[str, SplitName] = {}
    for stratum in sorted(fresh):
        names = sorted(fresh[stratum], key=lambda name: _place(name, settings.seed))
        size = len(names) + counts[stratum].total()
        for name in names:
            split = _neediest(counts[stratum], size, total, settings)
            counts[stratum][split] += 1
            total[split] += 1
            found[name] = split
    return found


def _place(name: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}:{name}".encode()).digest()


def _neediest(
    inside: Counter[SplitName], size: int, total: Counter[SplitName], settings: SplitSettings
) -> SplitName:
    """Return the split that the next component of a stratum goes to.

    Parameters
    ----------
    inside, total
        Components that each split has already, in the stratum and in all.
    size
        Components that the stratum will have.
    """
    # Shares are decimal fractions: 0.2 * 15 must not be rounded down to 2.
    target = {name: round(getattr(settings, name) * size, 9) for name in SPLITS}
    lacking = [name for name in SPLITS if inside[name] < floor(target[name])]
    if lacking:
        return max(lacking, key=lambda name: target[name] - inside[name])
    open_ones = [name for name in SPLITS if inside[name] < ceil(target[name])]
    whole = total.total() + 1
    return max(open_ones, key=lambda name: getattr(settings, name) * whole - total[name])


def empty_splits(split: pd.DataFrame) -> list[SplitName]:
    """Return the splits without a pair."""
    present = set(split["split"])
    return [name for name in SPLITS if name not in present]


def balance(split: pd.DataFrame, bounds: tuple[float, ...]) -> pd.DataFrame:
    """Count the pairs of each split in each stratum of reported resolution.

    Returns
    -------
    DataFrame
        Index: stratum, such as ``4.5–5.5 Å``; columns train, validation, test.
    """
    ends = [f"{bound:g}" for bound in bounds]
    labels = ["all"]
    if ends:
        middle = [f"{low}–{high} Å" for low, high in pairwise(ends)]
        labels = [f"below {ends[0]} Å", *middle, f"from {ends[-1]} Å"]
    strata = [bisect_right(bounds, resolution) for resolution in split["resolution"]]
    counts = Counter(zip(strata, split["split"], strict=True))
    rows = [[counts[place, name] for name in SPLITS] for place in range(len(labels))]
    return pd.DataFrame(rows, index=labels, columns=list(SPLITS))
