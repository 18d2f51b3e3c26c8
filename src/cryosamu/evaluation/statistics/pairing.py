"""Each method's value beside the reference's, map by map."""

from __future__ import annotations

import json

import pandas as pd

from cryosamu.errors import CryosamuError
from cryosamu.evaluation.definitions import METRICS

ENTRY = ["emdb_id", "pdb_id"]


def paired_values(
    evaluation: pd.DataFrame, reference: str, pairs: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Return one row a map, method, metric and filter; this is also the scatter with y = x.

    Parameters
    ----------
    evaluation
        Rows of `tables.EVALUATION`, of any number of maps.
    reference
        The method that all others are held against.
    pairs
        Rows with emdb_id, pdb_id and cluster, such as `tables.SPLIT`; every map is a cluster of
        its own where None or where it is not listed.

    Returns
    -------
    DataFrame
        emdb_id, pdb_id, cluster, resolution (Å), method, metric, low_passed, x (the reference's
        value), y (the method's), gain (y - x, or x - y where a smaller value is better), failed
        (the method gave no map, though the reference did).

    Raises
    ------
    CryosamuError
        When there are no rows, the reference is not among the methods or stands alone, or a row is
        there twice.
    """
    if evaluation.empty:
        raise CryosamuError("the tables hold no rows: no map was judged.")
    key = [*ENTRY, "metric", "low_passed"]
    twice = evaluation[evaluation.duplicated([*key, "method"])]
    if len(twice):
        row = twice.iloc[0]
        raise CryosamuError(
            f"the tables hold {row['metric']} of {row['method']} for {row['emdb_id']} more than "
            "once; give each table once."
        )
    if set(evaluation["method"]) == {reference}:
        raise CryosamuError(f"the tables hold no method beside '{reference}': nothing to compare.")
    if reference not in set(evaluation["method"]):
        known = ", ".join(sorted(set(evaluation["method"])))
        raise CryosamuError(f"the tables hold no method '{reference}'; they have {known}.")
    rows = evaluation.assign(failed=evaluation["settings"].map(_failed))
    base = rows[rows["method"] == reference]
    base = base[[*key, "value", "failed"]].rename(columns={"value": "x", "failed": "no_reference"})
    joined = rows[rows["method"] != reference].merge(base, on=key, how="inner", validate="m:1")
    joined = joined[~joined["no_reference"]].rename(columns={"value": "y"})
    sign = joined["metric"].map(_direction)
    joined["gain"] = (joined["y"] - joined["x"]) * sign
    joined = joined.merge(_resolutions(evaluation), on=ENTRY, how="left")
    joined["cluster"] = _clusters(joined, pairs)
    columns = [*ENTRY, "cluster", "resolution", "method", "metric", "low_passed", "x", "y"]
    return joined[[*columns, "gain", "failed"]].reset_index(drop=True)


def _failed(settings: str) -> bool:
    return "error" in json.loads(settings)


def _direction(metric: str) -> int:
    known = METRICS.get(metric)
    return 1 if known is None or known.higher_is_better else -1


def _resolutions(evaluation: pd.DataFrame) -> pd.DataFrame:
    """Return each map's reported resolution, which its rows' settings tell."""
    found = evaluation[ENTRY].assign(
        resolution=evaluation["settings"].map(lambda text: json.loads(text).get("resolution"))
    )
    return found.astype({"resolution": float}).groupby(ENTRY).first().reset_index()


def _clusters(rows: pd.DataFrame, pairs: pd.DataFrame | None) -> pd.Series[str]:
    alone = rows["emdb_id"] + "/" + rows["pdb_id"]
    if pairs is None:
        return alone
    known = pairs.drop_duplicates("emdb_id").set_index("emdb_id")["cluster"]
    return rows["emdb_id"].map(known).fillna(alone)
