"""`cryosamu curate --explain` and `cryosamu curate funnel`: decisions in words and pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_CURATED = Path("results/curate")


def curate(
    context: typer.Context,
    explain: Annotated[
        str | None,
        typer.Option(metavar="EMD-1234", help="Tell one entry's story in plain words, and end."),
    ] = None,
    decisions: Annotated[
        Path, typer.Option(help="Decisions, from `curate maps`; for --explain.")
    ] = _CURATED / "decisions.parquet",
    clusters: Annotated[
        Path, typer.Option(help="Components, from `curate models`; passed over if absent.")
    ] = _CURATED / "clusters.parquet",
    split: Annotated[Path, typer.Option(help="The split; passed over if absent.")] = Path(
        "results/split/split.parquet"
    ),
) -> None:
    """Filter candidates, cheapest question first; every verdict is written down.

    Example: `cryosamu curate --explain EMD-3488`
    """
    if explain is None:
        if context.invoked_subcommand is None:
            typer.echo(context.get_help())
        return
    from cryosamu.curation import story
    from cryosamu.tables import CLUSTERS, DECISIONS, SPLIT, read_table

    told = story.explain(
        read_table(decisions, DECISIONS),
        explain,
        read_table(clusters, CLUSTERS) if clusters.exists() else None,
        read_table(split, SPLIT) if split.exists() else None,
    )
    for line in told:
        typer.echo(line)
    context.exit()


def curate_funnel(
    decisions: Annotated[Path, typer.Argument(help="Decisions, from `curate maps`.")],
    catalogue: Annotated[
        Path | None, typer.Option(help="Candidates; where left out, those that were decided on.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Draw it too (SVG).")
    ] = None,
) -> None:
    """Show how many entries each filter saw and took, as a table and a figure.

    Example: `cryosamu curate funnel decisions.parquet -o funnel.svg`
    """
    from cryosamu.curation.funnel import build_funnel, funnel_table
    from cryosamu.tables import CATALOGUE, DECISIONS, read_table

    candidates = None if catalogue is None else read_table(catalogue, CATALOGUE)
    funnel = build_funnel(read_table(decisions, DECISIONS), candidates)
    typer.echo(funnel_table(funnel).to_string(index=False))
    if output is not None:
        from cryosamu.report.charts import funnel_chart
        from cryosamu.report.figure import write_figure

        write_figure(output, funnel_chart(funnel))
