"""What the page is made from: the tables of the stages, the checkpoint's header, the maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pyarrow as pa

from cryosamu import tables
from cryosamu.config import Config, read_config
from cryosamu.errors import CryosamuError
from cryosamu.files import sha256_of
from cryosamu.report.pairing import Pairing
from cryosamu.report.run import RunFacts, read_run

UNNAMED = "unnamed"
"""Stands for an id that a table leaves out."""


@dataclass(frozen=True)
class InputFiles:
    """The paths that the command was given; what is None or empty was not run."""

    catalogue: Path | None = None
    decisions: Path | None = None
    split: Path | None = None
    history: Path | None = None
    checkpoint: Path | None = None
    summary: Path | None = None
    config: Path | None = None
    evaluations: tuple[Path, ...] = ()
    curves: tuple[Path, ...] = ()
    residues: tuple[Path, ...] = ()
    controls: tuple[Path, ...] = ()
    leakage: Path | None = None
    methods: tuple[Path, ...] = ()
    pairings: tuple[Pairing, ...] = ()


@dataclass(frozen=True)
class Inputs:
    """The contents; a frame or record is None where its file was not given.

    Attributes
    ----------
    files
        (name, SHA-256) of every file that was read, in the order of the command line.
    """

    catalogue: pd.DataFrame | None = None
    decisions: pd.DataFrame | None = None
    split: pd.DataFrame | None = None
    history: pd.DataFrame | None = None
    evaluation: pd.DataFrame | None = None
    curves: pd.DataFrame | None = None
    residues: pd.DataFrame | None = None
    controls: pd.DataFrame | None = None
    leakage: pd.DataFrame | None = None
    methods: pd.DataFrame | None = None
    summary: pd.DataFrame | None = None
    run: RunFacts | None = None
    config: Config | None = None
    pairings: tuple[Pairing, ...] = ()
    files: list[tuple[str, str]] = field(default_factory=list)


def read_inputs(files: InputFiles) -> Inputs:
    """Read and check every file that was given, except the maps and models.

    Raises
    ------
    CryosamuError
        When a file is not what its option says, or tables contradict each other.
    """
    _refuse_repeated_pairings(files.pairings)
    given = [files.catalogue, files.decisions, files.split, files.history, files.checkpoint]
    given += [files.summary, files.leakage]
    # Not the configuration: the page states its settings, and a port in it shapes no result.
    given += [*files.evaluations, *files.curves, *files.residues, *files.controls]
    given += files.methods
    return Inputs(
        catalogue=_table(files.catalogue, tables.CATALOGUE),
        decisions=_table(files.decisions, tables.DECISIONS),
        split=_table(files.split, tables.SPLIT),
        history=_table(files.history, tables.HISTORY),
        evaluation=_joined(files.evaluations, tables.EVALUATION, "metric", "method", "low_passed"),
        curves=_joined(files.curves, tables.CURVES),
        residues=_joined(files.residues, tables.RESIDUES),
        controls=_joined(files.controls, tables.CONTROLS, "control"),
        leakage=None if files.leakage is None else _joined((files.leakage,), tables.LEAKAGE),
        methods=_joined(files.methods, tables.METHODS, "method"),
        summary=_table(files.summary, tables.SUMMARY),
        run=None if files.checkpoint is None else read_run(files.checkpoint),
        config=None if files.config is None else read_config(files.config),
        pairings=files.pairings,
        files=[(path.name, sha256_of(path)) for path in given if path is not None],
    )


def _table(path: Path | None, schema: pa.Schema) -> pd.DataFrame | None:
    return None if path is None else tables.read_table(path, schema)


def _joined(paths: Sequence[Path], schema: pa.Schema, *once: str) -> pd.DataFrame | None:
    """Return the rows of all files; where `once` is given, those columns name a row of a map."""
    if not paths:
        return None
    joined = tables.read_tables(paths, schema)
    # A user's own map needs no archive id; its rows must not get lost in groups.
    ids = [name for name in ("emdb_id", "pdb_id") if name in joined]
    joined[ids] = joined[ids].fillna(UNNAMED).replace("", UNNAMED)
    if once:
        _refuse_duplicates(joined, [*ids, *once], once[0])
    return joined


def _refuse_duplicates(rows: pd.DataFrame, key: list[str], name: str) -> None:
    twice = rows[rows.duplicated(key)]
    if len(twice):
        row = twice.iloc[0]
        method = f" of {row['method']}" if "method" in key and name != "method" else ""
        raise CryosamuError(
            f"the tables hold the {name} {row[name]}{method} for {row['emdb_id']} more than once; "
            "give each table once."
        )


def _refuse_repeated_pairings(pairings: Sequence[Pairing]) -> None:
    names = [pairing.emdb_id for pairing in pairings]
    for name in names:
        if names.count(name) > 1:
            raise CryosamuError(f"--pairing was given more than once for {name}; give it once.")
