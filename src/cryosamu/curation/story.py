"""Decisions in words: how many each filter took, and what became of one entry."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from cryosamu.archive import urls
from cryosamu.errors import CryosamuError


def funnel(decisions: pd.DataFrame) -> pd.DataFrame:
    """Count the verdicts of each filter, in the order in which the filters first spoke.

    Returns
    -------
    DataFrame
        Index: filter; columns kept, dropped, failed.
    """
    counts = pd.crosstab(decisions["filter"], decisions["verdict"])
    counts = counts.reindex(
        index=decisions["filter"].unique(), columns=["keep", "drop", "fail"], fill_value=0
    )
    return counts.set_axis(["kept", "dropped", "failed"], axis="columns")


def funnel_lines(decisions: pd.DataFrame) -> Iterator[str]:
    """Yield one line a filter: ``resolution: 12 kept, 3 dropped, 0 failed``."""
    for name, row in funnel(decisions).iterrows():
        yield f"{name}: {row['kept']} kept, {row['dropped']} dropped, {row['failed']} failed"


def explain(decisions: pd.DataFrame, emdb_id: str) -> list[str]:
    """Tell one entry's story: what each filter found, and how it ended.

    Parameters
    ----------
    emdb_id
        Such as EMD-3488; 3488 will do.

    Raises
    ------
    CryosamuError
        When no filter saw the entry.
    """
    identifier = urls.emdb_id(emdb_id)
    rows = decisions[decisions["emdb_id"] == identifier]
    if rows.empty:
        raise CryosamuError(f"{identifier}: no filter saw it; it is not in this catalogue.")
    last = rows.iloc[-1]
    model = f" with PDB {last['pdb_id']}" if last["pdb_id"] else ""
    ends = {
        "keep": f"{identifier}{model} was kept by all {len(rows)} filters that saw it.",
        "drop": f"{identifier}{model} was dropped by the filter '{last['filter']}'.",
        "fail": f"{identifier}{model} could not be judged: '{last['filter']}' failed.",
    }
    told = [f"  {row.verdict}  {row.filter}: {row.reason}" for row in rows.itertuples()]
    return [ends[last["verdict"]], *told]
