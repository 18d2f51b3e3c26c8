"""`cryosamu runs`: what was trained, and how the trainings compare."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

# Too long for a terminal's line; they are in --json and --csv.
_NOT_SHOWN = {"steps", "structures", "validation_pairs", "path", "fault", "parents"}


def register(root: typer.Typer) -> None:
    """Add the command to the application."""
    root.command()(runs)


def runs(
    places: Annotated[
        list[Path],
        typer.Argument(metavar="FOLDER…", help="Folders with runs at any depth; or checkpoints."),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Every figure, as JSON.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Every figure, as CSV.")] = False,
) -> None:
    """List trainings, the best on validation first, with the settings in which they differ.

    Finished and unfinished ones; a broken one is named with what is wrong. Losses compare between
    runs that were judged by the same loss on the same crops (`judged_by`): these stand together,
    each group ranked for itself. Beside each unfinished run lies
    progress.html, its curves and example slices.

    Example: `cryosamu runs results/train`
    """
    import json

    import pandas as pd

    from cryosamu.errors import ConfigError
    from cryosamu.tracking.runs import find_runs, rows_of

    if as_json and as_csv:
        raise ConfigError("--json and --csv are two answers; ask for one.")
    rows = rows_of(find_runs(places))
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
    elif as_csv:
        typer.echo(pd.DataFrame(rows).to_csv(index=False), nl=False)
    else:
        typer.echo(_table(rows))
        groups = len({row["judged_by"] for row in rows} - {None})
        if groups > 1:
            typer.echo(
                f"{groups} groups of runs, each judged by another loss or other crops (judged_by): "
                "losses compare within a group alone",
                err=True,
            )
        for row in rows:
            if row["fault"]:
                typer.echo(row["fault"], err=True)


def _table(rows: Sequence[dict[str, Any]]) -> str:
    """Return the rows in columns, those left out that are empty throughout; groups set apart."""
    if not rows:
        return "no runs"
    names = [
        name
        for name in rows[0]
        if name not in _NOT_SHOWN and any(row[name] is not None for row in rows)
    ]
    cells = [[name.removeprefix("training.") for name in names]]
    cells += [[_shown(row, name) for name in names] for row in rows]
    widths = [max(len(line[column]) for line in cells) for column in range(len(names))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    ]
    for place in range(len(rows) - 1, 0, -1):
        if rows[place]["judged_by"] != rows[place - 1]["judged_by"]:
            lines.insert(place + 1, "")
    return "\n".join(lines)


def _shown(row: dict[str, Any], name: str) -> str:
    value = row[name]
    if value is None:
        return "-"
    if name == "step" and row["steps"] not in (None, value):
        return f"{value}/{row['steps']}"
    return f"{value:.5g}" if isinstance(value, float) else str(value)
