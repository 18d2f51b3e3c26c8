"""The page: one self-contained HTML file, the same bytes for the same inputs."""

from __future__ import annotations

import base64
import hashlib
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from tqdm import tqdm

from cryosamu.config import Config
from cryosamu.curation.funnel import build_funnel
from cryosamu.files import write_text
from cryosamu.provenance import software_versions, source_commit
from cryosamu.report import charts, listing
from cryosamu.report.drawing.slices import WHITE_PERCENTILE
from cryosamu.report.entries import Entry, list_entries
from cryosamu.report.inputs import Inputs
from cryosamu.report.names import METHOD_LABELS, METRICS, method_label, metric_of, ordered
from cryosamu.report.pictures import page_pictures
from cryosamu.report.statements import statements
from cryosamu.report.summary import summaries
from cryosamu.report.verdict import conditions_in


def write_report(inputs: Inputs, output: Path, title: str, note: str = "") -> None:
    """Write the page about `inputs`.

    Raises
    ------
    CryosamuError
        When a map or model to be drawn cannot be read, or the page cannot be written.
    """
    write_text(output, render(inputs, title, note))


def render(inputs: Inputs, title: str, note: str = "") -> str:
    """Return the page's HTML. All text of the inputs is escaped; nothing is asked of a network."""
    environment = Environment(
        loader=PackageLoader("cryosamu.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page: str = environment.get_template("page.html").render(
        **_frame(inputs, title, note),
        **_verdict(inputs),
        **_run(inputs),
        **_data(inputs),
        **_maps(inputs),
        **_definitions(inputs.evaluation),
    )
    return page


def _frame(inputs: Inputs, title: str, note: str) -> dict[str, Any]:
    folder = files("cryosamu.report") / "templates"
    style = (folder / "style.css").read_text(encoding="utf-8")
    script = (folder / "sort.js").read_text(encoding="utf-8")
    # Only this very script may run: its digest covers all between the tags.
    digest = hashlib.sha256(f"\n{script}".encode()).digest()
    return {
        "title": title,
        "note": note,
        "made": _made(inputs),
        "style": Markup(style),
        "script": Markup(script),
        "script_digest": base64.b64encode(digest).decode("ascii"),
    }


def _made(inputs: Inputs) -> str:
    """Return in one line what was run and with which software."""
    parts = []
    if inputs.run is not None:
        run = inputs.run
        parts.append(
            f"{run.network} network with {run.embedding} embeddings, {run.parameters:,} "
            f"parameters, {run.steps:,} training steps"
        )
    if inputs.split is not None:
        counts = inputs.split["split"].value_counts()
        named = [f"{counts.get(name, 0)} {name}" for name in ("train", "validation", "test")]
        parts.append(f"{len(inputs.split)} pairs ({', '.join(named)})")
    parts.append(f"cryosamu {software_versions().get('cryosamu', 'not installed')}")
    parts.append(f"commit {_short(source_commit())}")
    return " · ".join(parts)


def _short(commit: str | None) -> str:
    if commit is None:
        return "not known"
    name, changed, _ = commit.partition("+")
    return f"{name[:10]}{' with changes' if changed else ''}"


def _verdict(inputs: Inputs) -> dict[str, Any]:
    entries = list_entries(inputs)
    judged = [entry for entry in entries if entry.held_out and len(entry.rows)]
    conditions = [] if inputs.evaluation is None else conditions_in(inputs.evaluation)
    found = summaries(judged, conditions)
    if inputs.evaluation is None:
        reason = "No evaluation was given: nothing can be said of the enhanced maps."
    elif not judged:
        reason = "No held-out map was evaluated: nothing can be said of the enhanced maps."
    else:
        reason = "No enhanced map was evaluated."
    return {
        "verdicts": found,
        "no_verdict": reason,
        "comparisons": listing.comparison_table(judged, conditions) if found else None,
        "statements": statements(inputs, entries),
    }


def _run(inputs: Inputs) -> dict[str, Any]:
    commit = source_commit()
    return {
        "run": inputs.run,
        "settings": None if inputs.config is None else _changed(inputs.config),
        "software": [*software_versions().items(), ("commit", commit or "not known")],
        "files": inputs.files,
    }


def _changed(config: Config) -> list[tuple[str, str]]:
    """Return (dotted key, "value (recipe: value)") of all settings that are not the recipe's.

    Where the archives were asked is left out: it shapes no result.
    """
    recipe = _flat(Config().model_dump(mode="json"))
    return [
        (key, f"{_written(value)} (recipe: {_written(recipe.get(key))})")
        for key, value in _flat(
            config.model_dump(mode="json", exclude={"archive", "report"})
        ).items()
        if recipe.get(key) != value
    ]


def _written(value: Any) -> str:
    if value is None or value == "":
        return "none"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _data(inputs: Inputs) -> dict[str, Any]:
    if inputs.decisions is None:
        parts: dict[str, Any] = {
            "funnel": None, "funnel_chart": None, "funnel_table": None, "rejected": None
        }  # fmt: skip
    else:
        funnel = build_funnel(inputs.decisions, inputs.catalogue)
        parts = {
            "funnel": funnel,
            "funnel_chart": charts.funnel_chart(funnel),
            "funnel_table": listing.funnel_table(funnel),
            "rejected": listing.rejection_table(funnel),
        }
    history = inputs.history
    drawn = None if history is None or history.empty else charts.training_chart(history)
    return {
        **parts,
        "split": None if inputs.split is None else listing.split_table(inputs.split),
        "training_chart": drawn,
    }


def _maps(inputs: Inputs) -> dict[str, Any]:
    drawn = {pairing.emdb_id: pairing for pairing in inputs.pairings}
    entries = list_entries(inputs)
    progress = tqdm(entries, desc="drawing", unit="map", disable=None)
    return {
        "entries": [
            {
                "heading": f"{entry.emdb_id} with {entry.pdb_id}",
                "title": entry.title,
                "badges": _badges(entry),
                "table": listing.metric_table(entry, f"metrics-{place}")
                if len(entry.rows)
                else None,
                "how_made": _how_made(entry.rows),
                "failures": _failures(entry.rows),
                "fsc": charts.fsc_chart(entry.curves, entry.resolution, f"fsc-{place}")
                if entry.curves is not None and len(entry.curves)
                else None,
                "pictures": page_pictures(drawn[entry.emdb_id]) if entry.emdb_id in drawn else None,
            }
            for place, entry in enumerate(progress, start=1)
        ],
        "white": f"{WHITE_PERCENTILE:g}",
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


def _definitions(evaluation: pd.DataFrame | None) -> dict[str, Any]:
    if evaluation is None:
        return {"definitions": []}
    listed = []
    for key in ordered(set(evaluation["metric"]), METRICS):
        metric = metric_of(key)
        versions = evaluation.loc[evaluation["metric"] == key, "definition"].dropna().unique()
        listed.append(
            {
                "label": metric.label,
                "unit": metric.unit,
                "sentence": metric.sentence,
                "versions": sorted(versions),
            }
        )
    return {"definitions": listed}
