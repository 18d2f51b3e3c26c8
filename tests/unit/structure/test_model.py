"""Chains, backbones and atoms as they are taken from a model."""

import numpy as np
import pytest
from pdb_text import backbone, pdb_atom, three_residues, written

from cryosamu.structure.model import heavy_atoms, protein_chains, read_model


def chains_of(tmp_path, lines):
    return protein_chains(read_model(written(tmp_path, lines)))


def test_the_backbone_is_n_ca_c_o_in_the_files_coordinates(tmp_path):
    (chain,) = chains_of(tmp_path, three_residues("A"))
    assert chain.author_id == "A"
    assert chain.sequence == "AAA"
    assert chain.residue_ids == ("1", "2", "3")
    assert chain.backbone.shape == (3, 4, 3)
    assert chain.backbone.dtype == np.float32
    expected = [[10 * n + place, 0.5, -1.25] for n in (1, 2, 3) for place in range(4)]
    assert chain.backbone.reshape(-1, 3).tolist() == expected
    assert chain.observed.all()


def test_a_residue_without_n_ca_or_c_is_there_but_not_observed(tmp_path):
    lines = [
        *backbone("A", 1), *backbone("A", 2, atoms=("N", "CA", "O")),
        *backbone("A", 3, atoms=("CA",)), *backbone("A", 4, atoms=("N", "CA", "C")),
        *backbone("A", 5),
    ]  # fmt: skip
    (chain,) = chains_of(tmp_path, lines)
    assert chain.sequence == "AAAAA"
    assert chain.observed.tolist() == [True, False, False, True, True]
    assert np.isposinf(chain.backbone[1:3]).all()
    assert np.isfinite(chain.backbone[3, :3]).all()
    assert np.isposinf(chain.backbone[3, 3]).all()


def test_a_trace_of_ca_alone_is_a_chain_without_observed_residues(tmp_path):
    lines = [line for n in range(1, 9) for line in backbone("A", n, atoms=("CA",))]
    (chain,) = chains_of(tmp_path, lines)
    assert len(chain.sequence) == 8
    assert not chain.observed.any()


def test_one_conformer_is_taken_where_a_residue_has_two(tmp_path):
    lines = [
        *backbone("A", 1),
        *backbone("A", 2, altloc="A", occupancy=0.4),
        *backbone("A", 2, altloc="B", occupancy=0.6, shift=0.5),
        *backbone("A", 3),
    ]
    (chain,) = chains_of(tmp_path, lines)
    assert chain.residue_ids == ("1", "2", "3")
    assert chain.backbone[1, :, 0].tolist() == [20, 21, 22, 23]


def test_a_conformer_is_not_mixed_from_two_whatever_the_order_of_its_atoms(tmp_path):
    both = [
        backbone("A", 2, altloc=altloc, shift=shift) for altloc, shift in (("A", 0.0), ("B", 0.5))
    ]
    lines = [
        *backbone("A", 1), both[0][0], both[1][0], both[1][1], both[0][1],
        *both[0][2:], *both[1][2:], *backbone("A", 3),
    ]  # fmt: skip
    (chain,) = chains_of(tmp_path, lines)
    assert chain.backbone[1, :, 0].tolist() == [20, 21, 22, 23]


def test_the_conformer_with_a_backbone_is_taken(tmp_path):
    lines = [
        *backbone("A", 1),
        *backbone("A", 2, altloc="A", atoms=("CA", "O")),
        *backbone("A", 2, altloc="B", shift=0.5),
        *backbone("A", 3),
    ]
    (chain,) = chains_of(tmp_path, lines)
    assert chain.observed.all()
    assert chain.backbone[1, :, 0].tolist() == [20.5, 21.5, 22.5, 23.5]


def test_two_residues_at_one_place_count_once(tmp_path):
    """Microheterogeneity: serine or threonine under the same number."""
    lines = [
        *backbone("A", 1),
        *backbone("A", 2, residue="SER", altloc="A"),
        *backbone("A", 2, residue="THR", altloc="B"),
        *backbone("A", 3),
    ]
    (chain,) = chains_of(tmp_path, lines)
    assert chain.sequence == "ASA"


def test_insertion_codes_keep_their_order(tmp_path):
    lines = [
        *backbone("A", 1), *backbone("A", 1, icode="A", residue="GLY"),
        *backbone("A", 1, icode="B", residue="SER"), *backbone("A", 2),
    ]  # fmt: skip
    (chain,) = chains_of(tmp_path, lines)
    assert chain.residue_ids == ("1", "1A", "1B", "2")
    assert chain.sequence == "AGSA"


