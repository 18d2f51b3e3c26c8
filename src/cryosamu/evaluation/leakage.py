"""How near what is evaluated is to what was trained on, and which conditions use the answer.

Two leaks are told apart. Sequence: an evaluated chain that resembles a trained one, found as the
data set's own clusters are. Structure: a method that embeds the deposited model of the map it is
judged on has been told the answer, however clean the split is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from cryosamu.config import ClusteringSettings

WARNING = (
    "'enhanced' embeds the deposited model of the very map that it is judged on: its figures use "
    "the answer. The conditions that can be had in practice are a predicted or homologous model "
    "('enhanced_predicted') and none ('enhanced_no_structure'); report them beside it."
)

CONDITIONS = {
    "enhanced": ("the deposited model", True),
    "enhanced_predicted": ("a predicted or homologous model", False),
    "enhanced_no_structure": ("none", False),
}
"""Method to the structure that is embedded, and whether that is the answer."""

_METRICS = ("cc_mask", "d_fsc_05_masked")


@dataclass(frozen=True)
class Chain:
    """A protein chain of an entry.

    Attributes
    ----------
    sequence
        One letter a residue, deposited where the file tells, else observed.
    trained
        Its entry was trained or validated on; else it is evaluated.
    """

    emdb_id: str
    pdb_id: str
    chain: str
    sequence: str
    trained: bool


def any_identity(settings: ClusteringSettings) -> ClusteringSettings:
    """Return the settings that find every significant alignment of the same coverage."""
    return settings.model_copy(update={"identity": 0.0})


def distinct_sequences(chains: Sequence[Chain]) -> list[str]:
    """Return each sequence once, sorted; those of unknown residues alone left out."""
    return sorted({chain.sequence for chain in chains if chain.sequence.strip("X")})


def leakage_table(chains: Sequence[Chain], pairs: pd.DataFrame, identity: float) -> pd.DataFrame:
    """Return the rows of `tables.LEAKAGE`, one an evaluated chain, by entry and chain.

    Parameters
    ----------
    pairs
        first, second: positions in `distinct_sequences(chains)`; identity, 0 to 1: all significant
        alignments, whatever their identity.
    identity
        From which two sequences are in one cluster; clusters are closed over such pairs.
    """
    sequences = distinct_sequences(chains)
    place = {text: number for number, text in enumerate(sequences)}
    owners: dict[int, Chain] = {}
    for chain in sorted(chains, key=lambda one: (one.emdb_id, one.chain)):
        if chain.trained and chain.sequence in place:
            owners.setdefault(place[chain.sequence], chain)
    best = _nearest(pairs, owners)
    clusters = _clusters(len(sequences), pairs, identity)
    trained_clusters = {int(clusters[number]) for number in owners}
    rows = []
    for chain in sorted(chains, key=lambda one: (one.emdb_id, one.chain)):
        if chain.trained:
            continue
        number = place.get(chain.sequence)
        near, share = (None, None) if number is None else best.get(number, (None, None))
        rows.append(
            {
                "emdb_id": chain.emdb_id,
                "pdb_id": chain.pdb_id,
                "chain": chain.chain,
                "residues": len(chain.sequence),
                "nearest_emdb_id": near.emdb_id if near else None,
                "nearest_pdb_id": near.pdb_id if near else None,
                "nearest_chain": near.chain if near else None,
                "identity": share,
                "shares_cluster": number is not None and int(clusters[number]) in trained_clusters,
            }
        )
    columns = ["emdb_id", "pdb_id", "chain", "residues", "nearest_emdb_id", "nearest_pdb_id"]
    columns += ["nearest_chain", "identity", "shares_cluster"]
    return pd.DataFrame(rows, columns=columns).astype({"identity": float})


def _nearest(pairs: pd.DataFrame, owners: dict[int, Chain]) -> dict[int, tuple[Chain, float]]:
    """Return each sequence's most identical trained one."""
    best = {number: (chain, 1.0) for number, chain in owners.items()}
    for first, second, share in pairs[["first", "second", "identity"]].itertuples(index=False):
        for mine, theirs in ((first, second), (second, first)):
            if theirs in owners and (mine not in best or share > best[mine][1]):
                best[mine] = (owners[theirs], float(share))
    return best


def _clusters(count: int, pairs: pd.DataFrame, identity: float) -> NDArray[np.int32]:
    close = pairs[pairs["identity"] >= identity]
    ends = (close["first"].to_numpy(np.int64), close["second"].to_numpy(np.int64))
    graph = coo_array((np.ones(len(close), np.int8), ends), shape=(count, count))
    labels: NDArray[np.int32] = connected_components(graph, directed=False)[1]
    return labels


def maximum_identity(table: pd.DataFrame) -> dict[str, float | None]:
    """Return each evaluated map's highest identity to a trained chain; None where none aligns."""
    highest = table.groupby("emdb_id", sort=True)["identity"].max()
    return {str(name): None if np.isnan(value) else float(value) for name, value in highest.items()}


def conditions(evaluation: pd.DataFrame | None) -> list[dict[str, Any]]:
    """Return what each structural condition reached, that with the answer beside those without.

    Parameters
    ----------
    evaluation
        Rows of `tables.EVALUATION`; None where nothing was evaluated.

    Returns
    -------
    list
        method, structure, uses_answer, maps; means over maps of the low-passed output's metrics,
        None where not evaluated.
    """
    found = []
    for method, (structure, uses_answer) in CONDITIONS.items():
        one: dict[str, Any] = {
            "method": method, "structure": structure, "uses_answer": uses_answer, "maps": 0,
        }  # fmt: skip
        rows = None
        if evaluation is not None:
            rows = evaluation[(evaluation["method"] == method) & evaluation["low_passed"]]
            one["maps"] = int(rows.loc[rows["value"].notna(), "emdb_id"].nunique())
        for metric in _METRICS:
            mean = (
                float("nan") if rows is None else rows.loc[rows["metric"] == metric, "value"].mean()
            )
            one[metric] = None if np.isnan(mean) else float(mean)
        found.append(one)
    return found
