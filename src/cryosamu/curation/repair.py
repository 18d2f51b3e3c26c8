"""Moving a misaligned model to where it fits its map, and saying so in the file."""

from __future__ import annotations

import gzip
from pathlib import Path

import gemmi

from cryosamu.curation.measurement import FailedMeasurement, read_measurement
from cryosamu.curation.motion import RigidMotion, move_structure
from cryosamu.errors import CryosamuError
from cryosamu.files import atomic_path, sha256_of
from cryosamu.structure.model import read_model

_CATEGORY = "_cryosamu_repair."
_DETAILS = (
    "Moved as a rigid body by CryoSAMU to where it fits its map best: x' = matrix x + vector, "
    "Angstrom. These are not the deposited coordinates."
)


def write_repaired_model(model: Path | str, measurement: Path | str, output: Path | str) -> None:
    """Write a model moved by the motion that its measurement found, as gzipped mmCIF.

    The file's category `_cryosamu_repair` tells that it was moved and how.

    Parameters
    ----------
    model
        mmCIF or PDB; the file that was measured.
    measurement
        Of `cryosamu curate measure`.
    output
        Ends in .cif.gz. The same inputs give the same bytes.

    Raises
    ------
    CryosamuError
        When the measurement failed, is of another model file, or found no better pose.
    """
    measured = read_measurement(measurement)
    if isinstance(measured, FailedMeasurement):
        raise CryosamuError(f"{measurement}: the pair was not measured: {measured.error}")
    if measured.repaired is None:
        raise CryosamuError(
            f"{measurement}: {measured.pdb_id} fits best where it lies; there is nothing to repair."
        )
    if not Path(output).name.endswith(".cif.gz"):
        raise CryosamuError(f"{output}: a repaired model is gzipped mmCIF: end it in .cif.gz.")
    structure = read_model(model)
    if sha256_of(model) != measured.model_sha256:
        raise CryosamuError(
            f"{model}: is not the file of {measured.pdb_id} that {measurement} is about; "
            "measure it again with `cryosamu curate measure`."
        )
    move_structure(structure, measured.motion)
    document = structure.make_mmcif_document()
    _note(document[0], measured.motion, measured.emdb_id, measured.model_sha256)
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
