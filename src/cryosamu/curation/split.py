"""Train, validation, test: by a hash of the cluster, so that growth moves nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Literal

import pandas as pd

from cryosamu.config import SplitSettings
from cryosamu.errors import ConfigError

SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")


def split_pairs(pairs: pd.DataFrame, settings: SplitSettings) -> pd.DataFrame:
    """Give each pair the split of its cluster.

    A cluster's split depends on its name and the seed alone: the other pairs have no say, so an
    entry keeps its split when the data set grows, and the shares are met on average, not exactly.
    A pinned entry takes its whole cluster along.

    Returns
    -------
    DataFrame
        A SPLIT table in the order of `pairs`.

    Raises
    ------
    ConfigError
        When two entries of one cluster are pinned to different splits.
    """
    pinned = _pinned_clusters(pairs, settings.pinned)
    chosen = {
        cluster: pinned.get(cluster) or hashed_split(cluster, settings)
        for cluster in pairs["cluster"].unique()
    }
    return pairs.assign(split=[chosen[cluster] for cluster in pairs["cluster"]])


def hashed_split(cluster: str, settings: SplitSettings) -> SplitName:
    """Return the split of a cluster from SHA-256 of seed and name, taken as a number in [0, 1)."""
    digest = hashlib.sha256(f"{settings.seed}:{cluster}".encode()).digest()
    place = int.from_bytes(digest[:8]) / 2**64
    if place < settings.train:
        return "train"
    return "validation" if place < settings.train + settings.validation else "test"


def empty_splits(split: pd.DataFrame) -> list[SplitName]:
    """Return the splits without a pair."""
    present = set(split["split"])
    return [name for name in SPLITS if name not in present]


def _pinned_clusters(pairs: pd.DataFrame, pinned: Mapping[str, SplitName]) -> dict[str, SplitName]:
    clusters = dict(zip(pairs["emdb_id"], pairs["cluster"], strict=True))
    found: dict[str, SplitName] = {}
    for emdb_id, name in pinned.items():
        cluster = clusters.get(emdb_id)
        if cluster is not None and found.setdefault(cluster, name) != name:
            raise ConfigError(
                f"'split.pinned' puts {emdb_id} into {name}, but a similar entry of its cluster "
                f"{cluster} into {found[cluster]}; pin both to the same split."
            )
    return found
