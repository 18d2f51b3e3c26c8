"""Decisions in words: what became of one entry, and why."""

from __future__ import annotations

import pandas as pd

from cryosamu.archive import urls
from cryosamu.curation.entry import emdb_number
from cryosamu.errors import CryosamuError

_NAMED = 8
"""Entries of a component that are named; of more, the rest is counted."""


def explain(
    decisions: pd.DataFrame,
    emdb_id: str,
    clusters: pd.DataFrame | None = None,
    split: pd.DataFrame | None = None,
) -> list[str]:
    """Tell one entry's story: how it ended, what each filter found, its component, its split.

    Parameters
    ----------
    decisions
        A DECISIONS table of all stages.
    emdb_id
        Such as EMD-3488; 3488 will do.
    clusters, split
        A CLUSTERS and a SPLIT table, if they are known.

    Raises
    ------
    CryosamuError
        When no filter saw the entry.
    """
    identifier = urls.emdb_id(emdb_id)
    rows = decisions[decisions["emdb_id"] == identifier]
    if rows.empty:
        raise CryosamuError(f"{identifier}: no filter saw it; it is not in this catalogue.")
    model = f" with PDB {rows['pdb_id'].iloc[-1]}" if rows["pdb_id"].iloc[-1] else ""
    lines = [f"{identifier}{model} {_end(decisions, identifier)}"]
    lines += [f"  {row.verdict}  {row.filter}: {row.reason}" for row in rows.itertuples()]
    if clusters is not None:
        lines += _component(decisions, clusters, identifier)
    if split is not None:
        names = split["split"][split["emdb_id"] == identifier]
        lines += [f"It is in the split '{name}'." for name in names]
    return lines


def _end(decisions: pd.DataFrame, identifier: str) -> str:
    """Return how an entry ended, as the end of a sentence."""
    rows = decisions[decisions["emdb_id"] == identifier]
    last = rows.iloc[-1]
    return {
        "keep": f"was kept by all {len(rows)} filters that saw it.",
        "drop": f"was dropped by the filter '{last['filter']}'.",
        "fail": f"could not be judged: '{last['filter']}' failed; the next run tries again.",
    }[last["verdict"]]


def _component(decisions: pd.DataFrame, clusters: pd.DataFrame, identifier: str) -> list[str]:
    """Return what connects an entry with others, who stands for them, and how that one ended."""
    mine = clusters[clusters["emdb_id"] == identifier]
    if mine.empty:
        return []
    name, best = mine["cluster"].iloc[0], mine["representative"].iloc[0]
    together = clusters["emdb_id"][clusters["cluster"] == name]
    others = sorted(set(together) - {identifier}, key=emdb_number)
    if not others:
        return ["No other entry has a similar protein chain: it stands for itself."]
    rest = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
    resolution = mine["representative_resolution"].iloc[0]
    lines = [
        f"Similar protein chains connect it with {', '.join(others[:_NAMED])}{rest} "
        f"(component {name})."
    ]
    if best == identifier:
        lines.append(f"It is the best resolved of them, at {resolution:g} Å.")
    else:
        end = _end(decisions, best)
        lines.append(f"{best} is the best resolved of them, at {resolution:g} Å; it {end}")
    last = decisions[decisions["emdb_id"].isin(together)].drop_duplicates("emdb_id", keep="last")
    stands = last["emdb_id"][last["verdict"] == "keep"]
    lines += [f"{one} stands for them in the data set." for one in stands]
    return lines if len(stands) else [*lines, "None of them is in the data set."]
