"""`cryosamu evaluate`: how well maps agree with a model, and what that is worth."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from cryosamu.cli import (
    evaluate_build,
    evaluate_controls,
    evaluate_leakage,
    evaluate_map,
    evaluate_method,
    evaluate_summary,
)
from cryosamu.cli.options import application

_HELP_OPTIONS = ("-h", "--help")

_COMMANDS = (
    evaluate_map,
    evaluate_method,
    evaluate_build,
    evaluate_controls,
    evaluate_leakage,
    evaluate_summary,
)


class _MapFirst(TyperGroup):
    """A group that takes what is not one of its commands for the first argument of `map`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put `map` before arguments that begin with a map or with one of its options."""
        if args and args[0] not in (*self.commands, *_HELP_OPTIONS):
            args = ["map", *args]
        return super().parse_args(ctx, args)


def register(root: typer.Typer) -> None:
    """Add the command and those below it to the application."""
    group = application(cls=_MapFirst)
    group.callback()(evaluate)
    for module in _COMMANDS:
        module.register(group)
    root.add_typer(group, name="evaluate")


def evaluate() -> None:
    """Judge a map against a model; `map` may be left out.

    Its options: `cryosamu evaluate map --help`. Write ./build for a map file that is called build.

        cryosamu evaluate emd_1234.map.gz 1abc.cif.gz --resolution 5.2

        cryosamu evaluate emd_1234.map.gz 1abc.cif.gz --resolution 5.2
        --method enhanced=enhanced.mrc --json figures.json
    """
