import dataclasses
import json
from pathlib import Path

import gemmi
import numpy as np
import pytest
import torch
from safetensors import safe_open
from scipy.spatial.transform import Rotation

from cryosamu.embedding.protein_mpnn import network
from cryosamu.embedding.protein_mpnn.encoder import (
    SHIPPED_WEIGHTS,
    ProteinMPNN,
    places_in_chain,
)
from cryosamu.embedding.store import entry_for
from cryosamu.errors import CheckpointError, CryosamuError

GOLDEN = Path(__file__).parent / "data" / "protein_mpnn_golden.npz"


def changed(chain, backbone):
    return dataclasses.replace(chain, backbone=backbone.astype(np.float32))


def test_equals_the_published_encoder(protein_mpnn, chains):
    with np.load(GOLDEN, allow_pickle=False) as golden:
        first, second = protein_mpnn.encode(chains)
        np.testing.assert_allclose(first, golden["complex_a"], atol=2e-5)
        np.testing.assert_allclose(second, golden["complex_b"], atol=2e-5)
        (alone,) = protein_mpnn.encode(chains[:1])
        np.testing.assert_allclose(alone, golden["alone_a"], atol=2e-5)
        # The two modes are different embeddings, not the same one cut up.
        assert np.abs(golden["alone_a"] - golden["complex_a"]).max() > 0.1


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_rotation_and_translation_change_nothing(protein_mpnn, chains, seed):
    turn = Rotation.random(random_state=seed).as_matrix()
    shift = np.random.default_rng(seed).uniform(-100, 100, 3)
    moved = [
        changed(chain, np.where(np.isfinite(chain.backbone), chain.backbone, 0) @ turn + shift)
        for chain in chains
    ]
    moved = [
        changed(there, np.where(np.isfinite(here.backbone), there.backbone, np.inf))
        for here, there in zip(chains, moved, strict=True)
    ]
    for before, after in zip(protein_mpnn.encode(chains), protein_mpnn.encode(moved), strict=True):
        np.testing.assert_allclose(after, before, atol=2e-4)


def test_mirror_image_is_another_structure(protein_mpnn, chains):
    mirrored = changed(chains[0], chains[0].backbone * np.float32([1, 1, -1]))
    mirrored = changed(
        mirrored, np.where(np.isfinite(chains[0].backbone), mirrored.backbone, np.inf)
    )
    difference = protein_mpnn.encode([mirrored])[0] - protein_mpnn.encode(chains[:1])[0]
    assert np.abs(difference).max() > 0.1


def test_residues_without_all_four_atoms_are_not_seen(protein_mpnn, chains):
    first, second = chains
    assert [first.residue_ids[i] for i in np.flatnonzero(~protein_mpnn.visible(first))] == ["30"]
    assert [second.residue_ids[i] for i in np.flatnonzero(~protein_mpnn.visible(second))] == ["10"]
    vectors = protein_mpnn.encode([first])[0]
    assert not vectors[~protein_mpnn.visible(first)].any()
    # Leaving the residue out of the chain altogether gives the same rows for the others.
    seen = protein_mpnn.visible(first)
    shorter = dataclasses.replace(
        first,
        backbone=first.backbone[seen],
        residue_ids=tuple(np.array(first.residue_ids)[seen].tolist()),
    )
    np.testing.assert_allclose(protein_mpnn.encode([shorter])[0], vectors[seen], atol=1e-6)


