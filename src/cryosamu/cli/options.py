"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cryosamu.errors import CryosamuError

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", help="YAML settings; the paper's recipe where left out."),
]

WorkOption = Annotated[
    Path | None,
    typer.Option("--work", help="Work list of pairs, from `cryosamu deal`, instead of one."),
]

WorkersOption = Annotated[
    int, typer.Option("--workers", min=1, help="With --work: processes that take a pair each.")
]

MembersOption = Annotated[
    Path | None,
    typer.Option(
        "--members",
        help="With --work: folder of each pair's own results, so that a pair whose inputs are the "
        "same is not done again.",
    ),
]


def refuse_beside_work(**given: object) -> None:
    """Refuse what is of one entry, where a work list names them.

    Parameters
    ----------
    given
        Values by argument in capitals or option's name; None, "" and an empty list are not given.

    Raises
    ------
    CryosamuError
        Naming what to leave out.
    """
    found = [
        name if name.isupper() else f"--{name.replace('_', '-')}"
        for name, value in given.items()
        if value not in (None, "", [])
    ]
    if found:
        raise CryosamuError(f"--work names the entries: leave out {', '.join(found)}.")


def application(**settings: Any) -> typer.Typer:
    """Return a Typer application with this project's habits: plain errors, help when idle."""
    return typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",
        context_settings={"help_option_names": ["-h", "--help"]},
        **settings,
    )
