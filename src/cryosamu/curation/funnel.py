"""The data set's funnel: what each filter took, and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

_KEY = ["emdb_id", "pdb_id"]


@dataclass(frozen=True)
class Stage:
    """One filter: entries that it saw, dropped, could not judge, and left."""

    name: str
    seen: int
    dropped: int
    failed: int

    @property
    def left(self) -> int:
        """Entries that went on."""
        return self.seen - self.dropped - self.failed


@dataclass(frozen=True)
class Funnel:
    """The way from all candidates to the pairs.

    Attributes
    ----------
    candidates
        Rows of the catalogue; the entries that were decided on where there is no catalogue.
    stages
        In the order in which the filters ran.
    rejected
        One row an entry and filter that stopped it, as in the decisions.
    undecided
        EMDB ids of the catalogue that no filter saw.
    """

    candidates: int
    stages: list[Stage]
    rejected: pd.DataFrame
    undecided: list[str]


def build_funnel(decisions: pd.DataFrame, catalogue: pd.DataFrame | None = None) -> Funnel:
    """Count what the filters did, in the order of their first decision."""
    stages = []
    for name, rows in decisions.groupby("filter", sort=False):
        verdicts = rows["verdict"].value_counts()
        stages.append(
            Stage(str(name), len(rows), int(verdicts.get("drop", 0)), int(verdicts.get("fail", 0)))
        )
    rejected = decisions[decisions["verdict"] != "keep"].reset_index(drop=True)
    seen = _keys(decisions)
    known = seen if catalogue is None else _keys(catalogue)
    undecided = [emdb_id for emdb_id, _ in dict.fromkeys(known) if (emdb_id, _) not in set(seen)]
    return Funnel(len(set(known)), stages, rejected, undecided)


def funnel_lines(decisions: pd.DataFrame) -> Iterator[str]:
    """Yield one line a filter: ``resolution: 12 kept, 3 dropped, 0 failed``."""
    for one in build_funnel(decisions).stages:
        yield f"{one.name}: {one.left} kept, {one.dropped} dropped, {one.failed} failed"


def funnel_table(funnel: Funnel) -> pd.DataFrame:
    """Return one row a filter, all candidates first, to be read by people."""
    rows: list[tuple[object, ...]] = [("candidates", "", "", "", funnel.candidates)]
    for one in funnel.stages:
        rows.append((one.name.replace("_", " "), one.seen, one.dropped, one.failed, one.left))
    return pd.DataFrame(rows, columns=["filter", "seen", "dropped", "failed", "left"])


def _keys(frame: pd.DataFrame) -> list[tuple[str, str]]:
    named = frame[_KEY].fillna("")
    return [(str(emdb_id), str(pdb_id)) for emdb_id, pdb_id in named.itertuples(index=False)]
