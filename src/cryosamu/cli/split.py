"""`cryosamu split`: train, validation and test."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cryosamu.cli.options import ConfigOption


def register(root: typer.Typer) -> None:
    """Add the command to the application."""
    root.command("split")(split)


def split(
    pairs: Annotated[Path, typer.Argument(help="Table of curated pairs (Parquet).")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Table with the split.")],
    clusters: Annotated[
        Path | None,
        typer.Option(
            help="Components, from `curate models`: with them a new entry that connects entries "
            "of two splits is noticed even where those are no pairs any more."
        ),
    ] = None,
    ledger: Annotated[
        Path, typer.Option(help="Folder of the ledgers that remember every assignment.")
    ] = Path("store/split"),
    config: ConfigOption = None,
) -> None:
    """Give each pair to train, validation or test, similar entries to the same.

    Balanced over resolution. An entry keeps its split when the data set grows, or when it leaves
    and comes back: the ledger remembers. `split.pinned` in the settings wins.

    Example: `cryosamu split pairs.parquet --clusters clusters.parquet --ledger store/split
    -o split.parquet`
    """
    from cryosamu.config import read_config
    from cryosamu.curation.ledger import ledger_path, opened
    from cryosamu.curation.split import balance, empty_splits, split_pairs
    from cryosamu.tables import CLUSTERS, PAIRS, SPLIT, read_table, write_table

    settings = read_config(config).split
    candidates = read_table(pairs, PAIRS)
    components = None if clusters is None else read_table(clusters, CLUSTERS)
    # The ledger is written first: a run that is killed in between finds its own choice again.
    with opened(ledger_path(ledger, settings)) as entries:
        remembered = {emdb_id: name for emdb_id, (_, name) in entries.items()}
        assignment = split_pairs(candidates, settings, remembered, components)
        entries.update(assignment.remembered)
    write_table(output, assignment.table, SPLIT)
    typer.echo(balance(assignment.table, settings.strata).to_string(), err=True)
    warnings = assignment.warnings + [
        f"no pair is in {name}; add entries, or pin one with 'split.pinned'."
        for name in empty_splits(assignment.table)
    ]
    absent = sorted(set(settings.pinned) - set(assignment.remembered))
    warnings += [f"'split.pinned' names {emdb_id}, which is not a pair." for emdb_id in absent]
    for warning in warnings:
        typer.echo(f"warning: {warning}", err=True)
