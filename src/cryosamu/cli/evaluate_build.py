"""`cryosamu evaluate build`: how much of a model can be built from a map."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from cryosamu.evaluation.building.rows import BuildRecord


class Builder(StrEnum):
    """What builds."""

    ca_trace = "ca_trace"
    phenix = "phenix"
    model_angelo = "model_angelo"


def register(group: typer.Typer) -> None:
    """Add the command to the group."""
    group.command("build")(build)


def build(
    map_path: Annotated[Path, typer.Argument(metavar="MAP", help="MRC/CCP4, .gz or not.")],
    model_path: Annotated[Path, typer.Argument(metavar="MODEL", help="Deposited model.")],
    builder: Annotated[Builder, typer.Option(help="What builds.")] = Builder.ca_trace,
    resolution: Annotated[
        float | None, typer.Option(help="Å; phenix and model_angelo are told.")
    ] = None,
    program: Annotated[
        Path | None, typer.Option(help="The builder's path, where it is not on PATH.")
    ] = None,
    folder: Annotated[
        Path, typer.Option(help="Where the builder works and its model stays.")
    ] = Path("build"),
    json_path: Annotated[
        Path | None, typer.Option("--json", help="Figures with their provenance.")
    ] = None,
    table: Annotated[
        Path | None, typer.Option(help="Rows for the evaluation's table (Parquet).")
    ] = None,
    method: Annotated[str, typer.Option(help="The map's method, for the table.")] = "deposited",
    emdb_id: Annotated[str, typer.Option(help="Entry, for the table.")] = "",
    pdb_id: Annotated[str, typer.Option(help="Model, for the table.")] = "",
) -> None:
    """Build a model into MAP and compare it with MODEL.

    phenix and model_angelo, where you have them, give residue coverage and sequence match, as
    phenix.chain_comparison defines them. ca_trace is this project's proxy, which needs nothing:
    catrace_coverage, catrace_precision, catrace_connectivity, and the coverage beyond that of
    random points. Its connectivity tells good maps from bad; coverage hardly does.

        cryosamu evaluate build enhanced.mrc 1abc.cif.gz

        cryosamu evaluate build enhanced.mrc 1abc.cif.gz --builder model_angelo --json built.json
    """
    from cryosamu.evaluation.building.rows import build_and_record, build_table
    from cryosamu.files import require_file
    from cryosamu.tables import EVALUATION, write_table

    require_file(map_path, "map")
    record = build_and_record(builder.value, map_path, model_path, resolution, folder, program)
    for name, value in record.metrics.items():
        typer.echo(f"{name:<26} {value:8.1f} %")
    if table is not None:
        write_table(table, build_table(record, method, emdb_id, pdb_id), EVALUATION)
    if json_path is not None:
        _write_json(json_path, record, {"map": map_path, "model": model_path})


def _write_json(path: Path, record: BuildRecord, inputs: dict[str, Path]) -> None:
    import json

    from cryosamu.files import write_text
    from cryosamu.provenance import provenance_record

    settings: dict[str, Any] = dict(record.settings)
    whole = {
        **record.metrics,
        "definition": record.definition,
        "provenance": provenance_record(settings, inputs),
    }
    write_text(path, json.dumps(whole, indent=2) + "\n")
