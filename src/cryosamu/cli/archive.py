"""`cryosamu archive serve`: the embedded archive on this machine."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from cryosamu.cli.options import application


def register(root: typer.Typer) -> None:
    """Add the command to the application."""
    group = application(help="A small archive on this machine, for the demo and the tests.")
    group.callback()(_group)
    group.command("serve")(serve)
    root.add_typer(group, name="archive")


def _group() -> None:
    """Keep `serve` a command of its own, though it is the only one."""


def serve(
    command: Annotated[
        list[str] | None,
        typer.Argument(help="Run this while serving, and end with its exit status."),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free port.")] = 8642,
    root: Annotated[
        Path | None,
        typer.Option(help="Serve this folder of the same layout, not the embedded archive."),
    ] = None,
) -> None:
    """Serve the embedded archive on 127.0.0.1, under the very paths of EMDB and RCSB.

    Put the address that is printed into `archive.mirror_root` of a configuration. A COMMAND
    finds it in the environment variable CRYOSAMU_MIRROR_ROOT.

    Example: `cryosamu archive serve --port 8642`

    With a command: `cryosamu archive serve -- snakemake --cores 2 --configfile demo.yaml`
    """
    from cryosamu.archive.companion import run_beside
    from cryosamu.archive.server import EMBEDDED, ArchiveServer

    server = ArchiveServer(root or EMBEDDED, port)
    if command:
        typer.echo(f"archive at {server.url}", err=True)
        with server.running():
            raise typer.Exit(run_beside(server.url, command))
    typer.echo(f"archive at {server.url}")
    with server, suppress(KeyboardInterrupt):
        server.serve_forever()
