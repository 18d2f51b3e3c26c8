"""`cryosamu train`: a network from prepared pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cryosamu.cli.options import ConfigOption


def register(root: typer.Typer) -> None:
    """Add the command to the application."""
    root.command()(train)


def train(
    tokens: Annotated[
        list[Path], typer.Option(help="Structure tokens: .safetensors files, or a folder of them.")
    ],
    state: Annotated[
        Path, typer.Option(help="Folder that outlives the call: to resume, and to continue.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Checkpoint, .safetensors.")],
    history: Annotated[Path, typer.Option(help="Training curves, Parquet.")],
    start: Annotated[
    split: Annotated[
        Path | None, typer.Option(help="Table of pairs with their split, Parquet.")
    ] = None,
    prepared: Annotated[
        Path | None, typer.Option(help="Folder with EMD-N.npy and EMD-N.json.")
    ] = None,
    structures: Annotated[
        list[Path] | None,
        typer.Option(help="Structures to simulate maps from: files of `cryosamu structures pack`."),
    ] = None,
        Path | None,
        typer.Option(help="Checkpoint to begin with, if no earlier run is resumed or continued."),
    ] = None,
    lock: Annotated[
        Path | None, typer.Option(help="Lock of the data set, to be named in the checkpoint.")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Train the network on the pairs of the train split, and keep what is best on validation.

    Called again after an interruption, it goes on where it was and ends as if never interrupted.
    Called again with more pairs, it continues from the last finished checkpoint. Called with other
    settings, it begins anew. It says which. SIGTERM and Ctrl-C keep every finished step.

    Example: `cryosamu train --split split.parquet --prepared prepared --tokens embed
    --state state -o checkpoint.safetensors --history history.parquet`

    On four GPUs: `torchrun --nproc-per-node 4 --no-python cryosamu train ...`
    """
    from cryosamu.config import read_config
    from cryosamu.training.run import TrainingFiles, run_training

    settings = read_config(config)
    files = TrainingFiles(split, prepared, tuple(tokens), state, output, history, start, lock)
    run_training(
        files,
        settings.network,
        settings.training,
        announce=lambda sentence: typer.echo(sentence, err=True),
    )
        preparation=settings.preparation,
