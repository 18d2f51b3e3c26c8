"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

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
