"""How close each evaluated map's protein is to what the network was trained on."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping

import pandas as pd

from cryosamu.report.entries import Entry
from cryosamu.report.listing import Cell, Table, header, number, text
from cryosamu.report.names import DEPLOYABLE, ENHANCED, METRICS, method_label
from cryosamu.report.verdict import FAIR_BASELINE, Condition, values_of

SHOWN = METRICS["cc_mask"]
"""The metric in which the conditions stand side by side."""

_PER_CENT = 100


def closest_chains(leakage: pd.DataFrame) -> pd.DataFrame:
    """Return for each map the chain that is closest to training or validation.

    Columns of `tables.LEAKAGE`; `shares_cluster` is true where that of any of its chains is.
    """
    ids = ["emdb_id", "pdb_id"]
    first = leakage.sort_values("identity", ascending=False, na_position="last", kind="stable")
    closest = first.drop_duplicates(ids)
    shared = leakage.groupby(ids)["shares_cluster"].any().rename("any_shared")
    joined = closest.merge(shared, left_on=ids, right_index=True)
    return joined.assign(shares_cluster=joined["any_shared"]).drop(columns="any_shared")


def leakage_table(leakage: pd.DataFrame, entries: list[Entry]) -> Table | None:
    """Return one row a map: its closest trained chain, and what each condition reaches.

    None where no chain was evaluated.
    """
    if leakage.empty:
        return None
    known = {entry.emdb_id: entry for entry in entries}
    measured = {m for e in entries for m in e.rows.loc[e.rows["metric"] == SHOWN.key, "method"]}
    told = [method for method in (ENHANCED, *DEPLOYABLE) if method in measured]
    titles = ["fair baseline", *(_told(method) for method in told)] if told else []
    return Table(
        "leakage",
        "The chain of each map that is closest to a chain that was trained or validated on, by "
        f"sequence. {header(SHOWN)} of the enhanced map, low-passed to the reported resolution, by "
        "what the network was told: the deposited model is the answer itself; what can be told of "
        "a new map is a predicted or homologous model, or nothing."
        if told
        else "The chain of each map that is closest to a chain that was trained or validated on, "
        "by sequence.",
        ["Entry", "Greatest identity (%)", "Chain", "Closest trained chain", "Same cluster"]
        + [f"{SHOWN.label}, {title}" for title in titles],
        [False, True, False, False, False, *[True] * len(titles)],
        [
            [
                *_identity_cells(row, known.get(str(row["emdb_id"]))),
                *(_condition_cells(known.get(str(row["emdb_id"])), told) if told else ()),
            ]
            for row in closest_chains(leakage).to_dict("records")
        ],
    )


def _told(method: str) -> str:
    return "deposited model" if method == ENHANCED else method_label(method).partition(", ")[2]


def _identity_cells(row: Mapping[Hashable, object], entry: Entry | None) -> list[Cell]:
    identity = row["identity"]
    aligned = not math.isnan(float(str(identity)))
    nearest = f"{row['nearest_emdb_id']}, {row['nearest_pdb_id']} chain {row['nearest_chain']}"
    return [
        Cell(str(row["emdb_id"]), link="" if entry is None else f"#{entry.anchor}"),
        number(_PER_CENT * float(str(identity)), 1) if aligned else Cell("none aligns", -1.0),
        text(row["chain"] if aligned else None),
        text(nearest if aligned else None),
        text("yes" if row["shares_cluster"] else "no"),
    ]


def _condition_cells(entry: Entry | None, told: list[str]) -> list[Cell]:
    if entry is None:
        return [number(None)] * (len(told) + 1)
    conditions = [FAIR_BASELINE, *(Condition(method, True) for method in told)]
    return [
        number(values_of(entry.rows, condition).get(SHOWN.key), SHOWN.digits)
        for condition in conditions
    ]


def about_leakage(leakage: pd.DataFrame, limit: float) -> list[str]:
    """Return sentences on the greatest identity of all maps and on those above the limit.

    Parameters
    ----------
    limit
        Identity, 0 to 1, above which two chains would be one cluster.
    """
    if leakage.empty:
        return []
    closest = closest_chains(leakage)
    aligned = closest.dropna(subset=["identity"])
    maps = f"{len(closest)} evaluated map{'s' if len(closest) != 1 else ''}"
    if aligned.empty:
        return [f"No chain of {maps} aligns with a chain that was trained or validated on."]
    top = aligned.iloc[0]
    line = (
        f"Of {maps}, {top['emdb_id']} is closest to what was trained or validated on: "
        f"{_PER_CENT * top['identity']:.0f} % sequence identity with chain {top['nearest_chain']} "
        f"of {top['nearest_emdb_id']}."
    )
    leaking = closest[(closest["identity"] > limit) | closest["shares_cluster"]]
    if leaking.empty:
        return [line + f" None is above {_PER_CENT * limit:g} % or in a cluster of training."]
    named = ", ".join(leaking["emdb_id"].head(5))
    more = f" and {len(leaking) - 5} more" if len(leaking) > 5 else ""
    return [
        line + f" Above {_PER_CENT * limit:g} %, or in a cluster of training: {named}{more}. Such "
        "results say little of new proteins."
    ]
