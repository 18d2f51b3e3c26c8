"""The page's part about each map: what its article says and shows."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
from markupsafe import Markup
from tqdm import tqdm

from cryosamu.config import Config
from cryosamu.report import charts, listing
from cryosamu.report.control_tables import control_table
from cryosamu.report.drawing.entry import Scene, read_scene
from cryosamu.report.entries import Entry, list_entries
from cryosamu.report.gain_table import gain_table
from cryosamu.report.inputs import Inputs
from cryosamu.report.names import METHOD_LABELS, method_label, ordered
from cryosamu.report.pictures import page_pictures
from cryosamu.report.residue_charts import about_residues, residue_chart
from cryosamu.report.viewer.block import view_block
from cryosamu.report.viewer.view import build_view


def map_articles(inputs: Inputs) -> list[dict[str, Any]]:
    """Return what the template needs of each entry; the first ones with maps get a 3D view.

    Raises
    ------
    CryosamuError
        When a map or model to be drawn cannot be read.
    """
    drawn = {pairing.emdb_id: pairing for pairing in inputs.pairings}
    views_left = (inputs.config or Config()).report.viewers
    articles = []
    progress = tqdm(list_entries(inputs), desc="drawing", unit="map", disable=None)
    for place, entry in enumerate(progress, start=1):
        article = _article(entry, place)
        if entry.emdb_id in drawn:
            pairing = drawn[entry.emdb_id]
            scene = read_scene(pairing.deposited, pairing.enhanced, pairing.model)
            article["pictures"] = page_pictures(scene, entry.emdb_id)
            if views_left:
                article["view"] = _view(scene, entry, place)
                views_left -= 1
        articles.append(article)
    return articles


def _article(entry: Entry, place: int) -> dict[str, Any]:
    evaluated = len(entry.rows) > 0
    curves, residues = entry.curves, entry.residues
    return {
        "anchor": entry.anchor,
        "heading": f"{entry.emdb_id} with {entry.pdb_id}",
        "title": entry.title,
        "badges": _badges(entry),
        "table": listing.metric_table(entry, f"metrics-{place}") if evaluated else None,
        "gains": gain_table(entry, f"gains-{place}") if evaluated else None,
        "controls": control_table(entry, f"controls-{place}"),
        "residues": None if residues is None else residue_chart(residues, f"residues-{place}"),
        "about_residues": [] if residues is None else about_residues(residues),
        "how_made": _how_made(entry.rows),
        "failures": _failures(entry.rows),
        "fsc": charts.fsc_chart(curves, entry.resolution, f"fsc-{place}")
        if curves is not None and len(curves)
        else None,
        "pictures": None,
        "view": None,
    }


def _view(scene: Scene, entry: Entry, place: int) -> dict[str, Any]:
    view = build_view(scene)
    return {
        "name": f"view-{place}",
        "entry": entry.emdb_id,
        "model": scene.structure is not None,
        "last": len(view.shares) - 1,
        "start": view.start,
        "voxel": f"{view.voxel[0]:.2g}",
        # JSON without any "<": nothing in it can end the element that it stands in.
        "block": Markup(view_block(view)),
    }


def _badges(entry: Entry) -> list[str]:
    reported = [] if entry.resolution is None else [f"reported {entry.resolution:g} Å"]
    kind = [] if entry.simulated is None else [f"{entry.kind} map"]
    role = ["held out" if entry.held_out else "not held out"] if entry.split or entry.seen else []
    return [*reported, *kind, *role]


def _how_made(rows: pd.DataFrame) -> list[tuple[str, str]]:
    """Return (method, how its map was made and measured)."""
    found = []
    for method in ordered(set(rows["method"]), METHOD_LABELS):
        for written in rows.loc[rows["method"] == method, "settings"].dropna().unique():
            values = _settings(written).items()
            words = ", ".join(f"{key.replace('_', ' ')}: {value}" for key, value in values)
            found.append((method_label(method), words or str(written)))
    return found


def _failures(rows: pd.DataFrame) -> list[tuple[str, str]]:
    """Return (method, reason) of the methods whose map could not be had or judged."""
    pairs = zip(rows["method"], rows["settings"].fillna(""), strict=True)
    failed = {
        method_label(method): str(values["error"])
        for method, values in ((method, _settings(written)) for method, written in pairs)
        if "error" in values
    }
    return list(failed.items())


def _settings(written: str) -> dict[str, Any]:
    """Return the settings of an evaluation row; empty where they are no JSON object."""
    try:
        values = json.loads(written)
    except ValueError:
        return {}
    return values if isinstance(values, dict) else {}
