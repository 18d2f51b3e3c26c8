"""`cryosamu train`: a network from prepared pairs."""

from __future__ import annotations

import os
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
    start: Annotated[
        Path | None,
        typer.Option(help="Checkpoint to begin with, if no earlier run is resumed or continued."),
    ] = None,
    lock: Annotated[
        Path | None, typer.Option(help="Lock of the data set, to be named in the checkpoint.")
    ] = None,
    scratch: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help="Copy prepared pairs to this fast disk first, such as '$TMPDIR'; else as "
            "`training.scratch` says.",
        ),
    ] = None,
    keep_scratch: Annotated[
        bool, typer.Option("--keep-scratch", help="Leave the copies there for the next call.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Train the network on the pairs of the train split, and keep what is best on validation.

    Called again after an interruption, it goes on where it was and ends as if never interrupted.
    Called again with more pairs, it continues from the last finished checkpoint. Called with other
    settings, it begins anew. It says which. Ctrl-C, SIGTERM and SIGUSR1 keep every finished step.

    Example: `cryosamu train --split split.parquet --prepared prepared --tokens embed
    --state state -o checkpoint.safetensors --history history.parquet`

    On maps simulated from structures, without pairs: `cryosamu train --structures
    structures.safetensors --tokens tokens.safetensors --state state -o checkpoint.safetensors
    --history history.parquet`. With both, `training.simulation.share` of the crops are simulated.

    On four GPUs: the same with `training: {processes: 4}` in the settings. On several machines: the
    same under `srun`, one task a GPU.
    """
    from cryosamu.config import read_config
    from cryosamu.training.launch import place_among_processes, start_processes
    from cryosamu.training.run import TrainingFiles, run_training
    from cryosamu.training.staging import Scratch

    settings = read_config(config)
    if settings.training.processes > 1 and place_among_processes(os.environ) is None:
        start_processes(settings.training.processes)
    wanted = scratch or settings.training.scratch
    files = TrainingFiles(
        split=split,
        prepared=prepared,
        tokens=tuple(tokens),
        state=state,
        checkpoint=output,
        history=history,
        start=start,
        lock=lock,
        structures=tuple(structures or ()),
        scratch=Scratch(wanted, keep_scratch) if wanted else None,
    )
    run_training(
        files,
        settings.network,
        settings.training,
        announce=lambda sentence: typer.echo(sentence, err=True),
        preparation=settings.preparation,
    )
