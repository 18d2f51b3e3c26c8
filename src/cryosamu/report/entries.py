"""The entries of the page, each with what the other tables know of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from cryosamu import tables
from cryosamu.report.inputs import Inputs

HELD_OUT = "test"


@dataclass(frozen=True)
class Entry:
    """One map with its model.

    Attributes
    ----------
    resolution
        Reported, Å; None where no table tells.
    simulated
        None where no table tells.
    split
        train, validation or test; None where the entry is in no split.
    held_out
        Whether it counts for the verdict: a test entry, or any entry where there is no split,
        unless the network has seen it.
    seen
        Whether the checkpoint was trained on it or chosen by it.
    rows
        Its part of the evaluation; empty for an entry that is only drawn.
    curves
        Its part of the FSC curves; None where no curves were given.
    anchor
        The id of its article within the page.
    """

    emdb_id: str
    pdb_id: str
    title: str
    resolution: float | None
    simulated: bool | None
    split: str | None
    held_out: bool
    seen: bool
    rows: pd.DataFrame
    curves: pd.DataFrame | None
    anchor: str = ""

    @property
    def kind(self) -> str:
        """Real or simulated, in a word."""
        if self.simulated is None:
            return "not known"
        return "simulated" if self.simulated else "real"


def list_entries(inputs: Inputs) -> list[Entry]:
    """Return the entries that were evaluated or are to be drawn: held-out and real ones first."""
    evaluation = inputs.evaluation
    if evaluation is None:
        evaluation = tables.EVALUATION.empty_table().to_pandas()
    entries = [
        _entry(inputs, str(emdb_id), str(pdb_id), rows)
        for (emdb_id, pdb_id), rows in evaluation.groupby(["emdb_id", "pdb_id"], sort=True)
    ]
    evaluated = {entry.emdb_id for entry in entries}
    entries += [
        _entry(inputs, pairing.emdb_id, pairing.model_id, evaluation.iloc[:0])
        for pairing in inputs.pairings
        if pairing.emdb_id not in evaluated
    ]
    entries.sort(key=lambda e: (not e.held_out, bool(e.simulated), e.emdb_id))
    return [replace(entry, anchor=f"entry-{place}") for place, entry in enumerate(entries, 1)]


def _entry(inputs: Inputs, emdb_id: str, pdb_id: str, rows: pd.DataFrame) -> Entry:
    seen = inputs.run is not None and emdb_id in inputs.run.seen
    known = {
        **_present_in(inputs.catalogue, emdb_id, pdb_id),
        **_present_in(inputs.split, emdb_id, pdb_id),
    }
    curves = inputs.curves
    return Entry(
        emdb_id,
        pdb_id,
        str(known.get("title", "")),
        float(known["resolution"]) if "resolution" in known else None,
        bool(known["simulated"]) if "simulated" in known else None,
        known.get("split"),
        known.get("split", HELD_OUT if inputs.split is None else None) == HELD_OUT and not seen,
        seen,
        rows,
        None if curves is None else curves[curves["emdb_id"] == emdb_id],
    )


def _present_in(frame: pd.DataFrame | None, emdb_id: str, pdb_id: str) -> dict[str, Any]:
    """Return the entry's row without its missing values; empty where there is no such row."""
    if frame is None:
        return {}
    found = frame[(frame["emdb_id"] == emdb_id) & (frame["pdb_id"] == pdb_id)]
    return {} if found.empty else {str(k): v for k, v in found.iloc[0].dropna().items()}
