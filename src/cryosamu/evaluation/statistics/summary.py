"""Methods against a reference over many maps: the table that a claim may be read from."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from cryosamu.evaluation.definitions import METRICS
from cryosamu.evaluation.statistics.inference import clustered_interval, holm, signed_rank_p

BINS = ((4.0, 5.0), (5.0, 6.0), (6.0, 7.0), (7.0, 8.0))
"""Å; the lower end belongs to a bin, and 8 Å to the last."""

ALL = "all"
_EQUAL = 0.001
_EQUAL_ANGSTROM = 0.01
"""Differences up to these are ties: of correlations and scores, and of resolutions."""


def summarise(paired: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `tables.SUMMARY`: one a method, metric, filter and resolution bin.

    Parameters
    ----------
    paired
        From `pairing.paired_values`.
    """
    groups = paired.groupby(["method", "metric", "low_passed"], sort=True)
    rows = [
        {"method": method, "metric": metric, "low_passed": low_passed, "bin": name, **figures}
        for (method, metric, low_passed), group in groups
        for name, chosen in _binned(group)
        for figures in [_figures(chosen, str(metric), tested=name == ALL)]
    ]
    summary = pd.DataFrame(rows)
    summary["p_holm"] = holm(summary["p"].to_numpy(float))
    return summary


def _binned(group: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    yield ALL, group
    for low, high in BINS:
        inside = group["resolution"].ge(low) & group["resolution"].lt(high)
        if high == BINS[-1][1]:
            inside |= group["resolution"] == high
        yield f"{low:g}-{high:g}", group[inside]


def _figures(group: pd.DataFrame, metric: str, tested: bool) -> dict[str, float | int | None]:
    failures = int(group["failed"].sum())
    known = group[group["gain"].notna()]
    gains = known["gain"].to_numpy(float)
    equal = _equal_within(metric)
    p = signed_rank_p(gains, failures) if tested and len(group) else None
    interval = clustered_interval(gains, known["cluster"].to_numpy(object)) if tested else None
    low, high = interval or (None, None)
    return {
        "maps": len(group),
        "failures": failures,
        "undefined": len(group) - failures - len(known),
        "mean": _mean(known["y"]),
        "median": _median(known["y"]),
        "reference_mean": _mean(known["x"]),
        "mean_gain": _mean(known["gain"]),
        "median_gain": _median(known["gain"]),
        "gain_low": low,
        "gain_high": high,
        "wins": int((gains > equal).sum()),
        "ties": int((np.abs(gains) <= equal).sum()),
        "losses": int((gains < -equal).sum()) + failures,
        "p": p,
    }


def _equal_within(metric: str) -> float:
    known = METRICS.get(metric)
    return _EQUAL_ANGSTROM if known is not None and not known.higher_is_better else _EQUAL


def _mean(values: pd.Series[float]) -> float | None:
    return float(values.mean()) if len(values) else None


def _median(values: pd.Series[float]) -> float | None:
    return float(values.median()) if len(values) else None


def median_curves(curves: pd.DataFrame, points: int = 100) -> pd.DataFrame:
    """Return the median FSC over maps with its quartiles, one row a method, curve and frequency.

    Each map's curve is interpolated on common frequencies; none is extended past its last shell.

    Parameters
    ----------
    curves
        Rows of `tables.CURVES`.
    points
        Frequencies from 0 (left out) to the finest shell of any map.

    Returns
    -------
    DataFrame
        method, curve, spatial_frequency (1/Å), median, lower, upper (quartiles), maps.
    """
    frequencies = np.linspace(0, float(curves["spatial_frequency"].max()), points + 1)[1:]
    frames = []
    for (method, curve), group in curves.groupby(["method", "curve"], sort=True):
        values = np.array(
            [
                np.interp(
                    frequencies,
                    one["spatial_frequency"].to_numpy(float),
                    one["fsc"].to_numpy(float),
                    right=np.nan,
                )
                for _, one in group.groupby("emdb_id", sort=True)
            ]
        )
        maps = np.isfinite(values).sum(axis=0)
        kept = maps > 0
        lower, median, upper = np.nanquantile(values[:, kept], [0.25, 0.5, 0.75], axis=0)
        frames.append(
            pd.DataFrame(
                {
                    "method": method,
                    "curve": curve,
                    "spatial_frequency": frequencies[kept],
                    "median": median,
                    "lower": lower,
                    "upper": upper,
                    "maps": maps[kept],
                }
            )
        )
    return pd.concat(frames, ignore_index=True)
