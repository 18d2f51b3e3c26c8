"""ESM-IF1 against fair-esm's own functions, on a small architecture with random weights."""

import copy
import dataclasses
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from cryosamu.archive.server import EMBEDDED
from cryosamu.embedding.esm_if1 import messages, package
from cryosamu.embedding.esm_if1.encoder import EsmIf1
from cryosamu.embedding.store import entry_for
from cryosamu.structure.model import ProteinChain, protein_chains, read_model


@pytest.fixture
def esm_if1(tiny_network):
    return EsmIf1(copy.deepcopy(tiny_network), "0" * 64, torch.device("cpu"))


@pytest.fixture
def stock(tiny_network, monkeypatch):
    """Return fair-esm's get_encoder_output, its message passing as torch-geometric defines it."""
    from esm.inverse_folding.gvp_modules import GVPConv
    from esm.inverse_folding.util import get_encoder_output

    def propagate(self, edge_index, s, v, edge_attr):
        sender, receiver = edge_index
        values = self.message(s[receiver], v[receiver], s[sender], v[sender], edge_attr)
        order = torch.argsort(receiver, stable=True)
        counts = torch.bincount(receiver, minlength=len(s)).tolist()
        groups = values[order].split(counts)
        return torch.stack([rows.mean(0) if len(rows) else 0 * values[0] for rows in groups])

    monkeypatch.setattr(GVPConv, "propagate", propagate, raising=False)
    model = SimpleNamespace(encoder=tiny_network)

    def output(coordinates):
        with torch.inference_mode():
            return get_encoder_output(model, tiny_network.dictionary, coordinates).numpy()

    return output


def hide(chain: ProteinChain, rows: list[int]) -> ProteinChain:
    backbone, observed = chain.backbone.copy(), chain.observed.copy()
    backbone[rows], observed[rows] = np.inf, False
    return dataclasses.replace(chain, backbone=backbone, observed=observed)


@pytest.mark.parametrize("hidden", [[], [0], [10, 11, 12], [49], list(range(1, 50))])
def test_one_chain_equals_fair_esm(esm_if1, stock, chains, hidden):
    chain = hide(chains[0], hidden)
    (ours,) = esm_if1.encode([chain])
    assert ours.shape == (50, 32)
    assert ours.dtype == np.float32
    assert np.ptp(ours) > 1
    np.testing.assert_allclose(ours, stock(chain.backbone[:, :3]), atol=1e-5)


def test_real_structures_equal_fair_esm(esm_if1, stock):
    compared = 0
    for path in sorted((EMBEDDED / "files.rcsb.org" / "download").glob("*.cif.gz")):
        chain = protein_chains(read_model(path))[0]
        if len(chain.sequence) > 200:
            continue
        (ours,) = esm_if1.encode([chain])
        theirs = stock(chain.backbone[:, :3])
        assert np.ptp(theirs) > 1
        np.testing.assert_allclose(ours, theirs, atol=1e-5, err_msg=path.name)
        compared += 1
    assert compared >= 10


def test_bfloat16_is_near_and_does_not_pass_for_float32(esm_if1, tiny_network, chains):
    half = EsmIf1(copy.deepcopy(tiny_network), "0" * 64, torch.device("cpu"), "bfloat16")
    exact, short = esm_if1.encode(chains[:1])[0], half.encode(chains[:1])[0]
    assert short.dtype == np.float32
    errors = np.linalg.norm(short - exact, axis=1) / np.linalg.norm(exact, axis=1)
    assert 1e-4 < errors.max() < 0.05
    keys = {entry_for(chains, encoder, "per_chain").key for encoder in (esm_if1, half)}
    assert len(keys) == 2


def test_a_complex_equals_fair_esm_with_its_padding(esm_if1, stock, chains):
    from esm.inverse_folding.multichain_util import _concatenate_coords

    coordinates = {chain.label_id: chain.backbone[:, :3] for chain in chains}
    joined = stock(_concatenate_coords(coordinates, chains[0].label_id))
    first, second = esm_if1.encode(chains)
    np.testing.assert_allclose(first, joined[:50], atol=1e-5)
    np.testing.assert_allclose(second, joined[60:], atol=1e-5)
    assert np.abs(first - esm_if1.encode(chains[:1])[0]).max() > 1e-2


def test_a_chain_shorter_than_the_number_of_neighbours(esm_if1, stock, chain_of, chains):
    short = chain_of(chains[0].backbone[:3])
    np.testing.assert_allclose(esm_if1.encode([short])[0], stock(short.backbone[:, :3]), atol=1e-5)


def test_blocks_do_not_change_the_result(esm_if1, chains, monkeypatch):
    whole = esm_if1.encode(chains[:1])[0]
    monkeypatch.setattr(messages, "_BLOCK_EDGES", 37)
    monkeypatch.setattr(messages, "_BLOCK_RESIDUES", 11)
    np.testing.assert_allclose(esm_if1.encode(chains[:1])[0], whole, atol=1e-5)


def test_encoding_twice_gives_the_same_bits(esm_if1, chains):
    one, two = (esm_if1.encode(chains)[1] for _ in range(2))
    assert one.tobytes() == two.tobytes()


def test_only_this_encoder_is_changed(esm_if1, tiny_network):
    assert type(tiny_network.gvp_encoder.encoder_layers[0].conv).__name__ == "GVPConv"
    assert type(esm_if1.network.gvp_encoder.encoder_layers[0].conv).__name__ == "AveragedMessages"


def test_visible_is_the_three_atoms(esm_if1, chains):
    # The residue of A that lacks O alone is seen; the one of B without CA is not.
    assert esm_if1.visible(chains[0]).all()
    assert (~esm_if1.visible(chains[1])).sum() == 1


def test_importing_leaves_no_stand_in_behind():
    package.inverse_folding()
    left = {name.partition(".")[0] for name in sys.modules}
    assert not left & {"biotite", "torch_scatter", "torch_geometric"}


def test_real_modules_come_back_after_standing_in(monkeypatch):
    monkeypatch.setitem(sys.modules, "biotite", sys)
    with package._standing_in():
        assert sys.modules["biotite"] is not sys
        assert sys.modules["torch_geometric.nn"].MessagePassing
    assert sys.modules["biotite"] is sys
    assert "torch_geometric.nn" not in sys.modules
