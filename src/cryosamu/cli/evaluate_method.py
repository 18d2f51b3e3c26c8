"""`cryosamu evaluate method`: one method's map, made and measured like all others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cryosamu.cli.options import ConfigOption
from cryosamu.errors import CryosamuError

if TYPE_CHECKING:
    from cryosamu.evaluation.methods.making import MethodRun

_SUFFIXES = (".mrc", ".map")


def register(group: typer.Typer) -> None:
    """Add the command to the group."""
    group.command("method")(method)


def method(
    name: Annotated[
        str, typer.Argument(metavar="METHOD", help="As in the configuration's evaluation.methods.")
    ],
    map_path: Annotated[
        Path, typer.Argument(metavar="MAP", help="Deposited map, MRC/CCP4, .gz or not.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The method's map, .mrc.")],
    resolution: Annotated[float, typer.Option(help="Reported resolution of the map, Å.")],
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
    config: ConfigOption = None,
) -> None:
    """Make one method's map on the deposited map's grid, in a process that is measured.

    Baselines, cryosamu with and without structure, and others' programs where you have them:
    emready, deepemhancer, cryoten, resolve_cryo_em. Beside the map lies a record of the same name
    with .json: status, seconds, peak memory, version. A method that fails, or is not installed, is
    a result: the record says why, and counts in `cryosamu evaluate map --method NAME=RECORD.json`.

        cryosamu evaluate method locally_sharpened emd_1234.map.gz --resolution 5.2 -o local.mrc

        cryosamu evaluate method deepemhancer emd_1234.map.gz --resolution 5.2 -o deepemhancer.mrc
    """
    from cryosamu.config import read_config
    from cryosamu.evaluation.methods.making import METHODS, Request, make_method, method_table
    from cryosamu.tables import METHODS as SCHEMA
    from cryosamu.tables import write_table

    if name not in METHODS:
        raise CryosamuError(f"{name}: is not a method; known are {', '.join(METHODS)}.")
    if output.suffix not in _SUFFIXES:
        raise CryosamuError(f"{output}: a method's map is an MRC file; end the name in .mrc.")
    if half_map and len(half_map) != 2:
        raise CryosamuError("--half-map: must be given twice, once a half map.")
    options: tuple[str, ...] = (
        () if checkpoint is None else ("--checkpoint", str(checkpoint.resolve()))
    )
    options += () if config is None else ("--config", str(config.resolve()))
    request = Request(
        map=map_path,
        resolution=resolution,
        emdb_id=emdb_id,
        model=model,
        halves=(half_map[0], half_map[1]) if half_map else None,
        contour=contour,
        enhance_options=options,
    )
    run = make_method(name, request, read_config(config).evaluation, output)
    _write_record(output, run, request, checkpoint)
    if table is not None:
        write_table(table, method_table(run), SCHEMA)
    if run.status != "ok":
        typer.echo(f"note: {name} failed: {run.error}", err=True)


def _write_record(output: Path, run: MethodRun, request: Any, checkpoint: Path | None) -> None:
    import json
    from dataclasses import asdict

    from cryosamu.files import write_text
    from cryosamu.provenance import provenance_record

    inputs = {"map": request.map}
    if request.model is not None:
        inputs["model"] = request.model
    if checkpoint is not None:
        inputs["checkpoint"] = checkpoint
    settings = {"resolution": request.resolution, "contour": request.contour}
    record = {
        **asdict(run),
        "map": output.name,
        "provenance": provenance_record(settings, inputs),
    }
    write_text(output.with_suffix(".json"), json.dumps(record, indent=2) + "\n")
