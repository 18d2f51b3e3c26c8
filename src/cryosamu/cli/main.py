"""Enhance cryo-EM maps at 4–8 Å, and rebuild, train and judge what enhances them.

Every stage of the pipeline is a command; the workflow's rules call these same commands.
"""

from __future__ import annotations

import sys
from importlib import import_module

import typer

from cryosamu.cli.options import application
from cryosamu.cli.stopping import StoppedBySignal, heed_requests_to_end
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
    """Run the command line; what a user can cause ends in one sentence and exit status 1.

    Ended by a signal, it gives 128 and the signal's number: 130 after Ctrl-C, 143 after SIGTERM.
    """
    heed_requests_to_end()
    try:
        build_application()()
    except CryosamuError as error:
        print(f"cryosamu: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt as interrupt:
        sys.exit(_interrupted(interrupt))
    except SystemExit as ending:
        # Typer ends an interrupted command itself, without a word.
        cause = ending.__context__.__cause__ if ending.__context__ else None
        if isinstance(cause, KeyboardInterrupt):
            sys.exit(_interrupted(cause))
        raise
    except MemoryError:
        print("cryosamu: there is not enough memory for this map.", file=sys.stderr)
        sys.exit(1)


def _interrupted(interrupt: KeyboardInterrupt) -> int:
    """Say what became of the work; return the exit status."""
    left = "nothing was written" if sys.argv[1:2] == ["enhance"] else "finished work is kept"
    if isinstance(interrupt, StoppedBySignal):
        print(f"cryosamu: ended by {interrupt}; {left}.", file=sys.stderr)
        return 128 + interrupt.number
    print(f"cryosamu: interrupted; {left}.", file=sys.stderr)
    return 130


if __name__ == "__main__":
    main()
