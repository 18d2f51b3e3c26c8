"""The paired statistics as a table of the page."""

from __future__ import annotations

import pandas as pd

from cryosamu.report.listing import MISSING, Cell, Mark, Table, header, number, text
from cryosamu.report.names import METHOD_LABELS, METRICS, method_label, metric_of, ordered

SIGNIFICANT = 0.05
"""Holm's corrected p below which a difference is marked."""


def statistics_table(summary: pd.DataFrame) -> Table:
    """Return one row a method, metric, filter and resolution bin that holds maps."""
    summary = summary[summary["maps"] > 0]
    references = ", ".join(method_label(str(name)) for name in summary["reference"].unique())
    known = {
        "method": ordered(set(summary["method"]), METHOD_LABELS),
        "metric": ordered(set(summary["metric"]), METRICS),
    }
    place = {name: {key: i for i, key in enumerate(keys)} for name, keys in known.items()}
    rows = summary.assign(
        first=summary["metric"].map(place["metric"]), second=summary["method"].map(place["method"])
    ).sort_values(["first", "second", "low_passed"], kind="stable")
    return Table(
        "statistics",
        f"Paired, map by map, against: {references}. A gain is positive where the method is "
        "better; its interval is a 95 % bootstrap over sequence clusters; p is of Wilcoxon's "
        f"signed-rank test with Holm's correction, marked below {SIGNIFICANT:g}. A map on which "
        "a method failed is a loss.",
        ["Metric", "Method", "Resolution (Å)", "Maps", "Failed", "Mean", "Reference", "Mean gain",
         "Median gain", "Interval", "Wins", "Ties", "Losses", "p (Holm)"],
        [False, False, False, True, True, True, True, True, True, False, True, True, True, True],
        [_row({str(k): v for k, v in row.items()}) for row in rows.to_dict("records")],
    )  # fmt: skip


def _row(values: dict[str, object]) -> list[Cell]:
    metric = metric_of(str(values["metric"]))
    filtered = ", low-passed" if values["low_passed"] else ""
    return [
        text(header(metric)),
        text(method_label(str(values["method"])) + filtered),
        text(values["bin"]),
        number(values["maps"]),
        number(values["failures"]),
        number(values["mean"], metric.digits),
        number(values["reference_mean"], metric.digits),
        number(values["mean_gain"], metric.digits + 1, _mark(values)),
        number(values["median_gain"], metric.digits + 1),
        _interval(values, metric.digits + 1),
        *(number(values[name]) for name in ("wins", "ties", "losses")),
        number(values["p_holm"], 4),
    ]


def _mark(values: dict[str, object]) -> Mark:
    if not _float(values["p_holm"]) < SIGNIFICANT:
        return ""
    # By wins: a mean leaves out the maps on which the method failed.
    return "better" if _float(values["wins"]) > _float(values["losses"]) else "worse"


def _interval(values: dict[str, object], digits: int) -> Cell:
    low, high = _float(values["gain_low"]), _float(values["gain_high"])
    if low != low or high != high:
        return Cell(MISSING)
    return Cell(f"{low:+.{digits}f} to {high:+.{digits}f}".replace("-", "−"), low)


def _float(value: object) -> float:
    return float("nan") if value is None else float(str(value))
