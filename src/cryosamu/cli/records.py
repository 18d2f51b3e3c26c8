"""Records and measurements, as the commands of curation take them: files or folders."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from cryosamu.archive.record import FetchRecord
    from cryosamu.curation.measurement import FailedMeasurement, Measurement

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
    """Return measurements by EMDB id."""
    from cryosamu.curation.measurement_table import read_measurements as read

    return {one.emdb_id: one for path in _files(paths, (".parquet",)) for one in read(path)}


def read_fetched(paths: Iterable[Path], kind: str) -> dict[str, FetchRecord]:
    """Return the fetches of maps, or of models, by their archive id."""
    from cryosamu.archive.record import read_fetches, read_record

    found: list[FetchRecord] = []
    for path in _files(paths, (".json", ".parquet")):
        found += read_fetches(path) if path.suffix == ".parquet" else [read_record(path)]
    return {one.id: one for one in found if one.kind == kind}


def _files(paths: Iterable[Path], suffixes: tuple[str, ...]) -> Iterator[Path]:
    """Yield the files, and those of these kinds in the folders."""
    for path in paths:
        if path.is_dir():
            yield from sorted(file for file in path.iterdir() if file.suffix in suffixes)
        else:
            yield path
