"""What all charts share: type, margins, and colours that are the page's own."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib
from markupsafe import Markup, escape
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

# Stand-ins that the page's style sheet gives a colour, see `to_markup`.
INK, MUTED, GRID = "#010203", "#010204", "#010205"
_VARIABLES = {INK: "var(--ink)", MUTED: "var(--muted)", GRID: "var(--line)"}
WIDTH = 8.6
CHARACTER = 0.08  # inches, of the font size below
_SETTINGS: Any = {
    "svg.hashsalt": "cryosamu",
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 10.5,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
}


@contextmanager
def drawing(height: float, left: float, bottom: float) -> Iterator[Figure]:
    """Yield an empty figure with the page's settings; all lengths are in inches.

    The margins are given, since matplotlib's automatic layouts differ in their last bits from
    run to run, and the same inputs must give the same page.
    """
    with matplotlib.rc_context(_SETTINGS):
        figure = Figure(figsize=(WIDTH, height))
        FigureCanvasSVG(figure)
        figure.subplots_adjust(left / WIDTH, bottom / height, 1 - 0.1 / WIDTH, 1 - 0.3 / height)
        yield figure


def to_markup(figure: Figure, name: str, description: str) -> Markup:
    """Return the figure as an inline <svg> whose ids are its own (`name` is put before them)."""
    buffer = io.StringIO()
    silent = {"Date": None, "Creator": None, "Format": None, "Type": None}
    figure.savefig(buffer, format="svg", metadata=silent)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    # Within a page this rule would hold for everything; the page's style sheet has it for charts.
    text = re.sub(r"<style.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r'(\bid=")', rf"\g<1>{name}-", text)
    text = re.sub(r'((?:xlink:)?href="#|url\(#)', rf"\g<1>{name}-", text)
    text = re.sub(r' width="[\d.]+pt"| height="[\d.]+pt"', "", text, count=2)
    for stand_in, variable in _VARIABLES.items():
        text = text.replace(stand_in, variable)
    label = f'<svg role="img" class="chart" aria-label="{escape(description)}"'
    return Markup(text.replace("<svg", label, 1))
