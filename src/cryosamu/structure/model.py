"""Reading atomic models and taking their protein chains apart.

Coordinates are in the model frame: Cartesian Å, x y z, as the file gives them.
"""

from __future__ import annotations

import gzip
import io
import math
import zlib
from dataclasses import dataclass
from pathlib import Path

import gemmi
import numpy as np
from numpy.typing import NDArray

from cryosamu.errors import ModelError
from cryosamu.files import require_file

BACKBONE_ATOMS = ("N", "CA", "C", "O")
MAXIMUM_MODEL_BYTES = 2_000_000_000
_PEPTIDES = (gemmi.PolymerType.PeptideL, gemmi.PolymerType.PeptideD)


@dataclass(frozen=True)
class ProteinChain:
    """One polypeptide chain of a model.

    Attributes
    ----------
    author_id, label_id
        The author's chain id and the mmCIF label id (subchain).
    entity_id
        The entity that the chain is a copy of.
    sequence
        One letter a residue present in the file; X where the component has none.
    entity_sequence
        One letter a residue of the deposited (SEQRES) sequence; empty where the file has none.
    residue_ids, residue_names
        Author sequence number with insertion code, and component name, of each residue.
    backbone
        float32 [residues, 4, 3]: N, CA, C, O positions in Å, model frame; +inf in all four rows
        of a residue that lacks N, CA or C, and in the O row where only O is missing.
    observed
        bool [residues]: N, CA and C are all there.
    doubled
        Ids under which the file has two residues of one name; the atoms of the first are taken.
    """

    author_id: str
    label_id: str
    entity_id: str
    sequence: str
    entity_sequence: str
    residue_ids: tuple[str, ...]
    residue_names: tuple[str, ...]
    backbone: NDArray[np.float32]
    observed: NDArray[np.bool_]
    doubled: tuple[str, ...] = ()


@dataclass(frozen=True)
class Atoms:
    """Heavy atoms of a model, hydrogens and waters left out.

    Attributes
    ----------
    positions
        float64 [atoms, 3]: x, y, z in Å, model frame.
    atomic_numbers
        int64 [atoms].
    b_factors
        float64 [atoms], Å².
    occupancies
        float64 [atoms].
    """

    positions: NDArray[np.float64]
    atomic_numbers: NDArray[np.int64]
    b_factors: NDArray[np.float64]
    occupancies: NDArray[np.float64]


def read_model(path: Path | str) -> gemmi.Structure:
    """Read an mmCIF or PDB file, gzipped or not, with entities set up and the first model alone.

    Raises
    ------
    ModelError
        When the file is not a model or holds no atoms.
    """
    path = require_file(path, "model")
    return parse_model(path.read_bytes(), str(path))


def parse_model(content: bytes, name: str) -> gemmi.Structure:
    """Read a model as `read_model` does, from the bytes of its file.

    Parameters
    ----------
    name
        Is told where the model cannot be used.

    Raises
    ------
    ModelError
        When the bytes are not a model or hold no atoms.
    """
    text = _unpacked(content, name)
    try:
        structure = gemmi.read_structure_string(text, format=gemmi.CoorFormat.Detect)
    except (RuntimeError, ValueError, IndexError) as error:
        reason = " ".join(str(error).split())
        raise ModelError(f"{name}: cannot be read as mmCIF or PDB ({reason}).") from error
    if len(structure) == 0 or structure[0].count_atom_sites() == 0:
        raise ModelError(f"{name}: holds no atoms; is it an mmCIF or PDB coordinate file?")
    del structure[1:]
    if not all(math.isfinite(sum(site.atom.pos.tolist())) for site in structure[0].all()):
        raise ModelError(f"{name}: has atoms without a position; remove them or repair the file.")
    structure.setup_entities()
    return structure


