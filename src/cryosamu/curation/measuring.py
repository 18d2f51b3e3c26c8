"""Measuring the pairs of a work list: each one kept as soon as it is done."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryosamu.archive.record import FetchRecord
from cryosamu.curation.entry import Entry
from cryosamu.curation.measurement import (
    FailedMeasurement,
    Measurement,
    measure_pair,
    read_measurement,
    write_measurement,
)
from cryosamu.errors import CryosamuError
from cryosamu.files import require_checksum
from cryosamu.provenance import stage_digest
from cryosamu.shards import Made, Task, make_tasks, member_folder, read_work


@dataclass(frozen=True)
class Candidate:
    """A line of the work list: an entry that its metadata and its model let through.

    Attributes
    ----------
    resolution
        Reported, Å.
    model, model_sha256
        The fetched model's path and checksum.
    """

    emdb_id: str
    pdb_id: str
    resolution: float
    model: str
    model_sha256: str


def candidates_of(
    entries: Iterable[Entry], fetches: Mapping[str, FetchRecord]
) -> Iterator[Candidate]:
    """Yield entries that their metadata and models let through as lines of a work list.

    Parameters
    ----------
    fetches
        PDB id to the fetch of the model.
    """
    for entry in entries:
        # The filters before let nothing through that lacks one of these.
        if entry.pdb_id is None or entry.resolution is None:
            continue
        record = fetches[entry.pdb_id]
        path, sha256 = str(record.path), str(record.sha256)
        yield Candidate(entry.emdb_id, entry.pdb_id, entry.resolution, path, sha256)


def read_candidates(path: Path) -> list[Candidate]:
    """Return the candidates of a work list.

    Raises
    ------
    CryosamuError
        When the file is not a work list of candidates.
    """
    names = list(Candidate.__dataclass_fields__)
    return [Candidate(**{name: line[name] for name in names}) for line in read_work(path, names)]


def measure_candidates(
    candidates: Sequence[Candidate],
    maps: Mapping[str, FetchRecord],
    members: Path,
    workers: int = 1,
) -> tuple[Made, list[Measurement | FailedMeasurement]]:
    """Measure each candidate's map against its model, unless that was done before.

    Parameters
    ----------
    maps
        EMDB id to what became of its map's fetch.
    members
        Folder in which each measurement is kept; one made from the same files, at the same
        resolution, by the same code is not made again.
    workers
        Pairs measured at a time; they do not change the result.

    Raises
    ------
    CryosamuError
        When a map was never asked for, a file is not the one that was fetched, or a measurement
        cannot be written.
    """
    if lacking := [one.emdb_id for one in candidates if one.emdb_id not in maps]:
        raise CryosamuError(f"{lacking[0]}: its map was not fetched; run `cryosamu fetch maps`.")
    tasks = [_task(one, maps[one.emdb_id], members) for one in candidates]
    made = make_tasks(tasks, _measure, "measured", workers)
    made.require_all("measured")
    return made, [read_measurement(task.outputs[0]) for task in tasks]


def _task(one: Candidate, map_record: FetchRecord, members: Path) -> Task[Any]:
    output = member_folder(members, one.emdb_id) / f"{one.emdb_id}.json"
    follows_from = {
        "map": map_record.sha256 or map_record.error,
        "model": one.model_sha256,
        "pdb_id": one.pdb_id,
        "resolution": one.resolution,
        "code": stage_digest("measure"),
    }
    return Task(one.emdb_id, (one, map_record, output), follows_from, (output,))


def _measure(work: tuple[Candidate, FetchRecord, Path]) -> None:
    candidate, map_record, output = work
    require_checksum(candidate.model, candidate.model_sha256, "model")
    if map_record.path is not None and map_record.sha256 is not None:
        require_checksum(map_record.path, map_record.sha256, "map")
    write_measurement(output, measure_pair(map_record, _record_of(candidate), candidate.resolution))


def _record_of(candidate: Candidate) -> FetchRecord:
    """Return the fetch of a model that was good enough to come into the work list."""
    return FetchRecord(
        id=candidate.pdb_id,
        kind="model",
        status="ok",
        path=candidate.model,
        bytes=None,
        sha256=candidate.model_sha256,
        url="",
        error=None,
    )
