"""`cryosamu curate lock`, `unlock`, `verify` and `update`: a data set that can be had again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cryosamu.cli.options import ConfigOption
from cryosamu.cli.records import MeasurementsOption

LockArgument = Annotated[Path, typer.Argument(help="The lock, such as dataset.lock.")]
MapRecordsOption = Annotated[
    list[Path],
    typer.Option(help="Fetches of the maps: records, tables, or folders; may be repeated."),
]
ModelFetchesOption = Annotated[
    list[Path],
    typer.Option(help="Fetches of the models: records, tables, or folders; may be repeated."),
]


def curate_lock(
    catalogue: Annotated[Path, typer.Option(help="Table of candidates.")],
    decisions: Annotated[Path, typer.Option(help="Decisions of all stages.")],
    split: Annotated[Path, typer.Option(help="The pairs and their split.")],
    measurements: MeasurementsOption,
    map_records: MapRecordsOption,
    model_fetches: ModelFetchesOption,
    output: Annotated[Path, typer.Option("-o", "--output", help="Where the lock goes.")],
    config: ConfigOption = None,
) -> None:
    """Write down a finished data set so that exactly it can be rebuilt.

    Every pair with its checksums, numbers, thresholds, component and split; versions, settings,
    and the entries that were left out.

    Example: `cryosamu curate lock --catalogue catalogue.parquet --decisions decisions.parquet
    --split split.parquet --measurements measurements --map-records records/maps
    --model-fetches records/models -o dataset.lock`
    """
    from cryosamu.cli.records import read_fetched, read_measurements
    from cryosamu.config import read_config
    from cryosamu.curation.lock import write_lock
    from cryosamu.curation.locking import DataSet, make_lock
    from cryosamu.tables import CATALOGUE, DECISIONS, SPLIT, read_table

    data = DataSet(
        read_table(catalogue, CATALOGUE),
        read_table(decisions, DECISIONS),
        read_table(split, SPLIT),
        read_measurements(measurements),
        read_fetched(map_records, "map"),
        read_fetched(model_fetches, "model"),
    )
    lock = make_lock(data, read_config(config))
    write_lock(output, lock)
    shares = ", ".join(f"{count} {name}" for name, count in lock.splits.items())
    typer.echo(f"{output}: {len(lock.pairs)} pairs ({shares})", err=True)


def curate_unlock(
    lock: LockArgument,
    catalogue: Annotated[Path, typer.Option(help="Where the locked candidates go (Parquet).")],
    split: Annotated[Path, typer.Option(help="Where the pairs and their split go (Parquet).")],
) -> None:
    """Write the tables of exactly the locked pairs; no archive is asked.

    Example: `cryosamu curate unlock dataset.lock --catalogue catalogue.parquet
    --split split.parquet`
    """
    from cryosamu.curation.lock import read_lock, unlocked
    from cryosamu.tables import CATALOGUE, SPLIT, write_table

    candidates, pairs = unlocked(read_lock(lock))
    write_table(catalogue, candidates, CATALOGUE)
    write_table(split, pairs, SPLIT)


def curate_verify(
    lock: LockArgument,
    measurements: MeasurementsOption,
    map_records: MapRecordsOption,
    model_fetches: ModelFetchesOption,
    output: Annotated[Path, typer.Option("-o", "--output", help="Written if all agrees (JSON).")],
    tolerance: Annotated[
        float,
        typer.Option(help="Of measured numbers; as a share of those above 1.", min=0, max=1),
    ] = 1e-4,
    config: ConfigOption = None,
) -> None:
    """Hold what was fetched and measured against the lock; fail on any difference.

    One line a difference. Other versions of software are noted, since they need not matter.

    Example: `cryosamu curate verify dataset.lock --measurements measurements
    --map-records records/maps --model-fetches records/models -o verified.json`
    """
    import json

    from cryosamu.cli.records import read_fetched, read_measurements
    from cryosamu.config import read_config
    from cryosamu.curation.lock import read_lock
    from cryosamu.curation.verification import verify, version_notes
    from cryosamu.errors import CryosamuError
    from cryosamu.files import sha256_of, write_text

    locked = read_lock(lock)
    notes = version_notes(locked)
    for note in notes:
        typer.echo(f"note: {note}", err=True)
    differences = verify(
        locked,
        read_measurements(measurements),
        read_fetched(map_records, "map"),
        read_fetched(model_fetches, "model"),
        read_config(config),
        tolerance,
    )
    for difference in differences:
        typer.echo(str(difference), err=True)
    if differences:
        output.unlink(missing_ok=True)
        count = f"{len(differences)} difference{'s' if len(differences) > 1 else ''}"
        raise CryosamuError(
            f"{lock}: {count} from what was locked, named above; bring files and settings back, "
            "or set 'catalogue.locked' to null and lock the data set anew."
        )
    verified = {
        "lock": sha256_of(lock),
        "pairs": len(locked.pairs),
        "tolerance": tolerance,
        "notes": notes,
    }
    write_text(output, json.dumps(verified, indent=2) + "\n")
    typer.echo(f"{lock}: all {len(locked.pairs)} pairs are as locked", err=True)


def curate_update(
    lock: LockArgument,
    catalogue: Annotated[Path, typer.Option(help="The candidates of a new query.")],
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the same as JSON here.")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Show what a new query would add, drop and change; nothing is fetched or changed.

    Example: `cryosamu catalogue -o new.parquet` and then
    `cryosamu curate update dataset.lock --catalogue new.parquet --json update.json`
    """
    import json

    from cryosamu.config import read_config
    from cryosamu.curation.lock import read_lock
    from cryosamu.curation.update import plan_update, update_lines
    from cryosamu.files import write_text
    from cryosamu.tables import CATALOGUE, read_table

    update = plan_update(read_lock(lock), read_table(catalogue, CATALOGUE), read_config(config))
    for line in update_lines(update):
        typer.echo(line)
    if json_file is not None:
        write_text(json_file, json.dumps(update.values(), indent=2, ensure_ascii=False) + "\n")
