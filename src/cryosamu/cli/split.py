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
    config: ConfigOption = None,
) -> None:
    """Give each pair to train, validation or test, similar entries to the same.

    An entry keeps its split when the data set grows; `split.pinned` in the settings wins.

    Example: `cryosamu split pairs.parquet -o split.parquet`
    """
    from cryosamu.config import read_config
    from cryosamu.curation.split import empty_splits, split_pairs
    from cryosamu.tables import PAIRS, SPLIT, read_table, write_table

    settings = read_config(config).split
    frame = split_pairs(read_table(pairs, PAIRS), settings)
    write_table(output, frame, SPLIT)
    for name in empty_splits(frame):
        typer.echo(
            f"warning: no pair is in {name}; add entries, or pin one with 'split.pinned'.", err=True
        )
    for emdb_id in sorted(set(settings.pinned) - set(frame["emdb_id"])):
        typer.echo(f"warning: 'split.pinned' names {emdb_id}, which is not a pair.", err=True)