def test_selenomethionine_is_methionine_and_an_unknown_residue_is_x(tmp_path):
    lines = [
        *backbone("A", 1), *backbone("A", 2, residue="MSE", het=True),
        *backbone("A", 3, residue="UNK"), *backbone("A", 4, residue="TRP"),
    ]  # fmt: skip
    (chain,) = chains_of(tmp_path, lines)
    assert chain.sequence == "AMXW"
    assert chain.residue_names == ("ALA", "MSE", "UNK", "TRP")
    assert chain.observed.all()


def nucleotides(chain, start):
    return [
        pdb_atom(start + n, atom, base, chain, n, (n, 40.0, place), element)
        for n, base in enumerate(("DA", "DC", "DG", "DT"), 1)
        for place, (atom, element) in enumerate((("P", "P"), ("C1'", "C"), ("N1", "N")))
    ]


def test_dna_waters_and_ions_are_no_protein_chains(tmp_path):
    lines = [
        *three_residues("A"), "TER", *nucleotides("B", 40), "TER", *three_residues("C", 60), "TER",
        pdb_atom(90, "CA", "CA", "A", 201, (1, 2, 3), "CA", het=True),
        pdb_atom(91, "O", "HOH", "A", 301, (4, 5, 6), "O", het=True),
        pdb_atom(92, "C1", "NAG", "A", 401, (7, 8, 9), "C", het=True),
    ]  # fmt: skip
    structure = read_model(written(tmp_path, lines))
    assert [chain.author_id for chain in protein_chains(structure)] == ["A", "C"]
    assert all(chain.sequence == "AAA" for chain in protein_chains(structure))
    assert read_model(written(tmp_path, nucleotides("B", 1)))
    assert protein_chains(read_model(written(tmp_path, nucleotides("B", 1)))) == []


def test_a_calcium_ion_is_not_taken_for_a_ca_atom(tmp_path):
    residue = [
        pdb_atom(5, "N", "ALA", "A", 2, (0, 0, 0), "N"),
        pdb_atom(6, "CA", "ALA", "A", 2, (9, 9, 9), "CA"),
        pdb_atom(7, "C", "ALA", "A", 2, (2, 0, 0), "C"),
    ]
    (chain,) = chains_of(tmp_path, [*backbone("A", 1), *residue, *backbone("A", 3, start=20)])
    assert chain.observed.tolist() == [True, False, True]


def test_heavy_atoms_have_their_own_numbers_and_no_hydrogens_or_waters(tmp_path):
    lines = [
        pdb_atom(1, "N", "MSE", "A", 1, (1, 2, 3), "N", b=11.0, occupancy=0.5),
        pdb_atom(2, "H", "MSE", "A", 1, (1, 2, 4), "H"),
        pdb_atom(3, "D1", "MSE", "A", 1, (1, 2, 5), "D"),
        pdb_atom(4, "SE", "MSE", "A", 1, (4, 5, 6), "SE", b=33.0, het=True),
        pdb_atom(5, "ZN", "ZN", "A", 2, (7, 8, 9), "ZN", het=True),
        pdb_atom(6, "O", "HOH", "A", 3, (7, 8, 9), "O", het=True),
        *nucleotides("B", 10)[:1],
    ]
    atoms = heavy_atoms(read_model(written(tmp_path, lines)))
    assert atoms.atomic_numbers.tolist() == [7, 34, 30, 15]
    assert atoms.positions.tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9], [1, 40, 0]]
    assert atoms.b_factors.tolist() == [11, 33, 20, 20]
    assert atoms.occupancies.tolist() == [0.5, 1, 1, 1]


def test_both_conformers_weigh_in_the_density_by_their_occupancies(tmp_path):
    lines = [
        pdb_atom(1, "CA", "ALA", "A", 1, (0, 0, 0), "C", altloc="A", occupancy=0.3),
        pdb_atom(2, "CA", "ALA", "A", 1, (1, 0, 0), "C", altloc="B", occupancy=0.7),
    ]
    atoms = heavy_atoms(read_model(written(tmp_path, lines)))
    assert atoms.occupancies.tolist() == pytest.approx([0.3, 0.7])


def test_chains_belong_to_their_entities(tmp_path):
    sequences = [f"SEQRES   1 {name}    3  ALA ALA ALA" for name in "AB"]
    lines = [*sequences, *three_residues("A"), "TER", *three_residues("B", 40), "TER"]
    first, second = chains_of(tmp_path, lines)
    assert first.label_id != second.label_id
    assert first.entity_id == second.entity_id  # the same deposited sequence
