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
    curves, residues, controls
        Its part of those tables; None where there was no such table.
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
    curves: pd.DataFrame | None = None
    residues: pd.DataFrame | None = None
    controls: pd.DataFrame | None = None
    anchor: str = ""

    @property
    def kind(self) -> str:
        """Real or simulated, in a word."""
        if self.simulated is None:
            return "not known"
        return "simulated" if self.simulated else "real"


def list_entries(inputs: Inputs) -> list[Entry]:
    """Return the entries that there are figures or maps of: held-out and real ones first."""
    listed: list[tuple[str, str]] = []
    for frame in (inputs.evaluation, inputs.residues, inputs.controls):
        if frame is not None:
            listed += zip(frame["emdb_id"], frame["pdb_id"], strict=True)
    named = {emdb_id for emdb_id, _ in listed}
    listed += [(p.emdb_id, p.model_id) for p in inputs.pairings if p.emdb_id not in named]
    entries = [_entry(inputs, *ids) for ids in dict.fromkeys(listed)]
    entries.sort(key=lambda e: (not e.held_out, bool(e.simulated), e.emdb_id))
    return [replace(entry, anchor=f"entry-{place}") for place, entry in enumerate(entries, 1)]


def _entry(inputs: Inputs, emdb_id: str, pdb_id: str) -> Entry:
    seen = inputs.run is not None and emdb_id in inputs.run.seen
    known = {
        **_present_in(inputs.catalogue, emdb_id, pdb_id),
        **_present_in(inputs.split, emdb_id, pdb_id),
    }
    evaluation = inputs.evaluation
    if evaluation is None:
        evaluation = tables.EVALUATION.empty_table().to_pandas()
    return Entry(
        emdb_id,
        pdb_id,
        str(known.get("title", "")),
        float(known["resolution"]) if "resolution" in known else None,
        bool(known["simulated"]) if "simulated" in known else None,
        known.get("split"),
        known.get("split", HELD_OUT if inputs.split is None else None) == HELD_OUT and not seen,
        seen,
        _rows_of(evaluation, emdb_id, pdb_id),
        # Curves do not name the model.
        None if inputs.curves is None else inputs.curves[inputs.curves["emdb_id"] == emdb_id],
        None if inputs.residues is None else _rows_of(inputs.residues, emdb_id, pdb_id),
        None if inputs.controls is None else _rows_of(inputs.controls, emdb_id, pdb_id),
    )


def _rows_of(frame: pd.DataFrame, emdb_id: str, pdb_id: str) -> pd.DataFrame:
    return frame[(frame["emdb_id"] == emdb_id) & (frame["pdb_id"] == pdb_id)]


def _present_in(frame: pd.DataFrame | None, emdb_id: str, pdb_id: str) -> dict[str, Any]:
    """Return the entry's row without its missing values; empty where there is no such row."""
    if frame is None:
        return {}
    found = _rows_of(frame, emdb_id, pdb_id)
    return {} if found.empty else {str(k): v for k, v in found.iloc[0].dropna().items()}
