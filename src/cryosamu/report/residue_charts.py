"""CC and Q-score of every residue along the chains, deposited beside enhanced."""

from __future__ import annotations

import re
from collections.abc import Sequence

import gemmi
import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from numpy.typing import NDArray

from cryosamu.report.charting import MUTED, drawing, to_markup
from cryosamu.report.names import (
    DEPOSITED,
    ENHANCED,
    LOW_PASS,
    METHOD_COLOURS,
    METRICS,
    method_label,
)

MOST_CHAINS = 6
"""Chains that are drawn of an entry; a large assembly repeats itself."""

_FEWEST_RESIDUES = 5
_TICKS = 5
_MEASURES = {"cc": METRICS["cc_residue"], "q_score": METRICS["q_score"]}
_TITLES = {"cc": "CC", "q_score": "Q-score"}
_DRAWN = (DEPOSITED, ENHANCED)
_WORSE = "#d9653b"


def polymer_residues(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of amino acids and nucleotides, of chains of at least five of them."""
    kinds = {str(name): gemmi.find_tabulated_residue(str(name)) for name in rows["name"].unique()}
    polymers = [name for name, k in kinds.items() if k.is_amino_acid() or k.is_nucleic_acid()]
    kept = rows[rows["name"].isin(polymers)]
    lengths = kept.groupby(["method", "chain"])["residue"].transform("size")
    return kept[lengths >= _FEWEST_RESIDUES]


def residue_chart(rows: pd.DataFrame, name: str) -> Markup | None:
    """Return a row a chain with its CC and its Q-score; None where neither map has residues.

    Parameters
    ----------
    rows
        Rows of `tables.RESIDUES` of one entry.
    """
    kept = polymer_residues(rows)
    kept = kept[kept["method"].isin(_DRAWN)]
    chains = list(dict.fromkeys(kept["chain"]))
    if not chains:
        return None
    drawn = chains[:MOST_CHAINS]
    limits = {measure: _limits(kept[measure]) for measure in _MEASURES}
    with drawing(0.75 + 1.35 * len(drawn), 0.55, 0.6) as figure:
        figure.subplots_adjust(hspace=0.75, wspace=0.14)
        panels = figure.subplots(len(drawn), len(_MEASURES), squeeze=False)
        for line, chain in zip(panels, drawn, strict=True):
            of_chain = kept[kept["chain"] == chain]
            for panel, measure in zip(line, _MEASURES, strict=True):
                _panel(panel, of_chain, measure)
                panel.set_ylim(*limits[measure])
                panel.set_title(_title(of_chain, chain, measure), fontsize=9.5)
        handles, labels = panels[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="lower center", ncols=2, fontsize=9.5)
        words = f"CC and Q-score of the residues of chain{'s' if len(drawn) > 1 else ''} "
        return to_markup(figure, name, words + ", ".join(drawn) + ".")


def _limits(values: pd.Series[float]) -> tuple[float, float]:
    """Return one range for all chains: two panels of a column compare at a glance."""
    low = min(0.0, float(np.nan_to_num(values.min())))
    return max(low, -0.5) - 0.03, min(1.0, max(0.2, float(np.nan_to_num(values.max())))) + 0.03


def _panel(panel: Axes, rows: pd.DataFrame, measure: str) -> None:
    """Draw both maps along a chain, and between them which one is better."""
    wide = rows.pivot_table(index="residue", columns="method", values=measure, sort=False)
    numbers = [str(number) for number in wide.index]
    places, *lines = with_gaps(numbers, *(wide[method].to_numpy(float) for method in wide))
    drawn = dict(zip(wide, lines, strict=True))
    for method in _DRAWN:
        if method in drawn:
            panel.plot(
                places,
                drawn[method],
                color=METHOD_COLOURS[method],
                linewidth=1.2,
                label=method_label(method),
                zorder=4 if method == ENHANCED else 3,
            )
    if len(drawn) == len(_DRAWN):
        before, after = (drawn[method] for method in _DRAWN)
        for worse, colour in ((before > after, _WORSE), (before < after, METHOD_COLOURS[ENHANCED])):
            panel.fill_between(
                places, before, after, where=worse, color=colour, alpha=0.45, linewidth=0
            )
    ticks = np.unique(np.linspace(0, len(numbers) - 1, min(_TICKS, len(numbers))).astype(int))
    panel.set_xticks(ticks, [numbers[tick] for tick in ticks], fontsize=8.5)
    panel.tick_params(axis="y", labelsize=8.5)
    panel.set_yticks([0, 0.5, 1.0])
    panel.set_xlim(-0.5, len(numbers) - 0.5)
    panel.axhline(0.0, color=MUTED, linewidth=0.6)


def _title(rows: pd.DataFrame, chain: str, measure: str) -> str:
    found = []
    for method in _DRAWN:
        of_method = rows[rows["method"] == method]
        if len(of_method):
            value = of_method["cc_chain"].iloc[0] if measure == "cc" else of_method[measure].mean()
            found.append(f"{value:.2f}")
    what = "CC of the whole chain" if measure == "cc" else "mean Q-score"
    return f"{chain}: {what} {' → '.join(found)}"


def with_gaps(residues: Sequence[str], *lines: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Return places along a chain and the lines, NaN in them where residues are not modelled.

    Parameters
    ----------
    residues
        Author numbers with insertion codes, in the order of the file.
    lines
        A value a residue.
    """
    numbers = np.array([int(re.sub(r"[^-\d]", "", text)) for text in residues])
    gaps = np.flatnonzero(~np.isin(np.diff(numbers), (0, 1))) + 1
    places = np.arange(len(numbers), dtype=float)
    return [
        np.insert(places, gaps, gaps - 0.5),
        *(np.insert(np.asarray(line, np.float64), gaps, np.nan) for line in lines),
    ]


def about_residues(rows: pd.DataFrame) -> list[str]:
    """Return on how many residues the enhanced map is better, and what is not drawn."""
    kept = polymer_residues(rows)
    lines = []
    for measure, metric in _MEASURES.items():
        wide = kept.pivot_table(
            index=["chain", "residue"], columns="method", values=measure, sort=False
        )
        reference = LOW_PASS if LOW_PASS in wide else DEPOSITED
        if ENHANCED not in wide or reference not in wide:
            continue
        gain = (wide[ENHANCED] - wide[reference]).dropna()
        better, worse = (gain > metric.equal_within).sum(), (gain < -metric.equal_within).sum()
        against = "the fair baseline" if reference == LOW_PASS else "the deposited map"
        lines.append(
            f"{_TITLES[measure]} of {len(gain):,} residues against {against}: better in "
            f"{better:,} and worse in {worse:,}."
        )
    chains = list(dict.fromkeys(kept["chain"]))
    if len(chains) > MOST_CHAINS:
        lines.append(
            f"Drawn are the first {MOST_CHAINS} of {len(chains)} chains; the table that "
            "`cryosamu evaluate --per-residue` writes has all."
        )
    return lines
