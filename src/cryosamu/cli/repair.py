"""`cryosamu curate repair`: misaligned models, moved to where they fit their maps."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cryosamu.cli.records import FetchesOption, MeasurementsOption, MembersOption, WorkersOption


def curate_repair(
    pairs: Annotated[Path, typer.Argument(help="Pairs, from `curate maps`.")],
    measurements: MeasurementsOption,
    fetches: FetchesOption,
    members: MembersOption,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Table of the moved models (Parquet).")
    ],
    workers: WorkersOption = 1,
) -> None:
    """Move the models of the pairs that say so by the rigid motions that were measured.

    All atoms move, with their symmetry operators; each file says that it was moved and how, in the
    category `_cryosamu_repair`. The settings decide: `curation.alignment.repair`.

    Example: `cryosamu curate repair pairs.parquet --measurements measurements --fetches fetches
    --members repaired -o repaired.parquet`
    """
    from cryosamu.cli.records import read_fetched, read_measurements
    from cryosamu.curation.repair import planned_repairs, repair_models
    from cryosamu.tables import PAIRS, REPAIRED, read_table, write_table

    repairs = planned_repairs(
        read_table(pairs, PAIRS), read_measurements(measurements), read_fetched(fetches, "model")
    )
    made, table = repair_models(repairs, members, workers)
    write_table(output, table, REPAIRED)
    typer.echo(f"{output}: {made.summary('models moved')}", err=True)
