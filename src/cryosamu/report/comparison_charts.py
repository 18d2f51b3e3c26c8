"""Charts over all held-out maps: each against its baseline, and the median curves."""

from __future__ import annotations

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes

from cryosamu.evaluation.statistics.summary import median_curves
from cryosamu.report.charting import INK, MUTED, drawing, to_markup
from cryosamu.report.entries import Entry
from cryosamu.report.listing import header
from cryosamu.report.names import (
    DEPOSITED,
    ENHANCED,
    LOW_PASS,
    METHOD_COLOURS,
    METRICS,
    OTHER_COLOURS,
    WITHOUT_STRUCTURE,
    Metric,
    method_label,
    ordered,
)
from cryosamu.report.verdict import TRIVIAL, Comparison, Condition, compare

SCATTERED = ("cc_mask", "cc_box", "d_fsc_05_masked", "fsc_average_masked")
"""Metrics with a panel of their own, as far as they were measured."""

MEDIAN_OF = (DEPOSITED, LOW_PASS, ENHANCED, WITHOUT_STRUCTURE)
BANDED = (DEPOSITED, ENHANCED)
"""More bands than two hide one another."""

FEWEST_CURVES = 3
"""Maps below which a median and quartiles say nothing that the curves do not."""


def scatter_chart(entries: list[Entry], conditions: list[Condition]) -> Markup | None:
    """Return a panel a metric: the value of each map against that of its fair baseline.

    Conditions that are low-passed are left out; None where nothing can be compared.
    """
    shown = [c for c in conditions if not c.low_passed or c == TRIVIAL]
    pairs = {
        condition: [(entry, c) for entry in entries for c in compare(entry.rows, condition)]
        for condition in shown
    }
    known = {
        c.metric.key for found in pairs.values() for _, c in found if np.isfinite(c.difference)
    }
    metrics = [METRICS[key] for key in SCATTERED if key in known]
    if not metrics:
        return None
    rows = (len(metrics) + 1) // 2
    with drawing(3.9 * rows + 0.3, 0.75, 0.9) as figure:
        figure.subplots_adjust(wspace=0.28, hspace=0.42)
        panels = figure.subplots(rows, 2, squeeze=False).ravel()
        for panel, metric in zip(panels, metrics, strict=False):
            drawn = {
                condition: [(entry, c) for entry, c in found if c.metric.key == metric.key]
                for condition, found in pairs.items()
            }
            _scatter(panel, metric, drawn)
        for panel in panels[len(metrics) :]:
            panel.set_visible(False)
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="lower center", ncols=len(shown), fontsize=9.5)
        titles = ", ".join(metric.label for metric in metrics)
        return to_markup(
            figure, "scatter", f"{titles} of {len(entries)} maps against the fair baseline."
        )


def _scatter(
    panel: Axes, metric: Metric, drawn: dict[Condition, list[tuple[Entry, Comparison]]]
) -> None:
    values = [v for found in drawn.values() for _, c in found for v in (c.baseline, c.value)]
    finite = np.array([value for value in values if np.isfinite(value)])
    margin = 0.08 * np.ptp(finite) or 0.05
    low, high = float(finite.min() - margin), float(finite.max() + margin)
    better_above = bool(metric.higher_is_better)
    worse_end = low if better_above else high
    panel.fill_between([low, high], [low, high], worse_end, color=MUTED, alpha=0.09, linewidth=0)
    panel.plot([low, high], [low, high], color=INK, linewidth=0.9, linestyle=":")
    for condition, found in drawn.items():
        colour = METHOD_COLOURS.get(condition.method, OTHER_COLOURS[0])
        panel.scatter(
            [c.baseline for _, c in found],
            [c.value for _, c in found],
            s=30,
            facecolors=["none" if entry.simulated else colour for entry, _ in found],
            edgecolors=colour,
            linewidths=1.3,
            label=method_label(condition.method),
            zorder=4 if condition.method == ENHANCED else 3,
        )
    corner = (0.03, 0.97, "left", "top") if better_above else (0.97, 0.03, "right", "bottom")
    x, y, across, along = corner
    panel.text(
        x, y, "better", transform=panel.transAxes, ha=across, va=along, color=MUTED, fontsize=9
    )
    panel.set_xlim(low, high)
    panel.set_ylim(low, high)
    panel.set_aspect("equal")
    panel.set_title(header(metric))
    panel.set_xlabel("fair baseline")
    panel.set_ylabel("map compared")


def median_chart(entries: list[Entry]) -> Markup | None:
    """Return median map–model FSC curves with quartiles; None below FEWEST_CURVES maps."""
    given = [entry.curves for entry in entries if entry.curves is not None and len(entry.curves)]
    if len(given) < FEWEST_CURVES:
        return None
    curves = median_curves(pd.concat(given, ignore_index=True))
    reported = [entry.resolution for entry in entries if entry.resolution is not None]
    # Far beyond the reported resolutions there is only noise to see.
    end = 1.6 / float(np.median(reported)) if reported else np.inf
    kinds = ordered(set(curves["curve"]), ("masked", "unmasked"))
    with drawing(4.3, 0.7, 1.15) as figure:
        figure.subplots_adjust(wspace=0.06)
        panels = figure.subplots(1, len(kinds), sharey=True, squeeze=False)[0]
        for panel, kind in zip(panels, kinds, strict=True):
            _median_panel(panel, curves[curves["curve"] == kind], end)
            panel.set_title(kind)
        panels[0].set_ylabel("map–model FSC")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="lower center", ncols=2, fontsize=9.5)
        return to_markup(
            figure, "median", f"Median map–model FSC of {len(given)} maps with their quartiles."
        )


def _median_panel(panel: Axes, medians: pd.DataFrame, end: float) -> None:
    highest = 0.0
    for method in MEDIAN_OF:
        rows = medians[medians["method"] == method]
        if rows.empty or rows["maps"].max() < FEWEST_CURVES:
            continue
        rows = rows[2 * rows["maps"] >= rows["maps"].max()]
        frequency, colour = rows["spatial_frequency"].to_numpy(float), METHOD_COLOURS[method]
        if method in BANDED:
            band = (frequency, rows["lower"].to_numpy(float), rows["upper"].to_numpy(float))
            panel.fill_between(*band, color=colour, alpha=0.2, linewidth=0)
        label = f"{method_label(method)} ({rows['maps'].max()} maps)"
        style = "--" if method == LOW_PASS else "-"
        above = 4 if method == ENHANCED else 3
        panel.plot(frequency, rows["median"], style, color=colour, label=label, zorder=above)
        highest = max(highest, min(end, float(frequency[-1])))
    panel.axhline(0.5, color=INK, linewidth=0.9, linestyle=":")
    panel.axhline(0.0, color=MUTED, linewidth=0.6)
    marks = [d for d in (20, 10, 7, 5, 4, 3.5, 3, 2.5, 2) if 1 / d <= highest]
    panel.set_xticks([1 / d for d in marks], [f"{d:g}" for d in marks])
    panel.set_xlim(0, highest or 1)
    panel.set_ylim(-0.12, 1.02)
    panel.set_xlabel("resolution, Å (linear in 1/Å)")
