"""Moving misaligned models to where they fit their maps, and saying so in the files."""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import gemmi
import pandas as pd

from cryosamu.archive.record import FetchRecord
from cryosamu.curation.failure import fetched_path
from cryosamu.curation.measurement import FailedMeasurement, Measurement
from cryosamu.errors import CryosamuError
from cryosamu.files import atomic_path, require_checksum, sha256_of
from cryosamu.provenance import stage_digest
from cryosamu.shards import Made, Task, make_tasks, member_folder
from cryosamu.structure.model import read_model
from cryosamu.structure.motion import RigidMotion, move_structure
from cryosamu.tables import REPAIRED

_CATEGORY = "_cryosamu_repair."
_DETAILS = (
    "Moved as a rigid body by CryoSAMU to where it fits its map best: x' = matrix x + vector, "
    "Angstrom. These are not the deposited coordinates."
)


@dataclass(frozen=True)
class Repair:
    """A pair whose model is to be moved.

    Attributes
    ----------
    measured
        Says by which motion.
    model
        The path of the deposited model, mmCIF or PDB, whose checksum is in `measured`.
    """

    measured: Measurement
    model: str


def planned_repairs(
    pairs: pd.DataFrame,
    measurements: Mapping[str, Measurement | FailedMeasurement],
    models: Mapping[str, FetchRecord],
) -> list[Repair]:
    """Return the repairs of the pairs whose models are to be moved.

    Parameters
    ----------
    pairs
        A PAIRS table.
    measurements, models
        By EMDB id; fetches by PDB id.

    Raises
    ------
    CryosamuError
        When such a pair was not measured, fits best where it lies, or its model is not there.
    """
    repairs = []
    chosen = pairs[pairs["repaired"]]
    for emdb_id, pdb_id in zip(chosen["emdb_id"], chosen["pdb_id"], strict=True):
        measured = measurements.get(emdb_id)
        if not isinstance(measured, Measurement) or measured.pdb_id != pdb_id:
            raise CryosamuError(f"{emdb_id}: was not measured against {pdb_id}; measure it again.")
        if measured.repaired is None:
            raise CryosamuError(
                f"{emdb_id}: {pdb_id} fits best where it lies; there is nothing to repair."
            )
        record = models.get(pdb_id)
        if record is None:
            raise CryosamuError(f"{pdb_id}: was not fetched; run `cryosamu fetch models`.")
        repairs.append(Repair(measured, str(fetched_path(record))))
    return repairs


def repair_models(
    repairs: Sequence[Repair], members: Path, workers: int = 1
) -> tuple[Made, pd.DataFrame]:
    """Move each model, unless that was done before, and return the REPAIRED table.

    Parameters
    ----------
    members
        Folder in which the moved models are kept.
    workers
        Models moved at a time; they do not change the result.

    Raises
    ------
    CryosamuError
        When a model is not the one that was measured, or cannot be written.
    """
    tasks = [_task(one, members) for one in repairs]
    made = make_tasks(tasks, _repair, "repaired", workers)
    made.require_all("repaired")
    rows = [
        (task.name, one.measured.pdb_id, str(task.outputs[0]), sha256_of(task.outputs[0]))
        for task, one in zip(tasks, repairs, strict=True)
    ]
    return made, pd.DataFrame(rows, columns=REPAIRED.names)


def _task(one: Repair, members: Path) -> Task[tuple[Repair, Path]]:
    emdb_id = one.measured.emdb_id
    output = member_folder(members, emdb_id) / f"{emdb_id}.cif.gz"
    follows_from = {
        "model": one.measured.model_sha256,
        "motion": one.measured.motion.model_dump(),
        "code": stage_digest("repair"),
    }
    return Task(emdb_id, (one, output), follows_from, (output,))


def _repair(work: tuple[Repair, Path]) -> None:
    repair, output = work
    write_repaired_model(repair.model, repair.measured, output)


def write_repaired_model(model: Path | str, measured: Measurement, output: Path | str) -> None:
    """Write a model moved by the motion that its measurement found, as gzipped mmCIF.

    The file's category `_cryosamu_repair` tells that it was moved and how.

    Parameters
    ----------
    model
        mmCIF or PDB; the file that was measured.
    output
        The same inputs give the same bytes.

    Raises
    ------
    CryosamuError
        When the model is not the file that was measured.
    """
    structure = read_model(require_checksum(model, measured.model_sha256 or "", "model"))
    move_structure(structure, measured.motion)
    document = structure.make_mmcif_document()
    _note(document[0], measured.motion, measured.emdb_id, measured.model_sha256 or "")
    packed = gzip.compress(document.as_string().encode(), mtime=0)
    with atomic_path(output) as temporary:
        temporary.write_bytes(packed)


def _note(block: gemmi.cif.Block, motion: RigidMotion, emdb_id: str, sha256: str) -> None:
    """Write down in the file that it was moved, and by what."""
    values = {
        "details": _DETAILS,
        "emdb_id": emdb_id,
        "deposited_file_sha256": sha256,
        "angle_degrees": f"{motion.angle:.4f}",
    }
    for row, numbers in enumerate(motion.rotation, start=1):
        for column, number in enumerate(numbers, start=1):
            values[f"matrix[{row}][{column}]"] = f"{number:.10f}"
    for row, number in enumerate(motion.translation, start=1):
        values[f"vector[{row}]"] = f"{number:.6f}"
    for tag, value in values.items():
        block.set_pair(_CATEGORY + tag, gemmi.cif.quote(value))
