"""Many pairs judged, each into tables of its own, and these joined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from cryosamu.config import EvaluationSettings
from cryosamu.errors import CryosamuError
from cryosamu.evaluation.entry import judge_entry
from cryosamu.evaluation.methods.many import record_path
from cryosamu.evaluation.methods.record import read_run
from cryosamu.evaluation.reference import ModelReference
from cryosamu.evaluation.rows import curves_table, evaluation_table, residues_table
from cryosamu.pairs import Pair
from cryosamu.provenance import stage_digest
from cryosamu.shards import Made, Task, make_tasks, member_folder
from cryosamu.structure.model import read_model
from cryosamu.tables import CURVES, EVALUATION, RESIDUES, join_tables, write_table
from cryosamu.volume.io import read_map

_SCHEMAS: dict[str, pa.Schema] = {
    ".parquet": EVALUATION,
    ".curves.parquet": CURVES,
    ".residues.parquet": RESIDUES,
}

_Paths = tuple[Path, Path, Path]


@dataclass(frozen=True)
class JudgedTables:
    """The files that hold the rows of all pairs; None where they are not wanted."""

    evaluation: Path | None = None
    curves: Path | None = None
    residues: Path | None = None


def judge_pairs(
    pairs: Sequence[Pair],
    settings: EvaluationSettings,
    methods: Mapping[str, Path],
    folder: Path,
    workers: int = 1,
) -> Made:
    """Judge each pair that is not judged yet, or whose maps are others now.

    Parameters
    ----------
    methods
        Name to the folder of a method's maps, as `make_maps` leaves it.
    folder
        Of each pair's own tables.
    workers
        Processes that judge a pair each.
    """
    shared = {"settings": settings.model_dump(mode="json"), "code": stage_digest("evaluate")}
    tasks = [
        Task(
            pair.emdb_id,
            (pair, settings, _records(pair, methods), _paths(folder, pair)),
            {
                **shared,
                "map": pair.map_sha256,
                "model": pair.model_sha256,
                "pdb_id": pair.pdb_id,
                "resolution": pair.resolution,
                "contour": pair.contour_level,
                "methods": {name: _made(path) for name, path in _records(pair, methods).items()},
            },
            _paths(folder, pair),
        )
        for pair in pairs
    ]
    return make_tasks(tasks, _judge, "evaluated", workers)


def join_judged(pairs: Sequence[Pair], folder: Path, tables: JudgedTables) -> None:
    """Write the rows of all pairs to one file a kind."""
    wanted = (tables.evaluation, tables.curves, tables.residues)
    parts = [_paths(folder, pair) for pair in pairs]
    for place, (path, schema) in enumerate(zip(wanted, _SCHEMAS.values(), strict=True)):
        if path is not None:
            join_tables(path, [paths[place] for paths in parts], schema)


def _paths(folder: Path, pair: Pair) -> _Paths:
    place = member_folder(folder, pair.emdb_id)
    first, second, third = (place / f"{pair.emdb_id}{suffix}" for suffix in _SCHEMAS)
    return first, second, third


def _records(pair: Pair, methods: Mapping[str, Path]) -> dict[str, Path]:
    return {name: record_path(folder, pair.emdb_id) for name, folder in methods.items()}


def _made(record: Path) -> list[str | None]:
    """Return what the figures of a method follow from: its map, or why there is none."""
    run = read_run(record)
    return [run.sha256, run.error]


def _judge(given: tuple[Pair, EvaluationSettings, dict[str, Path], _Paths]) -> None:
    pair, settings, finished, (table, curves, residues) = given
    deposited, structure = read_map(pair.arrived_map()), read_model(pair.arrived_model())
    try:
        judged = judge_entry(
            deposited,
            structure,
            pair.resolution,
            settings,
            finished,
            pair.contour_level,
            every_residue=True,
        )
        reference = ModelReference(deposited, structure, pair.resolution)
    except CryosamuError as error:
        raise type(error)(f"{pair.map} and {pair.model}: {error}") from error
    write_table(table, evaluation_table(judged, pair.emdb_id, pair.pdb_id), EVALUATION)
    write_table(curves, curves_table(judged, pair.emdb_id), CURVES)
    of_residues = residues_table(judged, reference.residues, pair.emdb_id, pair.pdb_id)
    write_table(residues, of_residues, RESIDUES)
