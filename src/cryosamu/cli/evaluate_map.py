"""`cryosamu evaluate MAP MODEL`: how well maps agree with a model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cryosamu.cli import options
from cryosamu.errors import CryosamuError

if TYPE_CHECKING:
    from cryosamu.evaluation.entry import Judged
    from cryosamu.evaluation.methods import MethodMap, Setting
    from cryosamu.evaluation.reference import ModelReference

_COLUMNS = {
    "cc_box": "CC_box",
    "cc_mask": "CC_mask",
    "cc_volume": "CC_volume",
    "cc_peaks": "CC_peaks",
    "d_fsc_05_masked": "FSC-0.5 masked",
    "d_fsc_05_unmasked": "unmasked, Å",
}


def register(group: typer.Typer) -> None:
    """Add the command to the group."""
    group.command("map")(judge)


def judge(
    map_path: Annotated[
        Path | None, typer.Argument(metavar="MAP", help="Deposited map, MRC/CCP4, .gz or not.")
    ] = None,
    model_path: Annotated[
        Path | None, typer.Argument(metavar="MODEL", help="Model, mmCIF or PDB.")
    ] = None,
    resolution: Annotated[
        float | None, typer.Option(help="Reported resolution of the map, Å.")
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=MAP",
            help="A finished map, or its record, to judge; with --work the folder of all. May be "
            "repeated.",
        ),
    ] = None,
    contour: Annotated[
        float | None,
        typer.Option(help="Depositors' contour level, for the mask of low_pass_masked."),
    ] = None,
    json_path: Annotated[
        Path | None, typer.Option("--json", help="All figures with their provenance.")
    ] = None,
    table: Annotated[
        Path | None, typer.Option(help="One row a method and metric (Parquet).")
    ] = None,
    curves: Annotated[Path | None, typer.Option(help="Map-model FSC curves (Parquet).")] = None,
    per_residue: Annotated[
        Path | None,
        typer.Option(help="One row a method and residue: .parquet, or .csv."),
    ] = None,
    half_map: Annotated[
        list[Path] | None,
        typer.Option(help="Half map, given twice: their local resolution joins --per-residue."),
    ] = None,
    emdb_id: Annotated[str, typer.Option(help="Entry, for the tables.")] = "",
    pdb_id: Annotated[str, typer.Option(help="Model, for the tables.")] = "",
    work: options.WorkOption = None,
    members: options.MembersOption = None,
    workers: options.WorkersOption = 1,
    config: options.ConfigOption = None,
) -> None:
    """Judge a map, trivial baselines and finished maps against a model, as cctbx 2025.11 does.

    Correlation in real space (CC_box, CC_mask, CC_volume, CC_peaks, CC_image, the median over
    residues), the resolution at which the map-model FSC falls below 0.5, its average, Q-score
    (σ = 0.6 Å) and local resolution: docs/metrics.md defines them. Each for the map as it is and
    low-passed to the reported resolution. A gain over `deposited` that `low_pass` has too is no
    gain; `envelope` and `random_phases` are floors. A method that fails is listed with its reason.
    With `--work` all pairs of a list are judged, and the tables hold the rows of all.

        cryosamu evaluate emd_1234.map.gz 1abc.cif.gz --resolution 5.2

        cryosamu evaluate emd_1234.map.gz 1abc.cif.gz --resolution 5.2
        --method enhanced=enhanced.mrc --json figures.json --per-residue residues.csv

        cryosamu evaluate map --work results/split/test/00.jsonl --members judged
        --method enhanced=enhanced_maps --table all.parquet
    """
    if work is not None:
        options.refuse_beside_work(
            MAP=map_path, MODEL=model_path, resolution=resolution, contour=contour, json=json_path,
            half_map=half_map, emdb_id=emdb_id, pdb_id=pdb_id,
        )  # fmt: skip
        if members is None:
            raise CryosamuError("--work needs --members FOLDER.")
        outputs = (table, curves, per_residue)
        _judge_list(work, members, _finished_maps(method or []), outputs, workers, config)
        return
    if map_path is None or model_path is None or resolution is None:
        raise CryosamuError("give MAP, MODEL and --resolution, or --work.")
    from cryosamu.config import read_config
    from cryosamu.evaluation.entry import judge_entry
    from cryosamu.evaluation.methods import read_finished
    from cryosamu.evaluation.reference import ModelReference
    from cryosamu.structure.model import read_model
    from cryosamu.volume.io import read_map

    finished, halves = _finished_maps(method or []), _half_maps(half_map or [], per_residue)
    settings = read_config(config).evaluation
    deposited, structure = read_map(map_path), read_model(model_path)
    # Before anything is measured: a half map that is not there must not cost the rest.
    half_data = [read_finished(path, deposited) for path in halves]
    try:
        judged = judge_entry(
            deposited,
            structure,
            resolution,
            settings,
            finished,
            contour,
            every_residue=per_residue is not None,
        )
    except CryosamuError as error:
        raise type(error)(f"{map_path} and {model_path}: {error}") from error
    typer.echo(_page(judged))
    for note in (*_notes(judged), *_resampled(zip(halves, half_data, strict=True))):
        typer.echo(f"note: {note}", err=True)
    if per_residue is not None:
        reference = ModelReference(deposited, structure, resolution)
        _write_residues(per_residue, judged, reference, half_data, (emdb_id, pdb_id))
    _write_tables(judged, table, curves, emdb_id, pdb_id)
    if json_path is not None:
        given = {"resolution": resolution, "contour": contour, **settings.model_dump(mode="json")}
        inputs = {"map": map_path, "model": model_path}
        inputs |= {name: path for name, path in finished.items() if path.is_file()}
        inputs |= {f"half map {number}": path for number, path in enumerate(halves, 1)}
        _write_json(json_path, judged, given, inputs)


def _judge_list(
    work: Path,
    members: Path,
    methods: dict[str, Path],
    outputs: tuple[Path | None, Path | None, Path | None],
    workers: int,
    config: Path | None,
) -> None:
    from cryosamu.config import read_config
    from cryosamu.evaluation.many import JudgedTables, join_judged, judge_pairs
    from cryosamu.pairs import read_pairs

    pairs = read_pairs(work)
    made = judge_pairs(pairs, read_config(config).evaluation, methods, members, workers)
    typer.echo(made.summary("evaluated"), err=True)
    made.require_all("evaluated")
    join_judged(pairs, members, JudgedTables(*outputs))


def _finished_maps(given: Sequence[str]) -> dict[str, Path]:
    from cryosamu.evaluation.methods import BASELINES, FLOORS

    finished: dict[str, Path] = {}
    for text in given:
        name, equals, path = text.partition("=")
        if not name or not equals or not path:
            raise CryosamuError(f"--method {text}: must be NAME=MAP, such as enhanced=map.mrc.")
        if name in (*BASELINES, *FLOORS, *finished):
            raise CryosamuError(f"--method {text}: the name '{name}' is taken; choose another.")
        finished[name] = Path(path)
    return finished


def _half_maps(given: Sequence[Path], per_residue: Path | None) -> tuple[Path, ...]:
    if given and (len(given) != 2 or per_residue is None):
        raise CryosamuError("--half-map: must be given twice, and --per-residue with it.")
    if per_residue is not None and per_residue.suffix not in (".parquet", ".csv"):
        raise CryosamuError(f"--per-residue {per_residue}: must end in .parquet or .csv.")
    return tuple(given)


def _page(judged: Sequence[Judged]) -> str:
    """Return the figures as a table for the eye, two lines a method."""
    width = max(len(one.method) for one in judged)
    lines = [" ".join([" " * (width + 12), *(f"{title:>14}" for title in _COLUMNS.values())])]
    for one in judged:
        name = "" if one.low_passed else one.method
        filtered = "low-passed" if one.low_passed else "as it is"
        values = (one.metrics[metric] for metric in _COLUMNS)
        cells = (f"{'-' if value is None else f'{value:.3f}':>14}" for value in values)
        lines.append(" ".join([f"{name:<{width}} {filtered:<11}", *cells]))
    return "\n".join(lines)


def _notes(judged: Sequence[Judged]) -> Iterator[str]:
    inside = float(judged[0].settings["atoms_inside"])
    if inside < 1:
        yield (
            f"{100 * (1 - inside):.1f} % of the model's atoms lie outside the map's box, which is "
            "taken as periodic."
        )
    for one in judged:
        if one.low_passed:
            continue
        if "error" in one.settings:
            yield f"{one.method} failed: {one.settings['error']}"
        if "resampled_from" in one.settings:
            yield f"{one.method} {_interpolated(one.settings)}"
        for name in ("masked", "unmasked"):
            first_bin = one.settings.get(f"d_fsc_05_{name}_extrapolated_from")
            if first_bin is not None:
                yield (
                    f"{one.method}: FSC-0.5 {name} is extrapolated, as cctbx does; the curve is "
                    f"below 0.5 from {first_bin:.2f} Å on."
                )


def _resampled(halves: Iterable[tuple[Path, MethodMap]]) -> Iterator[str]:
    for path, half in halves:
        if "resampled_from" in half.settings:
            yield f"half map {path} {_interpolated(half.settings)}"


def _interpolated(settings: Mapping[str, Setting]) -> str:
    return (
        f"lies on another grid ({settings['resampled_from']}) and was interpolated; it reaches "
        f"{100 * float(settings['covered']):.0f} % of the deposited map."
    )


def _write_tables(
    judged: Sequence[Judged], table: Path | None, curves: Path | None, emdb_id: str, pdb_id: str
) -> None:
    if table is None and curves is None:
        return
    from cryosamu.evaluation.rows import curves_table, evaluation_table
    from cryosamu.tables import CURVES, EVALUATION, write_table

    if table is not None:
        write_table(table, evaluation_table(judged, emdb_id, pdb_id), EVALUATION)
    if curves is not None:
        write_table(curves, curves_table(judged, emdb_id), CURVES)


def _write_residues(
    path: Path,
    judged: Sequence[Judged],
    reference: ModelReference,
    halves: Sequence[MethodMap],
    ids: tuple[str, str],
) -> None:
    from cryosamu.evaluation.measurement import half_map_resolutions
    from cryosamu.evaluation.rows import residues_table
    from cryosamu.files import atomic_path
    from cryosamu.tables import RESIDUES, write_table

    resolutions = None
    if halves:
        first, second = halves
        resolutions = half_map_resolutions(first.data, second.data, reference)
    table = residues_table(judged, reference.residues, *ids, resolutions)
    if path.suffix == ".parquet":
        write_table(path, table, RESIDUES)
        return
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.5g")


def _write_json(
    path: Path, judged: Sequence[Judged], settings: dict[str, Any], inputs: dict[str, Path]
) -> None:
    """Write the figures: the given map's own at the top, all methods' below."""
    import json

    from cryosamu.evaluation.definitions import METRICS
    from cryosamu.files import write_text
    from cryosamu.provenance import provenance_record

    methods: dict[str, Any] = {}
    for one in judged:
        filtered = "low_passed" if one.low_passed else "as_is"
        methods.setdefault(one.method, {"settings": dict(one.settings)})[filtered] = one.metrics
        if one.residues is not None:
            methods[one.method][f"chains_{filtered}"] = dict(one.residues.chains)
    record = {
        **methods["deposited"]["as_is"],
        "methods": methods,
        "definitions": {name: metric.definition for name, metric in METRICS.items()},
        "masks": {name: metric.mask for name, metric in METRICS.items()},
        "provenance": provenance_record(settings, inputs),
    }
    write_text(path, json.dumps(record, indent=2) + "\n")
