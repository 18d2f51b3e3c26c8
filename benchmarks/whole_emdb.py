"""What the whole of EMDB asks for: bytes, requests, processor hours and disk, stage by stage.

The same entries and costs as in `cluster_simulation.py`; what is assumed stands in
`cluster_entries.Assumed`.

    python benchmarks/whole_emdb.py
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cluster_entries import Assumed, Costs, Entry, Funnel, draw_entries, global_seconds
from cluster_simulation import RECIPE, WHOLE_EMDB, every

WIDTH = {"ESM-IF1": 512, "ProteinMPNN": 128}
SECONDS_A_REQUEST = 0.5
ESM_IF1_S = 14.95
"""CPU seconds for 1,000 residues (`results/processor.json`: 8.58 for 574)."""


@dataclass(frozen=True)
class Row:
    """One stage: entries, requests, gigabytes fetched, processor hours, gigabytes kept, files."""

    stage: str
    entries: int
    requests: int = 0
    fetched_gb: float = 0.0
    hours: float = 0.0
    kept_gb: float = 0.0


def plan(funnel: Funnel, costs: Costs, assumed: Assumed) -> list[Row]:
    """Return the stages of the whole workflow in their order."""
    entries = draw_entries(funnel.candidates, assumed)
    mapped, pairs = entries[: funnel.mapped], entries[: funnel.pairs]
    test = pairs[: round(0.2 * len(pairs))]
    training = pairs[len(test) :]
    alone = global_seconds(funnel)
    asked = round(funnel.catalogued * 0.184)

    def hours(stage: str, chosen: Sequence[Entry]) -> float:
        return sum(costs.seconds(stage, one) for one in chosen) / 3600

    def gigabytes(size: Callable[[Entry], float], chosen: Sequence[Entry]) -> float:
        return sum(map(size, chosen)) / 1e3

    models = gigabytes(lambda one: one.model_mb, entries)
    maps = gigabytes(lambda one: one.map_gz_mb, mapped)
    read = sum(one.residues for one in entries) / 1000 * assumed.read_s
    residues = sum(one.residues for one in pairs)
    working = gigabytes(lambda one: 4 * one.megavoxels_of_1_a, training)
    return [
        Row("catalogue", funnel.catalogued, asked, kept_gb=0.25 * funnel.catalogued / 40_000),
        Row("models", len(entries), len(entries), models, kept_gb=models),
        Row("clustering", len(entries), hours=(alone["filter_models"] + read) / 3600),
        Row("maps", len(mapped), len(mapped), maps, kept_gb=maps),
        Row("measure", len(mapped), hours=hours("measure", mapped)),
        Row("prepare", len(training), hours=hours("prepare", training), kept_gb=working),
        Row(
            "embed, ProteinMPNN",
            len(pairs),
            hours=hours("embed", pairs),
            kept_gb=residues * WIDTH["ProteinMPNN"] * 4 / 1e9,
        ),
        Row(
            "or ESM-IF1",
            len(pairs),
            hours=residues / 1000 * ESM_IF1_S / 3600,
            kept_gb=residues * WIDTH["ESM-IF1"] * 4 / 1e9,
        ),
        Row(
            "enhance, 2 conditions, compact network",
            len(test),
            hours=2 * hours("enhance", test),
            kept_gb=2 * gigabytes(lambda one: 4 * one.megavoxels, test),
        ),
        Row("evaluate", len(test), hours=hours("evaluate", test)),
        Row("controls", len(test), hours=hours("control", test)),
    ]


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table."""
    lines = [
        "| stage | entries | requests | GB fetched | CPU hours | GB kept |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        numbers = (row.entries, row.requests, row.fetched_gb, row.hours, row.kept_gb)
        cells = [f"{one:,.1f}" if 0 < one < 10 else f"{one:,.0f}" if one else "" for one in numbers]
        lines.append(f"| {row.stage} | {f'{row.entries:,}'} | {' | '.join(cells[1:])} |")
    requests = sum(row.requests for row in rows)
    lines += ["", f"Turns alone: {requests * SECONDS_A_REQUEST / 3600:,.1f} hours."]
    fetched = sum(row.fetched_gb for row in rows)
    for rate in (3, 6, 24, 100):
        lines.append(f"{fetched:,.0f} GB at {rate} MB/s: {fetched * 1e3 / rate / 86400:,.1f} days.")
    return "\n".join(lines)


def main() -> None:
    """Print the table for the recipe and for a run that drops nothing."""
    costs, assumed = Costs.measured(), Assumed()
    for name, funnel in (("The recipe", RECIPE), ("Every entry", every(WHOLE_EMDB))):
        print(f"{name}: {funnel}\n\n{table(plan(funnel, costs, assumed))}\n")


if __name__ == "__main__":
    main()
