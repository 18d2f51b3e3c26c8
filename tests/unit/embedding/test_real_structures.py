"""What deposited models are really like, each case an edit of 1A8O (70 residues)."""

import copy

import gemmi
import numpy as np
import pytest
import torch

from cryosamu.archive.server import EMBEDDED
from cryosamu.config import EmbeddingSettings
from cryosamu.embedding.embed import embed_model
from cryosamu.embedding.esm_if1.encoder import EsmIf1

MODELS = EMBEDDED / "files.rcsb.org" / "download"
SETTINGS = EmbeddingSettings(device="cpu")
PLACE = 30


@pytest.fixture(scope="module")
def encoder(tiny_network):
    return EsmIf1(copy.deepcopy(tiny_network), "0" * 64, torch.device("cpu"))


@pytest.fixture
def embedded(encoder, tmp_path):
    """Return a function that edits the model, writes it, and embeds it."""

    def embed(edit=lambda chain: None):
        structure = gemmi.read_structure(str(MODELS / "1A8O.cif.gz"))
        structure.setup_entities()
        edit(structure[0][0])
        structure.write_pdb(str(tmp_path / "edited.pdb"))
        return embed_model(tmp_path / "edited.pdb", encoder, SETTINGS)

    return embed


@pytest.mark.parametrize("name", ["SEP", "TPO", "DAL", "UNK", "XYZ", "MSE"])
def test_what_a_residue_is_called_changes_nothing(embedded, name):
    def rename(chain):
        chain[PLACE].name = name

    (plain,), (renamed,) = embedded().chains, embedded(rename).chains
    assert len(plain.residue_ids) == 70
    np.testing.assert_array_equal(plain.vectors, renamed.vectors)


@pytest.mark.parametrize("missing", [("N",), ("CA",), ("C",), ("N", "CA", "C", "O")])
def test_a_residue_without_its_backbone_keeps_its_row_and_is_masked(embedded, missing):
    def strip(chain):
        for name in missing:
            chain[PLACE].remove_atom(name, "\0", gemmi.Element(name[0]))

    (found,) = embedded(strip).chains
    assert found.observed.tolist() == [row != PLACE for row in range(70)]
    assert np.isfinite(found.vectors).all()


def test_a_gap_leaves_no_row(embedded):
    def cut(chain):
        del chain[PLACE : PLACE + 3]

    (plain,), (found,) = embedded().chains, embedded(cut).chains
    assert found.residue_ids == plain.residue_ids[:PLACE] + plain.residue_ids[PLACE + 3 :]


def test_a_free_amino_acid_with_the_chains_name_is_no_residue(embedded):
    def add(chain):
        ligand = chain[PLACE].clone()
        ligand.seqid, ligand.het_flag, ligand.subchain = gemmi.SeqId("900"), "H", "Aligand"
        ligand.entity_type = gemmi.EntityType.NonPolymer
        chain.add_residue(ligand)

    (plain,), (found,) = embedded().chains, embedded(add).chains
    np.testing.assert_array_equal(plain.vectors, found.vectors)


def test_the_first_of_two_residues_under_one_number_is_taken_and_told(embedded):
    def double(chain):
        again = chain[PLACE].clone()
        for atom in again:
            atom.pos = gemmi.Position(*(coordinate + 1 for coordinate in atom.pos.tolist()))
        chain.add_residue(again, PLACE + 1)

    plain, found = embedded(), embedded(double)
    np.testing.assert_array_equal(plain.chains[0].vectors, found.chains[0].vectors)
    number = plain.chains[0].residue_ids[PLACE]
    assert plain.notes == []
    assert found.notes == [f"chain A has two residues each under {number}; the first was taken."]


def test_insertion_codes_and_dna_of_real_entries(encoder):
    coded = embed_model(MODELS / "4ZHL.cif.gz", encoder, SETTINGS).chains[0]
    assert any(not residue_id.lstrip("-").isdigit() for residue_id in coded.residue_ids)
    assert len(coded.residue_ids) == 247
    bound = embed_model(MODELS / "1LCD.cif.gz", encoder, SETTINGS)
    assert [(c.author_id, c.label_id, len(c.residue_ids)) for c in bound.chains] == [("A", "C", 51)]
