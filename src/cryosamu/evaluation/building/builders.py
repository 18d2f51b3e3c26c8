"""Adapters of model builders that the user has: `phenix.map_to_model` and `model_angelo build`.

Written from the programs' documentation and from the open source of their output; the programs
themselves are not free to install everywhere, and the tests run stand-ins.
"""

from __future__ import annotations

import gzip
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import gemmi

from cryosamu.errors import CryosamuError, ModelError
from cryosamu.evaluation.building.chain_comparison import alpha_carbons, compare_chains
from cryosamu.evaluation.programs import Usage, find_program, run_program, version_of
from cryosamu.files import write_text
from cryosamu.structure.model import protein_chains, read_model

PROGRAMS = {"phenix": "phenix.map_to_model", "model_angelo": "model_angelo"}
"""Builder to the program that is looked for."""

_COMPARE = "phenix.chain_comparison"
_WHOLE_TARGET = (
    "test_unique_part_of_target_only=False",
    "unique_part_of_target_only=False",
    "use_crystal_symmetry=False",
)
_FASTA_WIDTH = 80


@dataclass(frozen=True)
class Built:
    """A model that a builder made of a map, compared with the deposited one.

    Attributes
    ----------
    metrics
        `residue_coverage` and `sequence_match`, %.
    model
        The built model; None where the builder found nothing.
    version
        What the builder says of itself.
    usage
        Time and memory of the builder alone.
    compared_by
        The program whose figures these are.
    """

    metrics: Mapping[str, float]
    model: Path | None
    version: str
    usage: Usage
    compared_by: str


def build_model(
    builder: str,
    map_path: Path,
    model_path: Path,
    resolution: float,
    folder: Path,
    program: Path | None = None,
) -> Built:
    """Build a model into a map and compare it with the deposited one.

    The builder sees the map and the sequences of the deposited model's protein chains, never its
    coordinates.

    Parameters
    ----------
    builder
        A key of `PROGRAMS`.
    resolution
        Å.
    folder
        Where the builder works; logs and the built model stay there.
    program
        The builder's path; looked for on PATH where None.

    Raises
    ------
    CryosamuError, ModelError
        When the builder is not there, fails, or the deposited model has no protein chain.
    """
    found = find_program(PROGRAMS[builder], program)
    deposited = read_model(model_path)
    folder.mkdir(parents=True, exist_ok=True)
    folder = folder.resolve()
    given_map, target = _as_plain_map(map_path, folder), folder / "deposited.cif"
    write_text(target, deposited.make_mmcif_document().as_string())
    sequences = folder / "sequences.fasta"
    # Phenix counts copies, ModelAngelo wants each sequence once.
    write_text(sequences, fasta(deposited, every_copy=builder == "phenix", where=model_path))
    run = _run_phenix if builder == "phenix" else _run_model_angelo
    model, version, usage = run(found, given_map, sequences, resolution, folder)
    if model is None:
        nothing = {"residue_coverage": 0.0, "sequence_match": 0.0}
        return Built(nothing, None, version, usage, "nothing was built")
    if builder == "phenix":
        metrics = compare_with_phenix(model, target, folder, found)
        return Built(metrics, model, version, usage, _COMPARE)
    comparison = compare_chains(alpha_carbons(read_model(model)), alpha_carbons(deposited))
    metrics = {
        "residue_coverage": comparison.residue_coverage,
        "sequence_match": comparison.sequence_match,
    }
    return Built(metrics, model, version, usage, "cryosamu, as cctbx 2025.11")


def _as_plain_map(map_path: Path, folder: Path) -> Path:
    """Return a map's path that any program can read: unpacked into `folder` where it is gzipped."""
    with map_path.open("rb") as handle:
        if handle.read(2) != b"\x1f\x8b":
            return map_path.resolve()
    plain = folder / "map.mrc"
    with gzip.open(map_path) as packed, plain.open("wb") as unpacked:
        shutil.copyfileobj(packed, unpacked)
    return plain


