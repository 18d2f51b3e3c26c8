"""`cryosamu report` and `cryosamu picture`: one page about a run, one picture of a map."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cryosamu.cli.options import ConfigOption
from cryosamu.errors import CryosamuError


def register(root: typer.Typer) -> None:
    """Add the commands."""
    root.command("report")(report)
    root.command("picture")(picture)


def report(
    output: Annotated[Path, typer.Option("--output", "-o", help="The HTML file to write.")],
    catalogue: Annotated[Path | None, typer.Option(help="Candidates (Parquet).")] = None,
    decisions: Annotated[Path | None, typer.Option(help="What the filters decided.")] = None,
    split: Annotated[Path | None, typer.Option(help="The pairs and their split.")] = None,
    history: Annotated[Path | None, typer.Option(help="Training curves.")] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="The trained network.")] = None,
    evaluation: Annotated[
        list[Path] | None, typer.Option(help="Metrics of evaluated maps; may be repeated.")
    ] = None,
    summary: Annotated[
        Path | None, typer.Option(help="Paired statistics, from `cryosamu evaluate summary`.")
    ] = None,
    curves: Annotated[list[Path] | None, typer.Option(help="FSC curves; may be repeated.")] = None,
    residues: Annotated[
        list[Path] | None,
        typer.Option(
            help="Figures of residues (Parquet), from `cryosamu evaluate --per-residue`; may be "
            "repeated."
        ),
    ] = None,
    controls: Annotated[
        list[Path] | None,
        typer.Option(help="Controls, from `cryosamu evaluate controls`; may be repeated."),
    ] = None,
    leakage: Annotated[
        Path | None,
        typer.Option(
            help="Identity of the evaluated chains to those of training, from `cryosamu evaluate "
            "leakage`."
        ),
    ] = None,
    methods: Annotated[
        list[Path] | None,
        typer.Option(
            help="Time and memory of methods, from `cryosamu evaluate method`; may be repeated."
        ),
    ] = None,
    pairing: Annotated[
        list[str] | None,
        typer.Option(
            metavar="EMD-1234=DEPOSITED,ENHANCED,MODEL",
            help="Maps and model to be drawn for an entry; may be repeated.",
        ),
    ] = None,
    work: Annotated[
        list[Path] | None,
        typer.Option(help="Work list of pairs to be drawn, with --enhanced; may be repeated."),
    ] = None,
    enhanced: Annotated[
        Path | None, typer.Option(help="Folder of the enhanced maps of the pairs in --work.")
    ] = None,
    title: Annotated[
        str | None, typer.Option(help="The page's title; report.title of the settings if left out.")
    ] = None,
    note: Annotated[
        str | None, typer.Option(help="What stands below it; report.note if left out.")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Write one self-contained HTML page about a run; what is not given is said to be missing.

    Example: `cryosamu report --split split.parquet --evaluation EMD-3488.parquet
    --pairing EMD-3488=emd_3488.map.gz,enhanced.mrc,5NI1.cif.gz -o report.html`
    """
    from cryosamu.config import Config
    from cryosamu.report.inputs import InputFiles, read_inputs
    from cryosamu.report.page import write_report
    from cryosamu.report.pairing import listed_pairings, parse_pairing

    if bool(work) != (enhanced is not None):
        raise CryosamuError("--work and --enhanced belong together: give both, or neither.")
    pairings = [parse_pairing(text) for text in pairing or ()]
    pairings += listed_pairings(work, enhanced) if work and enhanced else []
    files = InputFiles(
        catalogue,
        decisions,
        split,
        history,
        checkpoint,
        summary,
        config,
        tuple(evaluation or ()),
        tuple(curves or ()),
        tuple(residues or ()),
        tuple(controls or ()),
        leakage,
        tuple(methods or ()),
        tuple(pairings),
    )
    inputs = read_inputs(files)
    settings = (inputs.config or Config()).report
    write_report(
        inputs,
        output,
        settings.title if title is None else title,
        settings.note if note is None else note,
    )


def picture(
    deposited: Annotated[Path, typer.Argument(help="The deposited map.")],
    enhanced: Annotated[Path, typer.Argument(help="The enhanced map, on the same grid.")],
    model: Annotated[Path, typer.Argument(help="The model in the maps' frame.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The PNG file to write.")],
) -> None:
    """Draw deposited map, enhanced map and model side by side, at equal enclosed volume.

    Example: `cryosamu picture emd_3488.map.gz enhanced.mrc 5NI1.cif.gz -o picture.png`
    """
    from cryosamu.report.pictures import write_picture

    write_picture(deposited, enhanced, model, output)
