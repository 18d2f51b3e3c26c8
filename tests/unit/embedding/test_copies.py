"""Exact copies of a chain share one encoding; near copies do not."""

import copy
import dataclasses

import gemmi
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from cryosamu.config import EmbeddingSettings
from cryosamu.embedding.copies import TOLERANCE, originals
from cryosamu.embedding.embed import embed_model
from cryosamu.embedding.esm_if1.encoder import EsmIf1
from cryosamu.structure.model import ProteinChain


class Sees:
    """As much of an encoder as finding copies needs."""

    def __init__(self, atoms, sees_origin):
        self.atoms, self.sees_origin = atoms, sees_origin

    def visible(self, chain):
        return np.isfinite(chain.backbone[:, : self.atoms]).all((1, 2))


RESIDUES = 12
DISTANCES = Sees(atoms=4, sees_origin=False)
ORIGIN = Sees(atoms=3, sees_origin=True)


def moved(chain, turn=None, shift=0.0, decimals=None):
    backbone = chain.backbone.astype(np.float64)
    if turn is not None:
        backbone = backbone @ turn.as_matrix().T
    backbone = backbone + shift
    if decimals is not None:
        backbone = backbone.round(decimals)
    # A matrix product with infinity is not a number.
    backbone[~np.isfinite(chain.backbone)] = np.inf
    return dataclasses.replace(chain, backbone=backbone.astype(np.float32))


@pytest.fixture
def whole(chain_of):
    return chain_of(np.random.default_rng(0).normal(scale=12, size=(30, 4, 3)))


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000), distance=st.sampled_from([0.0, 3.0, 150.0]))
def test_a_moved_chain_is_a_copy_for_whom_the_motion_is_unseen(seed, distance):
    random = np.random.default_rng(seed)
    backbone = random.normal(scale=15, size=(20, 4, 3)).round(3).astype(np.float32)
    chain = ProteinChain(
        "A", "A", "1", "A" * 20, "", tuple(map(str, range(20))), ("ALA",) * 20, backbone,
        np.ones(20, np.bool_),
    )  # fmt: skip
    copy = moved(chain, Rotation.random(rng=random), np.array([distance, 0, 0]), decimals=3)
    assert originals([chain, copy], DISTANCES) == [0, 0]
    assert originals([chain, copy], ORIGIN) == ([0, 0] if distance == 0 else [0, 1])


def test_a_mirror_image_is_no_copy(whole):
    mirrored = dataclasses.replace(whole, backbone=whole.backbone * np.float32([-1, 1, 1]))
    assert originals([whole, mirrored], DISTANCES) == [0, 1]
    assert originals([whole, mirrored], ORIGIN) == [0, 1]


def test_one_atom_moved_beyond_rounding_is_no_copy(whole):
    for displaced, expected in ((TOLERANCE / 4, [0, 0]), (3 * TOLERANCE, [0, 1])):
        backbone = whole.backbone.copy()
        backbone[10, 1, 0] += displaced
        other = dataclasses.replace(whole, backbone=backbone)
        assert originals([whole, other], DISTANCES) == expected
        assert originals([whole, other], ORIGIN) == expected


def test_other_residues_or_other_gaps_are_no_copies(whole):
    renumbered = dataclasses.replace(whole, residue_ids=("0", *whole.residue_ids[1:]))
    backbone = whole.backbone.copy()
    backbone[5] = np.inf
    hidden = dataclasses.replace(whole, backbone=backbone)
    assert originals([whole, renumbered, hidden], DISTANCES) == [0, 1, 2]
    assert originals([hidden, whole, hidden], ORIGIN) == [0, 1, 0]


def test_an_atom_that_the_encoder_does_not_read_may_differ(whole):
    backbone = whole.backbone.copy()
    backbone[3, 3] = np.inf
    without_oxygen = dataclasses.replace(whole, backbone=backbone)
    assert originals([whole, without_oxygen], ORIGIN) == [0, 0]
    assert originals([whole, without_oxygen], DISTANCES) == [0, 1]


@pytest.fixture
def sixty(chains, tmp_path):
    """A chain and 59 copies, turned about the origin, as an icosahedral assembly has them."""
    model = gemmi.Model(1)
    chain = chains[0]
    for number, turn in enumerate(Rotation.create_group("I")):
        copy = gemmi.Chain(f"A{number}")
        for row, residue_id in enumerate(chain.residue_ids[:RESIDUES]):
            residue = gemmi.Residue()
            residue.name, residue.seqid = "ALA", gemmi.SeqId(residue_id)
            residue.subchain, residue.entity_type = f"A{number}", gemmi.EntityType.Polymer
            for name, place in zip(("N", "CA", "C", "O"), chain.backbone[row], strict=True):
                if np.isfinite(place).all():
                    atom = gemmi.Atom()
                    atom.name, atom.element = name, gemmi.Element(name[0])
                    atom.pos = gemmi.Position(*(turn.as_matrix() @ place.astype(float)))
                    residue.add_atom(atom)
            copy.add_residue(residue)
        model.add_chain(copy)
    structure = gemmi.Structure()
    structure.add_model(model)
    structure.setup_entities()
    path = tmp_path / "assembly.cif"
    structure.make_mmcif_document().write_file(str(path))
    return path


@pytest.mark.parametrize("backend", ["protein_mpnn", "esm_if1"])
def test_sixty_copies_are_encoded_once(sixty, protein_mpnn, tiny_network, backend, monkeypatch):
    encoder = (
        protein_mpnn
        if backend == "protein_mpnn"
        else EsmIf1(copy.deepcopy(tiny_network), "0" * 64, torch.device("cpu"))
    )
    calls, encode = [], encoder.encode
    monkeypatch.setattr(encoder, "encode", lambda chains: calls.append(1) or encode(chains))
    once = embed_model(sixty, encoder, EmbeddingSettings(copies="once"))
    assert len(calls) == 1
    assert len(once.chains) == 60
    assert {chain.copy_of for chain in once.chains} == {once.chains[0].label_id}
    each = embed_model(sixty, encoder, EmbeddingSettings(copies="each"))
    assert len(calls) == 61
    assert len({chain.copy_of for chain in each.chains}) == 60
    scale = np.sqrt(np.square(each.chains[0].vectors[each.chains[0].observed]).mean())
    for one, other in zip(once.chains, each.chains, strict=True):
        assert one.author_id == other.author_id
        difference = np.abs(one.vectors - other.vectors)[one.observed].max()
        # Three decimals in the file, not the encoder, set how well copies agree.
        assert difference < 5e-3 * scale


def test_a_complex_has_no_copies(sixty, protein_mpnn, tmp_path):
    structure = gemmi.read_structure(str(sixty))
    del structure[0][3:]
    structure.make_mmcif_document().write_file(str(tmp_path / "three.cif"))
    found = embed_model(tmp_path / "three.cif", protein_mpnn, EmbeddingSettings(mode="complex"))
    assert len({chain.copy_of for chain in found.chains}) == 3
