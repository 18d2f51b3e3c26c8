"""A page that shows how a training goes: curves and example slices, in one file."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cryosamu.files import write_text

HistoryRow = tuple[int, str, str, float, float]
Points = Sequence[tuple[float, float]]

_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 640, 220, 62, 24
_COLOURS = ("#1b6ca8", "#c0504d", "#4f8a10", "#7a5195", "#888888", "#d98c00")
_ENLARGED = 3
_ORDER = ("map", "without structure", "with structure", "target")
_STYLE = (
    "body{font:15px/1.5 sans-serif;max-width:1000px;margin:2em auto;padding:0 1em;color:#222}"
    "figure{display:inline-block;margin:0 .6em .6em 0}figcaption{font-size:13px;color:#555}"
    "img{image-rendering:pixelated}svg{max-width:100%;height:auto}h2{margin:1.4em 0 .2em}"
)


def write_page(
    path: Path,
    title: str,
    sentence: str,
    history: Sequence[HistoryRow],
    pace: Sequence[tuple[int, float, float]],
    slices: Mapping[str, Mapping[str, NDArray[np.float32]]],
) -> None:
    """Write the page; the same content gives the same bytes.

    Parameters
    ----------
    sentence
        Where the run stands.
    history, pace
        Rows of tables.HISTORY and tables.PACE.
    slices
        By a pair's name and by what it is: [y, x], drawn from 0 (black) to 1 (white).
    """
    charts: list[tuple[str, Mapping[str, Points], bool]] = [
        ("Loss", _curves(history, "loss"), True),
        ("Correlation with the target", _curves(history, "correlation"), False),
        ("Gradient norm", _curves(history, "gradient_norm"), True),
        ("Learning rate", {"rate": [(row[0], row[4]) for row in history]}, False),
        ("Crops a second", {"training": [(row[0], row[2]) for row in pace]}, False),
    ]
    body = [f"<h2>{escape(name)}</h2>{chart(lines, log)}" for name, lines, log in charts if lines]
    body += [_pictures(name, kinds) for name, kinds in slices.items()]
    write_text(
        path,
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta http-equiv="refresh" content="60">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style>"
        f"<h1>{escape(title)}</h1><p>{escape(sentence)}</p>{''.join(body)}</html>\n",
    )


def _curves(history: Sequence[HistoryRow], family: str) -> dict[str, list[tuple[float, float]]]:
    """Return the points of each metric of a family, such as the losses with and without."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for step, split, metric, value, _ in history:
        if metric == family or metric.startswith(f"{family}_"):
            kind = metric.removeprefix(family).replace("_", " ")
            lines.setdefault(f"{split.replace('_', ' ')}{kind}", []).append((step, value))
    return lines


def chart(lines: Mapping[str, Points], log: bool) -> str:
    """Return lines over steps as SVG; what has one point is a level.

    Parameters
    ----------
    log
        Whether the values are drawn by their logarithms, if all are above 0.
    """
    values = [value for points in lines.values() for _, value in points if math.isfinite(value)]
    if not values:
        return "<p>Nothing yet.</p>"
    log = log and min(values) > 0
    low, high = (math.log10(v) if log else v for v in (min(values), max(values)))
    last = max(step for points in lines.values() for step, _ in points) or 1
    span = (high - low) or 1.0

    def place(step: float, value: float) -> str:
        scaled = math.log10(value) if log else value
        x = _LEFT + step / last * (_WIDTH - _LEFT - 6)
        y = 6 + (high - scaled) / span * (_HEIGHT - _BOTTOM - 12)
        return f"{x:.1f},{y:.1f}"

    parts = [_axes(min(values), max(values), last)]
    for number, (name, points) in enumerate(lines.items()):
        drawn = [(step, value) for step, value in points if math.isfinite(value)]
        if len(drawn) == 1:
            drawn = [(0, drawn[0][1]), (last, drawn[0][1])]
        colour = _COLOURS[number % len(_COLOURS)]
        path = " ".join(place(*point) for point in drawn)
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.8"/>'
        )
        latest = f"{drawn[-1][1]:.4g}" if drawn else "none"
        parts.append(
            f'<text x="{_LEFT + 8}" y="{_HEIGHT + 16 + 16 * number}" fill="{colour}">'
            f"{escape(name)}: {latest}</text>"
        )
    height = _HEIGHT + 16 * len(lines) + 12
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" font-size="12" '
        f'font-family="sans-serif">{"".join(parts)}</svg>'
    )


def _axes(low: float, high: float, last: float) -> str:
    bottom = _HEIGHT - _BOTTOM
    return (
        f'<path d="M{_LEFT} 4V{bottom}H{_WIDTH - 4}" fill="none" stroke="#999"/>'
        f'<text x="{_LEFT - 4}" y="14" text-anchor="end">{high:.3g}</text>'
        f'<text x="{_LEFT - 4}" y="{bottom}" text-anchor="end">{low:.3g}</text>'
        f'<text x="{_WIDTH - 4}" y="{bottom + 16}" text-anchor="end">step {last:g}</text>'
    )


def _pictures(name: str, kinds: Mapping[str, NDArray[np.float32]]) -> str:
    figures = [
        f'<figure><img alt="{escape(kind)}" src="{_png(kinds[kind])}">'
        f"<figcaption>{escape(kind)}</figcaption></figure>"
        for kind in _ORDER
        if kind in kinds
    ]
    return f"<h2>A crop of {escape(name)}, its middle slice</h2>{''.join(figures)}"


def _png(values: NDArray[np.float32]) -> str:
    """Return a slice as the address of a PNG picture, enlarged, [0, 1] as grey levels."""
    grey = (np.clip(np.nan_to_num(values), 0, 1) * 255).round().astype(np.uint8)
    picture = Image.fromarray(grey)
    size = (picture.width * _ENLARGED, picture.height * _ENLARGED)
    content = io.BytesIO()
    picture.resize(size, Image.Resampling.NEAREST).save(content, "PNG")
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"
