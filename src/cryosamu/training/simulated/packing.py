"""Models as they are packed: protein chains alone, heavy atoms, one conformer."""

from __future__ import annotations

import gemmi
import numpy as np

from cryosamu.errors import ModelError
from cryosamu.structure.model import BACKBONE_ATOMS, protein_chains
from cryosamu.training.simulated.library import CARBOXYLATE, STEP, AtomicStructure, in_angstrom

_LARGEST = 32_000 * STEP
_ACIDIC = {("ASP", "OD1"), ("ASP", "OD2"), ("GLU", "OE1"), ("GLU", "OE2")}


def packed(structure: gemmi.Structure, name: str) -> AtomicStructure:
    """Return the protein chains of a model.

    Raises
    ------
    ModelError
        When it has none, or is too large for positions of 0.01 Å in 16 bits.
    """
    chains = protein_chains(structure)
    spans = {span.subchain_id(): span for chain in structure[0] for span in chain.subchains()}
    if not chains:
        raise ModelError(f"{name}: has no protein chain.")
    atoms: list[tuple[float, ...]] = []
    counts, numbers, factors = [], [], []
    for chain in chains:
        for residue in spans[chain.label_id].first_conformer():
            heavy = _heavy_atoms(residue)
            atoms += [(*atom.pos.tolist(), atom.element.atomic_number, _role(residue, atom))
                      for atom in heavy]  # fmt: skip
            counts.append(len(heavy))
            numbers.append(residue.seqid.num or 0)
            factors.append(sum(atom.b_iso for atom in heavy) / max(len(heavy), 1))
    table = np.array(atoms, np.float64).reshape(-1, 5)
    if len(table) == 0 or max(counts) > 255:
        raise ModelError(f"{name}: its residues have no atoms, or more than 255 each.")
    middle = (table[:, :3].min(axis=0) + table[:, :3].max(axis=0)) / 2
    if np.abs(table[:, :3] - middle).max() > _LARGEST:
        raise ModelError(f"{name}: is larger than {2 * _LARGEST:.0f} Å, which cannot be packed.")
    return AtomicStructure(
        name=name,
        # Rounded as they will be read, so that a structure is the same before and after.
        positions=in_angstrom(np.rint((table[:, :3] - middle) / STEP).astype(np.int16)),
        atomic_numbers=table[:, 3].astype(np.uint8),
        roles=table[:, 4].astype(np.uint8),
        residue_atoms=np.array(counts, np.uint8),
        residue_numbers=np.array(numbers, np.int32),
        residue_letters=np.frombuffer("".join(c.sequence for c in chains).encode(), np.uint8),
        b_factors=np.clip(np.nan_to_num(factors), 0, 255).astype(np.uint8),
        chain_residues=np.array([len(chain.residue_ids) for chain in chains], np.int32),
    )


def _heavy_atoms(residue: gemmi.Residue) -> list[gemmi.Atom]:
    return [atom for atom in residue.first_conformer() if not atom.is_hydrogen()]


def _role(residue: gemmi.Residue, atom: gemmi.Atom) -> int:
    if atom.name in BACKBONE_ATOMS:
        return BACKBONE_ATOMS.index(atom.name) + 1
    return CARBOXYLATE if (residue.name, atom.name) in _ACIDIC else 0