def test_order_of_chains_in_a_complex_does_not_matter(protein_mpnn, chains):
    forward = protein_mpnn.encode(chains)
    backward = protein_mpnn.encode(chains[::-1])[::-1]
    for one, other in zip(forward, backward, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_numbering_matters_only_through_its_gaps(protein_mpnn, chain_of, chains):
    backbone = chains[1].backbone
    plain = protein_mpnn.encode([chain_of(backbone)])[0]
    later = tuple(str(1000 + i) for i in range(len(backbone)))
    np.testing.assert_array_equal(
        protein_mpnn.encode([chain_of(backbone, residue_ids=later)])[0], plain
    )
    gap = tuple(str(i if i < 20 else i + 9) for i in range(len(backbone)))
    assert (
        np.abs(protein_mpnn.encode([chain_of(backbone, residue_ids=gap)])[0] - plain).max() > 0.01
    )


@pytest.mark.parametrize(
    ("residue_ids", "places"),
    [
        (["5", "6", "7"], [0, 1, 2]),
        (["5", "6", "10", "11"], [0, 1, 5, 6]),
        (["52", "52A", "52B", "53"], [0, 1, 2, 3]),
        (["-1", "0", "1"], [0, 1, 2]),
        (["9", "10", "1", "2"], [0, 1, 2, 3]),
    ],
)
def test_places_in_chain(residue_ids, places):
    found = places_in_chain(residue_ids)
    assert (found - found[0]).tolist() == places


def test_virtual_beta_carbon_sits_on_the_real_one(model_path):
    pairs = []
    for residue in (r for chain in gemmi.read_structure(str(model_path))[0] for r in chain):
        atoms = {atom.name: atom.pos.tolist() for atom in residue}
        if atoms.keys() >= {"N", "CA", "C", "O", "CB"}:
            backbone = torch.tensor([[atoms[name] for name in ("N", "CA", "C", "O")]])
            pairs.append((network.virtual_beta_carbon(backbone)[0].numpy(), atoms["CB"]))
    ideal, real = (np.array(side) for side in zip(*pairs, strict=True))
    assert len(pairs) > 80
    assert np.median(np.linalg.norm(ideal - real, axis=1)) < 0.1


def test_nearest_agrees_with_sorting_all_distances():
    points = torch.from_numpy(np.random.default_rng(0).normal(size=(600, 3)).astype(np.float32))
    full = (points[:, None].double() - points[None].double()).norm(dim=-1)
    np.testing.assert_array_equal(network.nearest(points, 48), full.argsort(dim=1)[:, :48])
    assert network.nearest(points[:5], 48).shape == (5, 5)


def test_blocks_do_not_change_the_result(protein_mpnn, chains, monkeypatch):
    whole = protein_mpnn.encode(chains)
    monkeypatch.setattr(network, "_BLOCK_RESIDUES", 7)
    for one, other in zip(whole, protein_mpnn.encode(chains), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_shipped_weights_are_the_encoder_and_its_notice():
    # 962,352 published numbers, less the 16 of a bias that is folded into the table of offsets.
    parameters = sum(p.numel() for p in network.ProteinMPNNEncoder().parameters())
    assert parameters == 962_352 - 16
    assert SHIPPED_WEIGHTS.stat().st_size <= 4_000_000
    with safe_open(SHIPPED_WEIGHTS, framework="np") as file:
        source = json.loads(file.metadata()["source"])
    assert source["sha256"] == "c9cb4a671d79604111231f8dbfc7c590e06f1197453b7a6854ac6661a642f5bd"
    notice = (SHIPPED_WEIGHTS.parent / "LICENSE.protein_mpnn").read_text()
    assert "MIT License" in notice
    assert "Justas Dauparas" in notice


def test_other_files_are_refused_as_weights(tmp_path):
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(SHIPPED_WEIGHTS.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"broken\.safetensors: does not hold"):
        ProteinMPNN.load(str(broken), torch.device("cpu"))
    with pytest.raises(CryosamuError, match="does not exist"):
        ProteinMPNN.load(str(tmp_path / "none.safetensors"), torch.device("cpu"))


def test_bfloat16_is_near_and_does_not_pass_for_float32(protein_mpnn, chains):
    half = ProteinMPNN.load(None, torch.device("cpu"), "bfloat16")
    exact, short = protein_mpnn.encode(chains[:1])[0], half.encode(chains[:1])[0]
    seen = protein_mpnn.visible(chains[0])
    errors = np.linalg.norm(short - exact, axis=1)[seen] / np.linalg.norm(exact, axis=1)[seen]
    assert short.dtype == np.float32
    assert 1e-4 < errors.max() < 0.05
    keys = {entry_for(chains, encoder, "per_chain").key for encoder in (protein_mpnn, half)}
    assert len(keys) == 2
