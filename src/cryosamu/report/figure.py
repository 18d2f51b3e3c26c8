"""A chart of the page as a file of its own."""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup

from cryosamu.files import write_text

_COLOURS = {"--ink": "#16202b", "--muted": "#5a6878", "--line": "#dde3ea"}
"""The page's, on light; few programs but browsers know variables in SVG."""


def write_figure(path: Path | str, chart: Markup) -> None:
    """Write a chart as an SVG file on white: the same chart, the same bytes."""
    text = str(chart)
    for variable, colour in _COLOURS.items():
        text = text.replace(f"var({variable})", colour)
    text = text.replace("<svg", '<svg style="background: white"', 1)
    write_text(path, f'<?xml version="1.0" encoding="utf-8"?>\n{text}')
