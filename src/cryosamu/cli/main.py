"""Enhance cryo-EM maps at 4–8 Å, and rebuild, train and judge what enhances them.

Every stage of the pipeline is a command; the workflow's rules call these same commands.
"""

from __future__ import annotations

import sys
from importlib import import_module

import typer

from cryosamu.cli.options import application
from cryosamu.errors import CryosamuError

COMMANDS = (
    "catalogue",
    "fetch",
    "curate",
    "split",
    "deal",
    "embed",
    "prepare",
    "structures",
    "train",
    "runs",
    "enhance",
    "evaluate",
    "report",
    "archive",
)


def build_application() -> typer.Typer:
    """Return the application with every stage's commands registered."""
    root = application(help=__doc__)
    for name in COMMANDS:
        module = import_module(f"cryosamu.cli.{name}")
        module.register(root)
    return root


def main() -> None:
    """Run the command line; what a user can cause ends in one sentence and exit status 1."""
    try:
        build_application()()
    except CryosamuError as error:
        print(f"cryosamu: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        _say_interrupted()
        sys.exit(130)
    except SystemExit as ending:
        # Typer ends an interrupted command itself, without a word.
        if ending.__context__ and isinstance(ending.__context__.__cause__, KeyboardInterrupt):
            _say_interrupted()
        raise
    except MemoryError:
        print("cryosamu: there is not enough memory for this map.", file=sys.stderr)
        sys.exit(1)


def _say_interrupted() -> None:
    print("cryosamu: interrupted; finished work is kept.", file=sys.stderr)


if __name__ == "__main__":
    main()
