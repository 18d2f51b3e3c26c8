"""The page: one self-contained HTML file, the same bytes for the same inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from cryosamu.config import Config
from cryosamu.curation.funnel import build_funnel
from cryosamu.files import write_text
from cryosamu.provenance import software_versions, source_commit
from cryosamu.report import charts, comparison_charts, listing
from cryosamu.report.articles import map_articles
from cryosamu.report.control_tables import controls_summary
from cryosamu.report.cost_table import cost_table
from cryosamu.report.drawing.slices import WHITE_PERCENTILE
from cryosamu.report.entries import list_entries
from cryosamu.report.frame import render_template, short_commit
from cryosamu.report.inputs import Inputs
from cryosamu.report.leakage_table import leakage_table
from cryosamu.report.names import METRICS, metric_of, ordered
from cryosamu.report.overview import overview_table
from cryosamu.report.statements import LEAK, statements
from cryosamu.report.statistics_table import statistics_table
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
    maps = map_articles(inputs)
    return render_template(
        "page.html",
        title=title,
        note=note,
        made=_made(inputs),
        with_views=any(article["view"] for article in maps),
        **_verdict(inputs),
        **_run(inputs),
        **_data(inputs),
        entries=maps,
        white=f"{WHITE_PERCENTILE:g}",
        **_definitions(inputs.evaluation),
    )


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
    parts.append(f"commit {short_commit(source_commit())}")
    return " · ".join(parts)


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
        "scatter": comparison_charts.scatter_chart(judged, conditions) if found else None,
        "median": comparison_charts.median_chart(judged) if found else None,
        "fewest_curves": comparison_charts.FEWEST_CURVES,
        "statistics": None if inputs.summary is None else statistics_table(inputs.summary),
        "overview": overview_table(entries) if entries else None,
        "statements": statements(inputs, entries),
        "controls": controls_summary(entries),
        "leakage": None if inputs.leakage is None else leakage_table(inputs.leakage, entries),
        "answer": LEAK,
        "costs": None if inputs.methods is None else cost_table(inputs.methods),
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
