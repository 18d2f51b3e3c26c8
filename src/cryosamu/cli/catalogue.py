"""`cryosamu catalogue`: ask EMDB and RCSB for all candidates."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cryosamu.cli.options import ConfigOption

OutputOption = Annotated[
    Path, typer.Option("--output", "-o", help="The table of candidates (Parquet).")
]
StoreOption = Annotated[
    Path, typer.Option("--store", help="The folder that all configurations share.")
]


def register(root: typer.Typer) -> None:
    """Add the command to the application."""
    root.command()(catalogue)


def catalogue(
    output: OutputOption, store: StoreOption = Path("store"), config: ConfigOption = None
) -> None:
    """Ask the archives for every released map with a model in the resolution window.

    One row a map, with what EMDB says of the map and RCSB of the model that stands for it; entries
    to leave out, such as obsolete ones, keep a row that says why. Entries whose records are
    missing keep their row, too; a warning names each fault.

    Answers are kept under the store by the name of the snapshot: a query that was interrupted
    goes on where it stopped, and what was answered once is not asked again. To ask anew, change
    catalogue.snapshot in the configuration.

    Example: `cryosamu catalogue --config config.yaml -o catalogue.parquet`
    """
    from cryosamu.archive.catalogue import build_catalogue
    from cryosamu.archive.client import ArchiveClient
    from cryosamu.archive.snapshot import Snapshot
    from cryosamu.config import read_config
    from cryosamu.tables import CATALOGUE, write_table

    settings = read_config(config)
    snapshot = Snapshot(store / "archive" / "answers" / f"{settings.catalogue.snapshot}.sqlite")
    with ArchiveClient(settings.archive, store) as client:
        frame = build_catalogue(client, settings, snapshot)
    write_table(output, frame, CATALOGUE)
    excluded = int(frame.exclusion.notna().sum())
    simulated = int(frame.simulated.fillna(False).sum())
    typer.echo(
        f"{output}: {len(frame) - excluded} candidates, {int(frame.map_file.notna().sum())} rows "
        f"with the entry's full record, {simulated} of them simulated"
        + (f"; {excluded} more entries left out, each with the reason" if excluded else "")
    )
