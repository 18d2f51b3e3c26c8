"""`cryosamu enhance`: a whole map in, an enhanced map in the same frame out."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cryosamu.cli.options import ConfigOption


class Wrong(StrEnum):
    """A structure that is wrong on purpose."""

    permuted = "permuted"
    another = "another"


def register(root: typer.Typer) -> None:
    """Add the command to the application."""
    root.command("enhance")(enhance)


def enhance(
    map_path: Annotated[Path, typer.Argument(metavar="MAP", help="Map, MRC/CCP4, .gz or not.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Enhanced map, .mrc or .mrc.gz.")],
    model: Annotated[
        Path | None,
        typer.Option(help="Model fitted into the map, mmCIF or PDB; the network reads its shape."),
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Trained network; the packaged one where left out.")
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(help="auto, cpu, cuda:N or mps; the configured one where left out."),
    ] = None,
    store: Annotated[
        Path | None,
        typer.Option(help="Folder where the model's embedding is looked for first, and kept."),
    ] = None,
    resolution: Annotated[
        float | None,
        typer.Option(help="Reported resolution, Å: more of the input is checked with it."),
    ] = None,
    low_pass: Annotated[
        float | None, typer.Option(help="Drop what is finer than this from the output, Å.")
    ] = None,
    symmetry: Annotated[
        str | None,
        typer.Option(help="Point group of the map, such as C4: the output is given it exactly."),
    ] = None,
    control: Annotated[
        Wrong | None,
        typer.Option(
            help="A control, not for use: the model's embedding shuffled over residues, or that of "
            "an unrelated protein."
        ),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Enhance a cryo-EM map of 4–8 Å, on its own grid and in its own frame.

    Beside the output lies a record of the same name with .json: checkpoint, settings, checksums.
    A map that was enhanced with a model resembles that model: it is no evidence for it. What is out
    of the ordinary in the input (masked, sharpened, inverted, hollow, wrong voxel size) is said.

        cryosamu enhance emd_1234.map.gz -o enhanced.mrc

        cryosamu enhance emd_1234.map.gz --model 1abc.cif.gz --resolution 5.2 -o enhanced.mrc
    """
    from cryosamu.config import read_config
    from cryosamu.enhancement.map_file import enhance_file

    settings = read_config(config)
    chosen = {} if device is None else {"device": device}
    kept = {} if store is None else {"store": str(store)}
    record = enhance_file(
        map_path,
        output,
        enhancement=settings.enhancement.model_copy(update=chosen),
        embedding=settings.embedding.model_copy(update=chosen | kept),
        model_path=model,
        checkpoint=checkpoint,
        resolution=resolution,
        low_pass_resolution=low_pass,
        symmetry=symmetry,
        control=None if control is None else control.value,
    )
    for note in record["notes"]:
        typer.echo(f"note: {note}", err=True)
