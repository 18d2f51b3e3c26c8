"""`cryosamu evaluate controls`: whether what an enhanced map shows is real."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cryosamu.cli.options import (
    ConfigOption,
    MembersOption,
    WorkersOption,
    WorkOption,
    refuse_beside_work,
)
from cryosamu.errors import CryosamuError

if TYPE_CHECKING:
    from cryosamu.enhancement.trials import Controlled
    from cryosamu.evaluation.controls.subject import Outcome
    from cryosamu.volume.volume import Volume


def register(group: typer.Typer) -> None:
    """Add the command to the group."""
    group.command("controls")(controls)


def controls(
    map_path: Annotated[
        Path | None, typer.Argument(metavar="MAP", help="Deposited map, MRC/CCP4, .gz or not.")
    ] = None,
    resolution: Annotated[
        float | None, typer.Option(help="Reported resolution of the map, Å.")
    ] = None,
    model_path: Annotated[
        Path | None,
        typer.Argument(metavar="[MODEL]", help="Model fitted into it; most controls need one."),
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Trained network; the packaged one where left out.")
    ] = None,
    predicted: Annotated[
        Path | None,
        typer.Option(
            help="A predicted model, placed in the map, for control 4; MODEL with errors made up "
            "where left out."
        ),
    ] = None,
    half_map: Annotated[
        list[Path] | None, typer.Option(help="Half map, given twice, for control 7.")
    ] = None,
    contour: Annotated[
        float | None, typer.Option(help="Depositors' contour level, for control 9.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="One row a control (Parquet).")
    ] = None,
    json_path: Annotated[
        Path | None, typer.Option("--json", help="The same with its provenance.")
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(help="auto, cpu, cuda:N or mps; the configured one where left out."),
    ] = None,
    store: Annotated[
        Path | None, typer.Option(help="Folder where embeddings are looked for first, and kept.")
    ] = None,
    emdb_id: Annotated[str, typer.Option(help="Entry, for the table.")] = "",
    pdb_id: Annotated[str, typer.Option(help="Model, for the table.")] = "",
    work: WorkOption = None,
    members: MembersOption = None,
    workers: WorkersOption = 1,
    config: ConfigOption = None,
) -> None:
    """Put the network to nine controls on one map, and score how much it hallucinates.

    Wrong embeddings, a model with errors, noise, a deleted helix, half maps, the input itself:
    docs/controls.md says what each must show and why. The score is 0 for a method that leaves the
    map as it is and 1 for one that paints the model. A control that cannot be made says why. The
    exit status is 0 whatever the verdicts are. With `--work` all pairs of a list are put to them.

        cryosamu evaluate controls emd_1234.map.gz 1abc.cif.gz --resolution 5.2 -o controls.parquet

        cryosamu evaluate controls emd_1234.map.gz 1abc.cif.gz --resolution 5.2
        --half-map half_1.map.gz --half-map half_2.map.gz --json controls.json

        cryosamu evaluate controls --work results/split/test/00.jsonl --members controlled
        -o controls.parquet
    """
    from cryosamu.config import read_config
    from cryosamu.enhancement.trial import trial_of
    from cryosamu.enhancement.trials import Controlled
    from cryosamu.evaluation.controls.run import controls_table, run_controls
    from cryosamu.tables import CONTROLS, write_table
    from cryosamu.volume.io import read_map

    settings = read_config(config)
    chosen = {} if device is None else {"device": device}
    kept = {} if store is None else {"store": str(store)}
    enhancement = settings.enhancement.model_copy(update=chosen)
    embedding = settings.embedding.model_copy(update=chosen | kept)
    if work is not None:
        refuse_beside_work(
            MAP=map_path, MODEL=model_path, resolution=resolution, contour=contour,
            predicted=predicted, half_map=half_map, json=json_path, emdb_id=emdb_id, pdb_id=pdb_id,
        )  # fmt: skip
        controlled = Controlled(checkpoint, enhancement, embedding)
        _control_list(work, members, controlled, output, workers)
        return
    if map_path is None or resolution is None:
        raise CryosamuError("give MAP and --resolution, or --work.")
    if predicted is not None and model_path is None:
        raise CryosamuError("--predicted: needs the MODEL that it is compared with.")
    volume = read_map(map_path)
    halves = _halves(half_map or [], volume)
    subject, inputs = trial_of(
        volume,
        resolution,
        checkpoint=checkpoint,
        model_path=model_path,
        predicted_path=predicted,
        contour=contour,
        halves=halves,
        enhancement=enhancement,
        embedding=embedding,
    )
    try:
        outcomes = run_controls(subject)
    except CryosamuError as error:
        raise type(error)(f"{map_path}: {error}") from error
    typer.echo(_page(outcomes))
    if output is not None:
        write_table(output, controls_table(outcomes, emdb_id, pdb_id), CONTROLS)
    if json_path is not None:
        inputs |= {"map": map_path}
        inputs |= {f"half map {number}": path for number, path in enumerate(half_map or [], 1)}
        _write_json(json_path, outcomes, {"resolution": resolution, "contour": contour}, inputs)


def _control_list(
    work: Path, members: Path | None, controlled: Controlled, output: Path | None, workers: int
) -> None:
    from cryosamu.enhancement.trials import control_pairs, join_controls
    from cryosamu.pairs import read_pairs

    if members is None or output is None:
        raise CryosamuError("--work needs --members FOLDER and -o TABLE.")
    pairs = read_pairs(work)
    made = control_pairs(pairs, controlled, members, workers)
    typer.echo(made.summary("controlled"), err=True)
    made.require_all("controlled")
    join_controls(pairs, members, output)


def _halves(given: Sequence[Path], volume: Volume) -> tuple[Volume, Volume] | None:
    from cryosamu.evaluation.methods import read_finished

    if not given:
        return None
    if len(given) != 2:
        raise CryosamuError("--half-map: must be given twice, once a half map.")
    first, second = (volume.with_data(read_finished(path, volume).data) for path in given)
    return first, second


def _page(outcomes: Sequence[Outcome]) -> str:
    """Return the outcomes as lines for the eye."""
    lines = []
    for one in outcomes:
        value = "-" if one.value is None else f"{one.value:.3f}"
        verdict = one.verdict.replace("_", " ")
        number = str(one.number) if one.number else " "
        lines.append(f"{number} {one.control:<20} {verdict:<15} {value:>7}  {one.reason}")
    return "\n".join(lines)


def _write_json(
    path: Path, outcomes: Sequence[Outcome], settings: dict[str, Any], inputs: dict[str, Path]
) -> None:
    """Write the outcomes, the hallucination score at the top."""
    import json
    from dataclasses import asdict

    from cryosamu.evaluation.controls.run import rounded
    from cryosamu.files import write_text
    from cryosamu.provenance import provenance_record

    score, *controls = ({**asdict(one), "detail": rounded(one)} for one in outcomes)
    record = {
        "hallucination_score": score["value"],
        "score": score,
        "controls": controls,
        "provenance": provenance_record(settings, inputs),
    }
    write_text(path, json.dumps(record, indent=2) + "\n")
