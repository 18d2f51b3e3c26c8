"""`cryosamu fetch`: bring a map or a model into the store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryosamu.cli.options import ConfigOption, application

if TYPE_CHECKING:
    from cryosamu.archive.client import ArchiveClient
    from cryosamu.archive.fetch import Wanted

StoreOption = Annotated[
    Path, typer.Option("--store", help="The folder that all configurations share.")
]
RecordOption = Annotated[
    Path | None,
    typer.Option(
        "--record",
        help="Write what became of it here (JSON). A file that the archive does not give is then "
        "recorded as failed, with exit status 0.",
    ),
]


def register(root: typer.Typer) -> None:
    """Add the commands to the application."""
    group = application(help="Bring maps and models into the store.")
    group.command("map")(fetch_map)
    group.command("model")(fetch_model)
    root.add_typer(group, name="fetch")


def fetch_map(
    emdb_id: Annotated[str, typer.Argument(help="Such as EMD-3488.")],
    store: StoreOption = Path("store"),
    record: RecordOption = None,
    config: ConfigOption = None,
) -> None:
    """Download an entry's main map, from the first mirror that has it.

    A download that was broken off goes on where it stopped; a map that is in the store already
    is not downloaded again. An archive that does not answer is an error in any case.

    Example: `cryosamu fetch map EMD-3488`

    As the workflow does: `cryosamu fetch map EMD-3488 --store store --record EMD-3488.json`
    """
    from cryosamu.archive.client import ArchiveClient
    from cryosamu.archive.fetch import wanted_map
    from cryosamu.config import read_config

    settings = read_config(config).archive
    with ArchiveClient(settings) as client:
        _fetch(client, wanted_map(emdb_id, settings, store), record)


def fetch_model(
    pdb_id: Annotated[str, typer.Argument(help="Such as 5NI1.")],
    store: StoreOption = Path("store"),
    record: RecordOption = None,
    config: ConfigOption = None,
) -> None:
    """Download a model (mmCIF).

    Example: `cryosamu fetch model 5NI1`

    As the workflow does: `cryosamu fetch model 5NI1 --store store --record 5NI1.json`
    """
    from cryosamu.archive.client import ArchiveClient
    from cryosamu.archive.fetch import wanted_model
    from cryosamu.config import read_config

    settings = read_config(config).archive
    with ArchiveClient(settings) as client:
        _fetch(client, wanted_model(pdb_id, settings, store), record)


def _fetch(client: ArchiveClient, wanted: Wanted, record_path: Path | None) -> None:
    from cryosamu.archive.client import RefusalError
    from cryosamu.archive.fetch import fetch
    from cryosamu.archive.record import known_record, write_record

    name = f"{wanted.identifier} {wanted.kind}"
    try:
        fetched = fetch(client, wanted, known_record(record_path))
    except RefusalError as error:
        if record_path is None:
            raise
        write_record(record_path, wanted.failed(error))
        typer.echo(f"failed {name}: {error}", err=True)
        return
    if record_path is not None:
        write_record(record_path, fetched.record)
    if fetched.downloaded:
        typer.echo(f"fetched {name} ({fetched.record.bytes} bytes)", err=True)
    else:
        typer.echo(f"already in the store: {name}", err=True)
