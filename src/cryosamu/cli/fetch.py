"""`cryosamu fetch`: bring maps and models into the store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryosamu.cli.options import ConfigOption, application

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryosamu.archive.client import ArchiveClient
    from cryosamu.archive.fetch import Wanted
    from cryosamu.archive.record import FetchRecord
    from cryosamu.config import ArchiveSettings

EntryArgument = Annotated[str, typer.Argument(help="Such as EMD-3488.")]
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
WorkArgument = Annotated[
    Path, typer.Argument(metavar="LIST", help="Work list: JSON lines that name what to fetch.")
]
TableOption = Annotated[
    Path, typer.Option("--output", "-o", help="The table of what became of each (Parquet).")
]
RefreshOption = Annotated[
    bool,
    typer.Option(
        "--refresh", help="Ask whether what the store has changed, and take the new version."
    ),
]


def register(root: typer.Typer) -> None:
    """Add the commands to the application."""
    group = application(help="Bring maps and models into the store.")
    group.command("map")(fetch_map)
    group.command("model")(fetch_model)
    group.command("models")(fetch_models)
    group.command("maps")(fetch_maps)
    group.command("half-maps")(fetch_half_maps)
    root.add_typer(group, name="fetch")


def fetch_map(
    emdb_id: EntryArgument,
    store: StoreOption = Path("store"),
    record: RecordOption = None,
    refresh: RefreshOption = False,
    config: ConfigOption = None,
) -> None:
    """Download an entry's main map, from the first mirror that has it.

    A download that was broken off goes on where it stopped; a map that is in the store already
    is not downloaded again. An archive that does not answer is an error in any case.

    Example: `cryosamu fetch map EMD-3488`

    Example: `cryosamu fetch map EMD-3488 --store store --record EMD-3488.json`
    """
    from cryosamu.archive.fetch import wanted_map
    from cryosamu.config import read_config

    settings = read_config(config).archive
    _fetch_alone(settings, wanted_map(emdb_id, settings, store), store, record, refresh)


def fetch_model(
    pdb_id: Annotated[str, typer.Argument(help="Such as 5NI1.")],
    store: StoreOption = Path("store"),
    record: RecordOption = None,
    refresh: RefreshOption = False,
    config: ConfigOption = None,
) -> None:
    """Download one model (mmCIF).

    Example: `cryosamu fetch model 5NI1`
    """
    from cryosamu.archive.fetch import wanted_model
    from cryosamu.config import read_config

    settings = read_config(config).archive
    _fetch_alone(settings, wanted_model(pdb_id, settings, store), store, record, refresh)


def fetch_models(
    work: WorkArgument,
    output: TableOption,
    store: StoreOption = Path("store"),
    refresh: RefreshOption = False,
    config: ConfigOption = None,
) -> None:
    """Download a list of models in one go: each line names one, such as {"pdb_id": "5NI1"}.

    A model that the archive does not give is a failed row of the table, with the reason, and does
    not stop the others; it is asked for again whenever the command is called. An archive that
    stops answering is an error, and no table is written; what was downloaded stays.

    Example: `cryosamu fetch models list.jsonl -o fetches.parquet`
    """
    from cryosamu.archive.fetch import wanted_model

    _fetch_list(work, "pdb_id", wanted_model, output, store, refresh, config)


def fetch_maps(
    work: WorkArgument,
    output: TableOption,
    store: StoreOption = Path("store"),
    refresh: RefreshOption = False,
    config: ConfigOption = None,
) -> None:
    """Download a list of main maps in one go: each line names one, such as {"emdb_id": "EMD-3488"}.

    As `fetch models`: a refusal is a failed row, an outage is an error, what was downloaded stays.

    Example: `cryosamu fetch maps list.jsonl -o fetches.parquet`
    """
    from cryosamu.archive.fetch import wanted_map

    _fetch_list(work, "emdb_id", wanted_map, output, store, refresh, config)


def fetch_half_maps(
    emdb_id: EntryArgument,
    store: StoreOption = Path("store"),
    record: RecordOption = None,
    refresh: RefreshOption = False,
    config: ConfigOption = None,
) -> None:
    """Download an entry's two half maps, which its record in the archive names.

    What became of them is a list of two, each as `fetch map` writes it.

    Example: `cryosamu fetch half-maps EMD-3488 --record half_maps/EMD-3488.json`
    """
    from cryosamu.archive.client import ArchiveClient, RefusalError
    from cryosamu.archive.half_maps import failed_half_maps, wanted_half_maps
    from cryosamu.archive.record import write_records
    from cryosamu.config import read_config

    settings = read_config(config).archive
    keep = record is not None
    with ArchiveClient(settings, store) as client:
        try:
            wanted = wanted_half_maps(client, emdb_id, store)
        except RefusalError as error:
            if not keep:
                raise
            typer.echo(f"failed {emdb_id} half maps: {error}", err=True)
            outcomes = failed_half_maps(settings, emdb_id, error)
        else:
            outcomes = [_fetch_one(client, one, refresh, keep_failure=keep) for one in wanted]
    if record is not None:
        write_records(record, outcomes)


def _fetch_list(
    work: Path,
    column: str,
    wanted_of: Callable[[str, ArchiveSettings, Path], Wanted],
    output: Path,
    store: Path,
    refresh: bool,
    config: Path | None,
) -> None:
    """Fetch what the lines of a work list name, each once, and write the table."""
    from cryosamu.archive.bulk import fetch_all
    from cryosamu.archive.client import ArchiveClient
    from cryosamu.archive.record import write_fetches
    from cryosamu.config import read_config
    from cryosamu.errors import ArchiveError
    from cryosamu.shards import read_work

    settings = read_config(config).archive
    wanted = {}
    for number, member in enumerate(read_work(work, [column]), 1):
        try:
            one = wanted_of(str(member[column]), settings, store)
        except ArchiveError as error:
            raise ArchiveError(f"{work} line {number}: {error}") from None
        wanted[one.identifier] = one
    with ArchiveClient(settings, store) as client:
        outcome = fetch_all(client, list(wanted.values()), refresh)
    write_fetches(output, outcome.records)
    typer.echo(f"{output}: {outcome.summary()}", err=True)


def _fetch_alone(
    settings: ArchiveSettings, wanted: Wanted, store: Path, record: Path | None, refresh: bool
) -> None:
    """Fetch a file with a client of its own, and write its record where one is wanted."""
    from cryosamu.archive.client import ArchiveClient
    from cryosamu.archive.record import write_record

    with ArchiveClient(settings, store) as client:
        outcome = _fetch_one(client, wanted, refresh, keep_failure=record is not None)
    if record is not None:
        write_record(record, outcome)


def _fetch_one(
    client: ArchiveClient, wanted: Wanted, refresh: bool, keep_failure: bool
) -> FetchRecord:
    """Fetch a file and say so; a refusal is an error unless its record is wanted."""
    from cryosamu.archive.client import RefusalError
    from cryosamu.archive.fetch import fetch

    name = f"{wanted.identifier} {wanted.kind}"
    try:
        fetched = fetch(client, wanted, refresh)
    except RefusalError as error:
        if not keep_failure:
            raise
        typer.echo(f"failed {name}: {error}", err=True)
        return wanted.failed(error)
    if fetched.downloaded:
        typer.echo(f"fetched {name} ({fetched.record.bytes} bytes)", err=True)
    else:
        typer.echo(f"already in the store: {name}", err=True)
    return fetched.record
