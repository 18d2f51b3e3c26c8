"""Charts of the funnel, of the training, and of one map's Fourier shell correlation."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from cryosamu.curation.funnel import Funnel
from cryosamu.report.charting import CHARACTER, INK, MUTED, drawing, to_markup
from cryosamu.report.names import (
    DEPOSITED,
    ENHANCED,
    LOW_PASS,
    METHOD_COLOURS,
    METHOD_LABELS,
    OTHER_COLOURS,
    method_label,
    ordered,
)

_TRAINING_COLOURS = {
    ("train", ""): "#4f6bb0",
    ("validation", ""): "#9a6fc4",
    ("validation", "with structure"): "#12908e",
    ("validation", "without structure"): "#d9653b",
    ("validation", "of input"): MUTED,
}
_KEPT, _TAKEN, _FAILED = "#12908e", "#d9653b", "#8692a3"


def funnel_chart(funnel: Funnel) -> Markup:
    """Return bars of the entries that each filter let through, dropped or could not judge."""
    labels = ["catalogue", *(stage.name.replace("_", " ") for stage in funnel.stages)]
    left = np.array([funnel.candidates, *(stage.left for stage in funnel.stages)])
    dropped = np.array([0, *(stage.dropped for stage in funnel.stages)])
    failed = np.array([0, *(stage.failed for stage in funnel.stages)])
    places = np.arange(len(labels))
    with drawing(0.9 + 0.36 * len(labels), 0.3 + CHARACTER * max(map(len, labels)), 0.55) as figure:
        axes = figure.subplots()
        axes.barh(places, left, color=_KEPT, height=0.62, label="goes on")
        axes.barh(places, dropped, left=left, color=_TAKEN, height=0.62, label="dropped")
        axes.barh(places, failed, left=left + dropped, color=_FAILED, height=0.62, label="failed")
        for place in places:
            taken = dropped[place] + failed[place]
            text = f"{left[place]:,}" + (f"  (−{taken:,})" if taken else "")
            axes.annotate(
                text,
                (left[place] + taken, place),
                (5, 0),
                textcoords="offset points",
                va="center",
                color=INK,
            )
        axes.set_yticks(places, labels, color=INK)
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set_xlim(0, 1.14 * max(1, funnel.candidates))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("entries")
        axes.legend(loc="lower right", ncols=1)
        words = ", ".join(f"{label} {count}" for label, count in zip(labels, left, strict=True))
        return to_markup(figure, "funnel", f"Entries left after each filter: {words}.")


def training_chart(history: pd.DataFrame) -> Markup:
    """Return one panel a kind of metric (its name's first word), the learning rate below them."""
    families = list(dict.fromkeys(_family(metric) for metric in history["metric"]))
    with drawing(2.5 * len(families) + 2.0, 0.8, 0.55) as figure:
        figure.subplots_adjust(hspace=0.3)
        ratios = [1.9] * len(families) + [1.0]
        panels = figure.subplots(len(ratios), 1, sharex=True, squeeze=False, height_ratios=ratios)[
            :, 0
        ]
        for panel, family in zip(panels, families, strict=False):
            chosen = history[history["metric"].map(_family) == family]
            other = cycle(OTHER_COLOURS)
            for (metric, split), points in chosen.groupby(["metric", "split"], sort=False):
                _training_line(panel, points, str(metric), str(split), other)
            panel.set_title(family)
            panel.legend(loc="best", ncols=2, fontsize=9.5)
        rates = history.dropna(subset=["learning_rate"]).sort_values("step", kind="stable")
        panels[-1].plot(rates["step"], rates["learning_rate"], color=INK, drawstyle="steps-post")
        panels[-1].yaxis.set_major_formatter(FuncFormatter(lambda rate, _: f"{rate:.1e}"))
        panels[-1].set_title("learning rate")
        panels[-1].set_xlabel("training step")
        return to_markup(figure, "training", f"Training curves of {', '.join(families)} by step.")


def _family(metric: str) -> str:
    return metric.partition("_")[0]


def _training_line(
    panel: Axes, points: pd.DataFrame, metric: str, split: str, other: Iterator[str]
) -> None:
    """Draw one metric of one split; what was measured once is a level across the panel."""
    kind = metric.partition("_")[2].replace("_", " ")
    label = f"{split}, {kind}" if kind else split
    colour = _TRAINING_COLOURS.get((split, kind)) or next(other)
    if len(points) == 1:
        panel.axhline(points["value"].iloc[0], color=colour, label=label, linestyle=":")
        return
    points = points.sort_values("step")
    marker = "o" if len(points) < 30 else ""
    panel.plot(
        points["step"], points["value"], color=colour, label=label, marker=marker, markersize=3.5
    )


def fsc_chart(curves: pd.DataFrame, resolution: float | None, name: str) -> Markup:
    """Return map–model FSC curves, masked and unmasked side by side, with the 0.5 line."""
    kinds = ordered(set(curves["curve"]), ("masked", "unmasked"))
    methods = ordered(set(curves["method"]), METHOD_LABELS)
    other = cycle(OTHER_COLOURS)
    colours = {m: METHOD_COLOURS.get(m) or next(other) for m in methods}
    legend = 0.22 * ((len(methods) + 1) // 2)
    with drawing(3.9 + legend, 0.7, 0.75 + legend) as figure:
        figure.subplots_adjust(wspace=0.06)
        panels = figure.subplots(1, len(kinds), sharey=True, squeeze=False)[0]
        for panel, kind in zip(panels, kinds, strict=True):
            for method in methods:
                points = curves[(curves["method"] == method) & (curves["curve"] == kind)]
                _fsc_line(panel, points, method, colours[method])
            _fsc_frame(panel, float(curves["spatial_frequency"].max()), resolution)
            panel.set_title(kind)
        panels[0].set_ylabel("map–model FSC")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="lower center", ncols=2, fontsize=9.5)
        return to_markup(
            figure, name, f"Map–model FSC curves of {', '.join(map(method_label, methods))}."
        )


def _fsc_line(panel: Axes, points: pd.DataFrame, method: str, colour: str) -> None:
    points = points.sort_values("spatial_frequency")
    main = method in (DEPOSITED, LOW_PASS, ENHANCED)
    panel.plot(
        points["spatial_frequency"],
        points["fsc"],
        color=colour,
        label=method_label(method),
        linewidth=2.2 if method == ENHANCED else 1.5,
        linestyle="--" if method == LOW_PASS else "-" if main else (0, (4, 1.5)),
        zorder=4 if method == ENHANCED else 3,
    )


def _fsc_frame(panel: Axes, highest: float, resolution: float | None) -> None:
    panel.axhline(0.5, color=INK, linewidth=0.9, linestyle=":")
    panel.axhline(0.0, color=MUTED, linewidth=0.6)
    if resolution is not None:
        panel.axvline(1 / resolution, color=MUTED, linewidth=0.9, linestyle=":")
        panel.annotate(
            f"reported {resolution:g} Å",
            (1 / resolution, 1.0),
            (3, 0),
            textcoords="offset points",
            color=MUTED,
            fontsize=9,
            va="top",
        )
        # Far beyond the reported resolution there is only noise to see.
        highest = min(highest, 1.6 / resolution)
    marks = [d for d in (20, 10, 7, 5, 4, 3.5, 3, 2.5, 2) if 1 / d <= highest]
    panel.set_xticks([1 / d for d in marks], [f"{d:g}" for d in marks])
    panel.set_xlim(0, highest)
    panel.set_ylim(-0.12, 1.02)
    panel.set_xlabel("resolution, Å (linear in 1/Å)")
