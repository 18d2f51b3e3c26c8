"""`cryosamu prepare`: maps and their models become training pairs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryosamu.cli.options import ConfigOption, WorkersOption, WorkOption, refuse_beside_work
from cryosamu.errors import CryosamuError

if TYPE_CHECKING:
    from cryosamu.config import PreparationSettings


def register(root: typer.Typer) -> None:
    """Add the command to the application."""
    root.command()(prepare)


def prepare(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The pair, .npy; of a work list, a folder.")
    ],
    map_path: Annotated[
        Path | None, typer.Argument(metavar="MAP", help="Map, MRC/CCP4, .gz or not.")
    ] = None,
    model_path: Annotated[
        Path | None, typer.Argument(metavar="MODEL", help="Model, mmCIF or PDB.")
    ] = None,
    resolution: Annotated[
        float | None, typer.Option(help="Reported resolution of the map, Å.")
    ] = None,
    work: WorkOption = None,
    table: Annotated[
        Path | None, typer.Option(help="With --work: what was prepared, with checksums (Parquet).")
    ] = None,
    workers: WorkersOption = 1,
    config: ConfigOption = None,
) -> None:
    """Bring a map to the network's grid and scale, and simulate its target from the model.

    Writes float16 [2, z, y, x] (the map, the target), and a record beside it under the same name
    with .json: voxel size, origin, scales, widths, checksums. With `--work` it does so for all
    pairs of a list, and only for those that are not there yet or follow from something else.

        cryosamu prepare emd_1234.map.gz 1abc.cif.gz --resolution 5.2 -o EMD-1234.npy

        cryosamu prepare --work results/split/training/00.jsonl --workers 4 -o prepared
        --table prepared.parquet
    """
    from cryosamu.config import read_config

    settings = read_config(config).preparation
    if work is not None:
        refuse_beside_work(MAP=map_path, MODEL=model_path, resolution=resolution)
        _prepare_list(work, settings, output, table, workers)
        return
    if map_path is None or model_path is None or resolution is None or table is not None:
        raise CryosamuError("give MAP, MODEL and --resolution, or --work and perhaps --table.")
    from cryosamu.preparation import prepare_pair

    prepare_pair(map_path, model_path, resolution, settings, output)


def _prepare_list(
    work: Path, settings: PreparationSettings, output: Path, table: Path | None, workers: int
) -> None:
    from cryosamu.pairs import read_pairs
    from cryosamu.preparation import prepare_pairs, prepared_table
    from cryosamu.tables import PREPARED, write_table

    pairs = read_pairs(work)
    made = prepare_pairs(pairs, settings, output, workers)
    typer.echo(made.summary("prepared"), err=True)
    made.require_all("prepared")
    if table is not None:
        write_table(table, prepared_table(pairs, output), PREPARED)
