"""What the numbers do and do not show, in sentences that are computed from the inputs."""

from __future__ import annotations

import pandas as pd

from cryosamu.config import Config
from cryosamu.report.entries import Entry
from cryosamu.report.inputs import Inputs
from cryosamu.report.leakage_table import about_leakage
from cryosamu.report.names import DEPLOYABLE, FLOORS, method_label

METHOD_WINDOW = (4.0, 8.0)
"""Å: the reported resolutions that the method is made for."""

PUBLISHED_PARAMETERS = 12_220_225
"""Of the published network with a 512-wide embedding (docs: the recipe)."""

_SMALL_SHARE = 0.1
"""Below this share of the recipe's size or steps a network is called small or brief."""

LEAK = (
    "Embedding the deposited model of a test map uses the answer: the network is shown the "
    "structure that its output is then compared with."
)


def statements(inputs: Inputs, entries: list[Entry]) -> list[str]:
    """Return the sentences that stand beside the verdict, the gravest first."""
    return [
        *_about_simulation(inputs.split, entries),
        *_about_window(inputs.split, entries),
        *_about_training(inputs),
        *_about_leak(inputs),
        *_about_metrics(inputs.evaluation),
        *_about_holding_out(inputs, entries),
    ]


def _about_simulation(split: pd.DataFrame | None, entries: list[Entry]) -> list[str]:
    found = []
    if split is not None:
        for name, rows in split.groupby("split", sort=True):
            count, simulated = len(rows), int(rows["simulated"].fillna(False).sum())
            if simulated:
                found.append(f"{simulated} of {count} in {name}")
    lines = []
    if found:
        lines.append(
            f"Some maps are simulated from atomic models, not measured: {', '.join(found)}. "
            "Results on simulated maps say little about real ones."
        )
    judged = [entry.emdb_id for entry in entries if entry.simulated]
    if judged:
        lines.append(f"Simulated among the evaluated maps: {', '.join(judged)}.")
    return lines


def _about_window(split: pd.DataFrame | None, entries: list[Entry]) -> list[str]:
    low, high = METHOD_WINDOW
    known = {entry.emdb_id: entry.resolution for entry in entries if entry.resolution is not None}
    if split is not None:
        known |= dict(zip(split["emdb_id"], split["resolution"].astype(float), strict=True))
    outside = [f"{name} ({value:g} Å)" for name, value in known.items() if not low <= value <= high]
    if not outside:
        return []
    return [
        f"The resolution window was widened beyond the {low:g}–{high:g} Å that the method is made "
        f"for. Outside it: {', '.join(outside)}."
    ]


def _about_training(inputs: Inputs) -> list[str]:
    run = inputs.run
    if run is None:
        return ["No checkpoint was given: nothing is known of the network behind the numbers."]
    recipe = Config().training.steps
    small = run.parameters < _SMALL_SHARE * PUBLISHED_PARAMETERS
    brief = run.steps < _SMALL_SHARE * recipe
    if small or brief:
        words = " and ".join(["small"] * small + ["briefly trained"] * brief)
        lines = [
            f"The network is {words}: {run.parameters:,} parameters and {run.steps:,} training "
            f"steps, where the published network has {PUBLISHED_PARAMETERS:,} and the recipe "
            f"trains {recipe:,} steps."
        ]
    else:
        lines = [
            f"The network has {run.parameters:,} parameters and was trained for "
            f"{run.steps:,} steps."
        ]
    return lines + [f"Note of the checkpoint: {note}" for note in run.notes]


def _about_leak(inputs: Inputs) -> list[str]:
    evaluation, lines = inputs.evaluation, []
    if inputs.leakage is not None:
        limit = (inputs.config or Config()).curation.clustering.identity
        lines = about_leakage(inputs.leakage, limit)
    if evaluation is None:
        return lines
    told = [method for method in DEPLOYABLE if (evaluation["method"] == method).any()]
    if told:
        named = " and ".join(f"“{method_label(method).partition(', ')[2]}”" for method in told)
        lines.insert(0, f"{LEAK} The rows {named} stand beside it and are free of that.")
    else:
        lines.insert(
            0,
            f"{LEAK} Enhancement without a structure was not run, so nothing here is free of it.",
        )
    return lines


def _about_metrics(evaluation: pd.DataFrame | None) -> list[str]:
    if evaluation is None:
        return []
    return [
        "All metrics compare a map with the atomic model, and the network is trained towards maps "
        "simulated from models: a gain in correlation alone is no evidence of new detail. "
        + (
            "The floors in each table (the model's featureless envelope, the deposited map with "
            "random fine phases) show what a score is worth that took no skill."
            if evaluation["method"].isin(FLOORS).any()
            else "Floors that would show what such a score is worth were not run."
        )
    ]


def _about_holding_out(inputs: Inputs, entries: list[Entry]) -> list[str]:
    entries = [entry for entry in entries if len(entry.rows)]
    if not entries:
        return []
    lines = []
    if inputs.split is None:
        lines.append(
            "No split was given: whether the evaluated maps were held out is known only from the "
            "checkpoint, if one was given."
        )
    others = [f"{entry.emdb_id} ({_role(entry)})" for entry in entries if not entry.held_out]
    if others:
        lines.append(f"Not held out, and left out of the verdict: {', '.join(others)}.")
    count = len(entries) - len(others)
    lines.append(
        f"{count} held-out map{'s' if count != 1 else ''}: "
        "the counts are shown as they are"
        + (
            ", without a statistical test."
            if inputs.summary is None
            else "; paired tests stand with all maps together."
        )
    )
    return lines


def _role(entry: Entry) -> str:
    if entry.seen:
        return "the network was trained on it or chosen by it"
    return f"in {entry.split}" if entry.split else "in no split"
