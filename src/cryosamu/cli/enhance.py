"""`cryosamu enhance`: a whole map in, an enhanced map in the same frame out."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryosamu.cli.options import ConfigOption

if TYPE_CHECKING:
    from cryosamu.enhancement.api import Enhanced


class Wrong(StrEnum):
    """A structure that is wrong on purpose."""

    permuted = "permuted"
    another = "another"


class Rotations(StrEnum):
    """Rotations of the cube that an answer may be averaged over."""

    one = "1"
    four = "4"
    eight = "8"
    all = "24"


def register(root: typer.Typer) -> None:
    """Add the command to the application."""
    root.command("enhance")(enhance)


def enhance(
    output: Annotated[Path, typer.Option("--output", "-o", help="Enhanced map, .mrc or .mrc.gz.")],
    map_path: Annotated[
        Path | None,
        typer.Argument(
            metavar="[MAP]",
            help="Map, MRC/CCP4, .gz or not; if left out, the half maps' mean.",
        ),
    ] = None,
    half_maps: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            metavar="HALF HALF",
            help="The two raw half maps: each is enhanced too and held against the other.",
        ),
    ] = None,
    check_halves: Annotated[
        bool, typer.Option(help="With half maps: that check, which takes the time of two maps.")
    ] = True,
    model: Annotated[
        Path | None,
        typer.Option(help="Model fitted into the map, mmCIF or PDB; the network reads its shape."),
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Go on with a model or half maps that do not fit the map, and say so."
        ),
    ] = False,
    mask: Annotated[
        Path | None,
        typer.Option(
            help="Mask on the map's grid, 1 where to enhance; the molecule is found if left out."
        ),
    ] = None,
    keeping: Annotated[
        bool,
        typer.Option(
            help="Blend back what the map clearly holds and the network lost, or the model does "
            "not explain: ligands, glycans, nucleic acid."
        ),
    ] = True,
    confidence: Annotated[
        bool, typer.Option(help="Write how far each voxel is to be believed, as …_confidence.")
    ] = True,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Trained network; the packaged one where left out.")
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(help="auto, cpu, cuda:N or mps; the configured one where left out."),
    ] = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="In float32 even where other numbers are faster.")
    ] = False,
    averaging: Annotated[
        Rotations | None,
        typer.Option(help="Mean over so many rotations of the cube; as many times the work."),
    ] = None,
    store: Annotated[
        Path | None,
        typer.Option(help="Folder where the model's embedding is looked for first, and kept."),
    ] = None,
    resolution: Annotated[
        float | None,
        typer.Option(help="Reported resolution, Å: more of the input is checked with it."),
    ] = None,
    contour: Annotated[
        float | None,
        typer.Option(help="Contour level recommended for MAP: surfaces are drawn to match it."),
    ] = None,
    mass: Annotated[
        float | None,
        typer.Option(
            metavar="KDA", help="Mass of the particle, kDa: tells a voxel size that is wrong."
        ),
    ] = None,
    low_pass: Annotated[
        float | None, typer.Option(help="Drop what is finer than this from the output, Å.")
    ] = None,
    also_low_passed: Annotated[
        bool,
        typer.Option(
            "--also-low-passed",
            help="Write the output low-passed to --resolution too, as …_low_passed.",
        ),
    ] = False,
    keep_1_a: Annotated[
        bool,
        typer.Option(
            "--keep-1A", help="Write the network's answer on its own 1 Å grid too, as …_1A."
        ),
    ] = False,
    chimerax: Annotated[
        bool | None,
        typer.Option(
            "--chimerax/--no-chimerax",
            help="Commands for ChimeraX beside the output; written where the names allow it.",
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="A page of HTML about the map: how it looks and what to believe of it."),
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

        cryosamu enhance --half-maps half_1.mrc half_2.mrc --resolution 5.2 -o enhanced.mrc
    """
    from cryosamu.config import read_config
    from cryosamu.enhancement.api import enhance as enhance_map
    from cryosamu.enhancement.map_file import enhance_to_files, told_of
    from cryosamu.enhancement.outputs import Wanted
    from cryosamu.enhancement.released import released_checkpoint
    from cryosamu.enhancement.scene import can_be_opened
    from cryosamu.errors import CryosamuError

    if also_low_passed and resolution is None:
        raise CryosamuError("--also-low-passed: needs the --resolution to which it low-passes.")
    if map_path is None and half_maps is None:
        raise CryosamuError("give the MAP to enhance, or --half-maps.")
    settings = read_config(config)
    chosen = {} if device is None else {"device": device}
    computed: dict[str, object] = {"precision": "float32"} if exact else {}
    computed |= {} if averaging is None else {"averaging": int(averaging.value)}
    kept = {} if store is None else {"store": str(store)}
    checkpoint = checkpoint or released_checkpoint()
    first, second = half_maps or (None, None)
    given = {
        "map": map_path, "half_map_1": first, "half_map_2": second, "model": model,
        "mask": mask, "checkpoint": checkpoint, "config": config,
    }  # fmt: skip
    wanted = Wanted(
        working=keep_1_a,
        low_passed=also_low_passed,
        confidence=confidence,
        scene=can_be_opened(output) if chimerax is None else chimerax,
        report=report,
    )
    work = partial(
        enhance_map,
        map_path,
        model,
        half_maps=half_maps,
        mask=mask,
        keep=keeping,
        confidence=confidence,
        force=force,
        check_halves=check_halves,
        resolution=resolution,
        contour=contour,
        mass=mass,
        symmetry=symmetry,
        low_pass=low_pass,
        checkpoint=checkpoint,
        control=None if control is None else control.value,
        enhancement=settings.enhancement.model_copy(update=chosen | computed),
        embedding=settings.embedding.model_copy(update=chosen | kept),
        progress=True,
        announce=partial(typer.echo, err=True),
    )
    inputs = {role: path for role, path in given.items() if path is not None}
    record = enhance_to_files(work, output, inputs, wanted, _page)
    for note in told_of(record):
        typer.echo(f"note: {note}", err=True)


def _page(enhanced: Enhanced, inputs: Mapping[str, Path], checksums: Mapping[str, str]) -> str:
    """Make the report; drawing is imported by those who ask for it alone."""
    from cryosamu.report.one_map import map_page

    return map_page(enhanced, inputs, checksums)
