"""What a model is made of, counted from its coordinates."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import gemmi

from cryosamu.structure.model import ProteinChain, protein_chains

_SUGARS = frozenset({gemmi.ResidueKind.PYR, gemmi.ResidueKind.KET})


@dataclass(frozen=True)
class ModelFacts:
    """Counts over all chains of a model, copies included.

    Attributes
    ----------
    protein_residues
        Residues of the polypeptide chains that are in the file.
    observed_residues
        Those of them that have N, CA and C.
    expected_residues
        Residues that were deposited; see `expected_from`.
    expected_from
        deposited: the chains' deposited (SEQRES) sequences. catalogue: the archive's count, where
        a chain has no deposited sequence in the file. numbering: where the archive is silent too,
        the span of the chain's residue numbers, so that gaps count as missing and missing ends,
        which nothing tells, do not.
    nucleic_residues
        Nucleotides in polymers.
    glycan_chains
        Author ids of the chains that hold sugars and nothing else but water.
    sequences
        One a polypeptide chain: the deposited sequence, or the observed one where there is none.
    """

    protein_residues: int
    observed_residues: int
    expected_residues: int
    expected_from: Literal["deposited", "catalogue", "numbering"]
    nucleic_residues: int
    glycan_chains: tuple[str, ...]
    sequences: tuple[str, ...]


def describe_model(structure: gemmi.Structure, deposited_residues: int | None = None) -> ModelFacts:
    """Count what a model is made of.

    Parameters
    ----------
    deposited_residues
        The archive's count of deposited polymer residues, copies included, if it has one.
    """
    chains = protein_chains(structure)
    expected, source = _expected(chains, deposited_residues)
    return ModelFacts(
        protein_residues=sum(len(chain.sequence) for chain in chains),
        observed_residues=sum(int(chain.observed.sum()) for chain in chains),
        expected_residues=expected,
        expected_from=source,
        nucleic_residues=_nucleotides(structure),
        glycan_chains=tuple(chain.name for chain in structure[0] if _is_glycan_alone(chain)),
        sequences=tuple(chain.entity_sequence or chain.sequence for chain in chains),
    )


def _expected(
    chains: list[ProteinChain], deposited_residues: int | None
) -> tuple[int, Literal["deposited", "catalogue", "numbering"]]:
    if all(chain.entity_sequence for chain in chains):
        return sum(len(chain.entity_sequence) for chain in chains), "deposited"
    if deposited_residues:
        return deposited_residues, "catalogue"
    return sum(len(chain.entity_sequence) or _span(chain) for chain in chains), "numbering"


def _span(chain: ProteinChain) -> int:
    """Return the residues from the lowest to the highest number, insertions counted if more."""
    numbers = [int(match[0]) for name in chain.residue_ids if (match := re.match(r"-?\d+", name))]
    return max(len(chain.residue_ids), max(numbers) - min(numbers) + 1 if numbers else 0)


def _nucleotides(structure: gemmi.Structure) -> int:
    return sum(
        residue.entity_type == gemmi.EntityType.Polymer
        and gemmi.find_tabulated_residue(residue.name).is_nucleic_acid()
        for chain in structure[0]
        for residue in chain
    )


def _is_glycan_alone(chain: gemmi.Chain) -> bool:
    residues = [residue for residue in chain if not residue.is_water()]
    return bool(residues) and all(
        residue.entity_type == gemmi.EntityType.Branched
        or gemmi.find_tabulated_residue(residue.name).kind in _SUGARS
        for residue in residues
    )