def _unpacked(raw: bytes, name: str) -> bytes:
    """Return a file's text, gunzipped where it is: gemmi alone takes half a gzip for a model."""
    if raw[:2] == b"\x1f\x8b":
        try:
            with gzip.open(io.BytesIO(raw)) as handle:
                raw = handle.read(MAXIMUM_MODEL_BYTES + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise ModelError(f"{name}: is cut short or damaged ({error}).") from error
    if len(raw) > MAXIMUM_MODEL_BYTES:
        raise ModelError(f"{name}: exceeds {MAXIMUM_MODEL_BYTES:,} bytes; no model does.")
    return raw


def protein_chains(structure: gemmi.Structure) -> list[ProteinChain]:
    """Return the polypeptide chains in file order, one conformer each.

    Nucleic acids, ligands, waters and free amino acids are left out; modified residues stay.
    """
    entities = {label: entity for entity in structure.entities for label in entity.subchains}
    chains = []
    for chain in structure[0]:
        for span in chain.subchains():
            entity = entities.get(span.subchain_id())
            if entity is None or entity.entity_type != gemmi.EntityType.Polymer:
                continue
            if span.check_polymer_type() in _PEPTIDES:
                chains.append(_protein_chain(chain, span, entity))
    return chains


def _protein_chain(
    chain: gemmi.Chain, span: gemmi.ResidueSpan, entity: gemmi.Entity
) -> ProteinChain:
    residues = list(span.first_conformer())
    backbone = np.full((len(residues), 4, 3), np.inf, np.float32)
    observed = np.zeros(len(residues), np.bool_)
    for row, residue in enumerate(residues):
        atoms = _one_conformer(residue)
        if all(atom is not None for atom in atoms[:3]):
            observed[row] = True
            for place, atom in enumerate(atoms):
                if atom is not None:
                    backbone[row, place] = atom.pos.tolist()
    full = [gemmi.Entity.first_mon(item) for item in entity.full_sequence]
    return ProteinChain(
        author_id=chain.name,
        label_id=span.subchain_id(),
        entity_id=entity.name,
        sequence=_letters([residue.name for residue in residues]),
        entity_sequence=_letters(full),
        residue_ids=tuple(str(residue.seqid) for residue in residues),
        residue_names=tuple(residue.name for residue in residues),
        backbone=backbone,
        observed=observed,
        doubled=tuple(str(residue.seqid) for residue in residues if _is_doubled(residue)),
    )


def _is_doubled(residue: gemmi.Residue) -> bool:
    """Return whether an atom is there twice in one conformer."""
    atoms = [(atom.name, atom.altloc) for atom in residue]
    return len(set(atoms)) < len(atoms)


def _one_conformer(residue: gemmi.Residue) -> list[gemmi.Atom | None]:
    """Return N, CA, C, O of the first conformer that has the first three, never a mixture."""
    labels = dict.fromkeys(atom.altloc for atom in residue if atom.has_altloc())
    atoms: list[gemmi.Atom | None] = [None] * len(BACKBONE_ATOMS)
    # An atom without a label belongs to every conformer.
    for label in labels or ["\0"]:
        atoms = [residue.find_atom(n, label, gemmi.Element(n[0])) for n in BACKBONE_ATOMS]
        if all(atom is not None for atom in atoms[:3]):
            break
    return atoms


def _letters(names: list[str]) -> str:
    codes = (gemmi.find_tabulated_residue(name).one_letter_code.upper() for name in names)
    return "".join(code if code.isalpha() else "X" for code in codes)


def heavy_atoms(structure: gemmi.Structure) -> Atoms:
    """Return all atoms but hydrogens and waters, ligands and nucleic acids included."""
    rows = [
        (*site.atom.pos.tolist(), site.atom.element.atomic_number, site.atom.b_iso, site.atom.occ)
        for site in structure[0].all()
        if not site.atom.is_hydrogen() and not site.residue.is_water()
    ]
    table = np.array(rows, np.float64).reshape(-1, 6)
    return Atoms(table[:, :3], table[:, 3].astype(np.int64), table[:, 4], table[:, 5])