def fasta(structure: gemmi.Structure, every_copy: bool, where: Path) -> str:
    """Return the protein chains' deposited sequences, once each or once a chain.

    Raises
    ------
    ModelError
        When the model has no protein chain.
    """
    chains = protein_chains(structure)
    if not chains:
        raise ModelError(f"{where}: has no protein chain: there is no sequence to build.")
    sequences = [(chain.author_id, chain.entity_sequence or chain.sequence) for chain in chains]
    if not every_copy:
        sequences = list({sequence: (name, sequence) for name, sequence in sequences}.values())
    lines = []
    for name, sequence in sequences:
        pieces = range(0, len(sequence), _FASTA_WIDTH)
        lines += [f">{name}", *(sequence[start : start + _FASTA_WIDTH] for start in pieces)]
    return "\n".join([*lines, ""])


def compare_with_phenix(
    built: Path, deposited: Path, folder: Path, beside: str
) -> dict[str, float]:
    """Return the figures of `phenix.chain_comparison`, found beside another Phenix program.

    Raises
    ------
    CryosamuError
        When it is not there, fails, or prints no table.
    """
    sibling = Path(beside).with_name(_COMPARE)
    program = find_program(_COMPARE, sibling if sibling.is_file() else None)
    log = folder / "chain_comparison.log"
    run_program([program, str(deposited), str(built), *_WHOLE_TARGET], folder, log)
    return parse_chain_comparison(log.read_text(errors="replace"), log)


def parse_chain_comparison(text: str, where: Path) -> dict[str, float]:
    """Return residue coverage and sequence match from what `phenix.chain_comparison` prints.

    "Seq match (%): 11.4 % Found: 56.4" in the line of all residues near the target; with none
    near, there is no such line.

    Raises
    ------
    CryosamuError
        When the text is not its output.
    """
    near = re.findall(
        r"All residues near target:.*?Seq match \(%\):\s*([\d.]+)\s*% Found:\s*([\d.]+)", text
    )
    if near:
        match, coverage = near[-1]
        return {"residue_coverage": float(coverage), "sequence_match": float(match)}
    if "Residues far from target" in text or "No suitable atoms in target" in text:
        return {"residue_coverage": 0.0, "sequence_match": 0.0}
    raise CryosamuError(f"{where}: is not the output of phenix.chain_comparison that was expected.")


def _run_phenix(
    program: str, map_path: Path, sequences: Path, resolution: float, folder: Path
) -> tuple[Path | None, str, Usage]:
    model = folder / "map_to_model.pdb"
    arguments = [
        program, str(map_path), str(sequences), f"resolution={resolution:g}", f"pdb_out={model}",
    ]  # fmt: skip
    usage = _run_fresh(arguments, model, folder)
    sibling = Path(program).with_name("phenix.version")
    version = version_of([str(sibling)]) if sibling.is_file() else "unknown"
    return (model if _has_atoms(model) else None), version, usage


def _run_model_angelo(
    program: str, map_path: Path, sequences: Path, _resolution: float, folder: Path
) -> tuple[Path | None, str, Usage]:
    output = folder / "model_angelo"
    # The built model bears the name of the output folder.
    model = output / "model_angelo.cif"
    arguments = [
        program, "build", "--volume-path", str(map_path), "--protein-fasta", str(sequences),
        "--output-dir", str(output),
    ]  # fmt: skip
    usage = _run_fresh(arguments, model, folder)
    return (model if _has_atoms(model) else None), version_of([program, "--version"]), usage


def _run_fresh(arguments: Sequence[str], model: Path, folder: Path) -> Usage:
    """Run a builder after an earlier result has gone, which must not be taken for a new one."""
    model.unlink(missing_ok=True)
    return run_program(arguments, folder, folder / "build.log")


def _has_atoms(path: Path) -> bool:
    """Return whether a builder left a model with atoms; one without is what it writes of none."""
    if not path.is_file():
        return False
    try:
        read_model(path)
    except ModelError:
        return False
    return True
