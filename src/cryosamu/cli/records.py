"""Records and measurements, as the commands of curation take them: files or folders."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from cryosamu.errors import CryosamuError

if TYPE_CHECKING:
    from cryosamu.archive.record import FetchRecord
    from cryosamu.curation.measurement import FailedMeasurement, Measurement

Told = TypeVar("Told")

MeasurementsOption = Annotated[
    list[Path], typer.Option(help="Measurements: tables, or folders of them; may be repeated.")
]
MembersOption = Annotated[
    Path,
    typer.Option(help="Folder in which each is kept, so that a call that is killed loses none."),
]
WorkersOption = Annotated[
    int, typer.Option(help="Processes at work at a time; they do not change the result.", min=1)
]
FetchesOption = Annotated[
    list[Path],
    typer.Option(
        help="What became of fetches: tables, records, or folders of them; may be repeated."
    ),
]


def read_measurements(paths: Iterable[Path]) -> dict[str, Measurement | FailedMeasurement]:
    """Return measurements by EMDB id.

    Raises
    ------
    CryosamuError
        When a file is none, or two tell otherwise of the same entry.
    """
    from cryosamu.curation.measurement_table import read_measurements as read

    found = ((path, one) for path in _files(paths, (".parquet",)) for one in read(path))
    return _by_id((path, one.emdb_id, one) for path, one in found)


def read_fetched(paths: Iterable[Path], kind: str) -> dict[str, FetchRecord]:
    """Return the fetches of maps, or of models, by their archive id.

    Raises
    ------
    CryosamuError
        When a file is none, or two tell otherwise of the same file.
    """
    from cryosamu.archive.record import read_fetches, read_record

    found: list[tuple[Path, FetchRecord]] = []
    for path in _files(paths, (".json", ".parquet")):
        records = read_fetches(path) if path.suffix == ".parquet" else [read_record(path)]
        found += [(path, one) for one in records]
    return _by_id((path, one.id, one) for path, one in found if one.kind == kind)


def _by_id(found: Iterable[tuple[Path, str, Told]]) -> dict[str, Told]:
    known: dict[str, tuple[Path, Told]] = {}
    for path, identifier, told in found:
        first, before = known.setdefault(identifier, (path, told))
        if before != told:
            raise CryosamuError(
                f"{path}: tells of {identifier} otherwise than {first}; remove the old one, or "
                "name the tables one by one."
            )
    return {identifier: told for identifier, (_, told) in known.items()}


def _files(paths: Iterable[Path], suffixes: tuple[str, ...]) -> Iterator[Path]:
    """Yield the files, and those of these kinds in the folders."""
    for path in paths:
        if path.is_dir():
            yield from sorted(file for file in path.iterdir() if file.suffix in suffixes)
        else:
            yield path
