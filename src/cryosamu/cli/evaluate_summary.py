"""`cryosamu evaluate summary`: methods against a reference over many maps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryosamu.errors import CryosamuError

if TYPE_CHECKING:
    import pandas as pd


def register(group: typer.Typer) -> None:
    """Add the command to the group."""
    group.command("summary")(summary)


def summary(
    tables: Annotated[list[Path], typer.Argument(help="Tables of `cryosamu evaluate --table`.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Comparisons: .parquet, or .json with all.")
    ],
    reference: Annotated[
        str, typer.Option(help="The method that the others are held against.")
    ] = "low_pass",
    pairs: Annotated[
        Path | None,
        typer.Option(help="The split's table, for clusters; else each map is its own."),
    ] = None,
    curves: Annotated[
        list[Path] | None, typer.Option(help="Tables of --curves, for the median; repeated.")
    ] = None,
    scatter: Annotated[Path | None, typer.Option(help="x and y of every map (Parquet).")] = None,
    median_fsc: Annotated[
        Path | None, typer.Option(help="Median FSC with quartiles (Parquet).")
    ] = None,
) -> None:
    """Compare methods over many maps, paired: what may be claimed of them.

    Wilcoxon's signed-rank test with Holm's correction, the 95 % interval of the mean gain (BCa
    bootstrap over sequence clusters), wins, ties and losses, and bins of 4-5, 5-6, 6-7, 7-8 Å. A
    map on which a method failed is a loss. The reference is the fair baseline: the deposited map
    low-passed to its reported resolution.

        cryosamu evaluate summary judged_*.parquet --pairs results/split/split.parquet
        -o summary.json
    """
    from cryosamu.evaluation.statistics.pairing import paired_values
    from cryosamu.evaluation.statistics.summary import median_curves, summarise
    from cryosamu.tables import (
        CURVES,
        EVALUATION,
        MEDIAN_CURVES,
        SCATTER,
        SPLIT,
        SUMMARY,
        read_table,
        read_tables,
        write_table,
    )

    if output.suffix not in (".parquet", ".json"):
        raise CryosamuError(f"{output}: must end in .parquet or .json.")
    if median_fsc is not None and not curves:
        raise CryosamuError("--median-fsc: needs the tables of --curves.")
    # A curves table lies beside its evaluation: a pattern of the shell may well take both.
    given = [path for path in tables if not path.name.endswith(".curves.parquet")]
    if not given:
        raise CryosamuError("no table of `cryosamu evaluate --table` was given.")
    evaluation = read_tables(given, EVALUATION)
    paired = paired_values(
        evaluation, reference, None if pairs is None else read_table(pairs, SPLIT)
    )
    compared = summarise(paired).assign(reference=reference)
    medians = None
    if curves:
        drawn = read_tables(curves, CURVES)
        if drawn.empty:
            raise CryosamuError("the tables of --curves hold no rows: no curve was measured.")
        medians = median_curves(drawn)
    if output.suffix == ".parquet":
        write_table(output, compared, SUMMARY)
    else:
        _write_json(output, compared[SUMMARY.names], paired, medians)
    if scatter is not None:
        write_table(scatter, paired, SCATTER)
    if median_fsc is not None and medians is not None:
        write_table(median_fsc, medians, MEDIAN_CURVES)


def _write_json(
    path: Path, compared: pd.DataFrame, paired: pd.DataFrame, medians: pd.DataFrame | None
) -> None:
    import json

    from cryosamu.files import write_text

    parts = {"comparisons": compared, "scatter": paired, "median_fsc": medians}
    # Through pandas' writer, which has nulls for what is not a number.
    record = {
        name: json.loads(frame.to_json(orient="records"))
        for name, frame in parts.items()
        if frame is not None
    }
    write_text(path, json.dumps(record, indent=2) + "\n")
