"""`cryosamu evaluate method`: one method's map, made and measured like all others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryosamu.cli.options import ConfigOption, WorkOption, refuse_beside_work
from cryosamu.errors import CryosamuError

if TYPE_CHECKING:
    from cryosamu.config import Config

_SUFFIXES = (".mrc", ".map")


def register(group: typer.Typer) -> None:
    """Add the command to the group."""
    group.command("method")(method)


def method(
    name: Annotated[
        str, typer.Argument(metavar="METHOD", help="As in the configuration's evaluation.methods.")
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="The method's map, .mrc; of a work list, a folder."),
    ],
    map_path: Annotated[
        Path | None, typer.Argument(metavar="MAP", help="Deposited map, MRC/CCP4, .gz or not.")
    ] = None,
    resolution: Annotated[
        float | None, typer.Option(help="Reported resolution of the map, Å.")
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="Deposited model: its embedding or, for others, sequences.")
    ] = None,
    half_map: Annotated[
        list[Path] | None, typer.Option(help="Half map, given twice, for those that take them.")
    ] = None,
    contour: Annotated[float | None, typer.Option(help="Depositors' contour level.")] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Trained network; the packaged one where left out.")
    ] = None,
    table: Annotated[
        Path | None, typer.Option(help="The record as a row, time and memory in it (Parquet).")
    ] = None,
    emdb_id: Annotated[str, typer.Option(help="Entry, for {emdb_id} in patterns.")] = "",
    work: WorkOption = None,
    config: ConfigOption = None,
) -> None:
    """Make one method's map on the deposited map's grid, in a process that is measured.

    Baselines, cryosamu with and without structure, and others' programs where you have them:
    emready, deepemhancer, cryoten, resolve_cryo_em. Beside the map lies a record of the same name
    with .json: status, seconds, peak memory, version. A method that fails, or is not installed, is
    a result: the record says why, and counts in `cryosamu evaluate map --method NAME=RECORD.json`.
    One that is killed, as for lack of memory, is an error.
    With `--work` one map after the other of a list is made, so that each one's time is its own.

        cryosamu evaluate method locally_sharpened emd_1234.map.gz --resolution 5.2 -o local.mrc

        cryosamu evaluate method deepemhancer emd_1234.map.gz --resolution 5.2 -o deepemhancer.mrc
    """
    from cryosamu.config import read_config
    from cryosamu.evaluation.methods.making import METHODS, Request, make_method
    from cryosamu.evaluation.methods.record import runs_table, write_record
    from cryosamu.tables import METHODS as SCHEMA
    from cryosamu.tables import write_table

    if name not in METHODS:
        raise CryosamuError(f"{name}: is not a method; known are {', '.join(METHODS)}.")
    options: tuple[str, ...] = (
        () if checkpoint is None else ("--checkpoint", str(checkpoint.resolve()))
    )
    options += () if config is None else ("--config", str(config.resolve()))
    settings = read_config(config)
    if work is not None:
        refuse_beside_work(
            MAP=map_path, resolution=resolution, model=model, half_map=half_map, contour=contour,
            emdb_id=emdb_id,
        )  # fmt: skip
        _make_list(name, work, settings, checkpoint, options, output, table)
        return
    if map_path is None or resolution is None:
        raise CryosamuError("give MAP and --resolution, or --work.")
    if output.suffix not in _SUFFIXES:
        raise CryosamuError(f"{output}: a method's map is an MRC file; end the name in .mrc.")
    if half_map and len(half_map) != 2:
        raise CryosamuError("--half-map: must be given twice, once a half map.")
    request = Request(
        map=map_path,
        resolution=resolution,
        emdb_id=emdb_id,
        model=model,
        halves=(half_map[0], half_map[1]) if half_map else None,
        contour=contour,
        enhance_options=options,
    )
    run = make_method(name, request, settings.evaluation, output)
    write_record(output, run, request, checkpoint)
    if table is not None:
        write_table(table, runs_table([run]), SCHEMA)
    if run.status != "ok":
        typer.echo(f"note: {name} failed: {run.error}", err=True)


def _make_list(
    name: str,
    work: Path,
    settings: Config,
    checkpoint: Path | None,
    options: tuple[str, ...],
    folder: Path,
    table: Path | None,
) -> None:
    from cryosamu.enhancement.released import released_checkpoint
    from cryosamu.evaluation.methods.making import ENHANCED
    from cryosamu.evaluation.methods.many import Maker, make_maps, runs_of
    from cryosamu.evaluation.methods.record import runs_table
    from cryosamu.pairs import read_pairs
    from cryosamu.tables import METHODS, write_table

    pairs = read_pairs(work)
    if name in ENHANCED and checkpoint is None:
        # Named, as another version of this software may bring another one.
        checkpoint = released_checkpoint()
    shaping = {"window", "margin", "precision", "skip_solvent", "averaging"}
    shaped_by = settings.enhancement.model_dump(mode="json", include=shaping)
    maker = Maker(name, settings.evaluation, checkpoint, options, shaped_by)
    made = make_maps(maker, pairs, folder)
    typer.echo(made.summary(f"made by {name}"), err=True)
    made.require_all(f"made by {name}")
    runs = runs_of(pairs, folder)
    for run in runs:
        if run.status != "ok":
            typer.echo(f"note: {name} failed for {run.emdb_id}: {run.error}", err=True)
    if table is not None:
        write_table(table, runs_table(runs), METHODS)
