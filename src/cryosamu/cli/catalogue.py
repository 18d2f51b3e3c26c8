"""`cryosamu catalogue`: ask EMDB and RCSB for all candidates."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cryosamu.cli.options import ConfigOption

OutputOption = Annotated[
    Path, typer.Option("--output", "-o", help="The table of candidates (Parquet).")
]


def register(root: typer.Typer) -> None:
    """Add the command to the application."""
    root.command()(catalogue)


def catalogue(output: OutputOption, config: ConfigOption = None) -> None:
    """Ask the archives for every released map with a model in the resolution window.

    One row a map, with what EMDB says of the map and RCSB of its first fitted model. Entries
    whose records are missing keep their row; a warning names each fault.

    Example: `cryosamu catalogue --config config.yaml -o catalogue.parquet`
    """
    from cryosamu.archive.catalogue import build_catalogue
    from cryosamu.archive.client import ArchiveClient
    from cryosamu.config import read_config
    from cryosamu.tables import CATALOGUE, write_table

    settings = read_config(config)
    with ArchiveClient(settings.archive) as client:
        frame = build_catalogue(client, settings.catalogue)
    write_table(output, frame, CATALOGUE)
    typer.echo(f"{output}: {len(frame)} candidates, {int(frame.simulated.sum())} of them simulated")
