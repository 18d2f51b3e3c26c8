import dataclasses
import gzip

import numpy as np
import pytest
import torch

from cryosamu.config import EmbeddingSettings, PoolingSettings
from cryosamu.device import choose_device
from cryosamu.embedding.embed import (
    embed_model,
    model_id_of,
    pool_embedding,
)
from cryosamu.embedding.encoder import load_encoder
from cryosamu.embedding.npz import write_embedding
from cryosamu.embedding.store import EmbeddingStore
from cryosamu.errors import ConfigError, CryosamuError, ModelError

PER_CHAIN = EmbeddingSettings(backend="protein_mpnn")
COMPLEX = EmbeddingSettings(backend="protein_mpnn", mode="complex")


class Counting:
    """Hands everything on to an encoder and counts the chains that it encodes."""

    def __init__(self, encoder):
        self._encoder = encoder
        self.calls = []

    def __getattr__(self, name):
        return getattr(self._encoder, name)

    def encode(self, chains):
        self.calls.append(len(chains))
        return self._encoder.encode(chains)


@pytest.mark.parametrize(
    ("name", "model_id"),
    [("5ni1.cif.gz", "5NI1"), ("store/models/6VYB.pdb", "6VYB"), ("a", "A")],
)
def test_model_ids(name, model_id):
    assert model_id_of(name) == model_id


def test_every_chain_has_its_rows_and_names(model_path, protein_mpnn):
    found = embed_model(model_path, protein_mpnn, PER_CHAIN)
    assert found.model_id == "5NI1_PART"
    assert (found.backend, found.width, found.mode) == ("protein_mpnn", 128, "per_chain")
    assert len(found.fingerprint) == 64
    assert [(c.label_id, c.author_id) for c in found.chains] == [("Axp", "A"), ("Bxp", "B")]
    assert [c.vectors.shape for c in found.chains] == [(50, 128), (55, 128)]
    assert found.residues == 105
    assert found.chains[0].residue_ids[19:21] == ("25", "26")
    assert [int((~c.observed).sum()) for c in found.chains] == [1, 1]


def test_modes_are_one_by_one_and_all_at_once(model_path, protein_mpnn, chains):
    encoder = Counting(protein_mpnn)
    alone = embed_model(model_path, encoder, PER_CHAIN)
    together = embed_model(model_path, encoder, COMPLEX)
    assert encoder.calls == [1, 1, 2]
    np.testing.assert_array_equal(alone.chains[1].vectors, protein_mpnn.encode(chains[1:])[0])
    np.testing.assert_array_equal(together.chains[1].vectors, protein_mpnn.encode(chains)[1])


def test_the_store_is_asked_first(model_path, protein_mpnn, tmp_path):
    encoder, store = Counting(protein_mpnn), EmbeddingStore(tmp_path / "store")
    first = embed_model(model_path, encoder, PER_CHAIN, store)
    # The same structure under another name, compressed, is found; another mode is not.
    copy = tmp_path / "copy.pdb.gz"
    copy.write_bytes(gzip.compress(model_path.read_bytes()))
    second = embed_model(copy, encoder, PER_CHAIN, store)
    assert encoder.calls == [1, 1]
    assert (first.from_store, second.from_store) == (False, True)
    assert second.model_id == "COPY"
    for one, other in zip(first.chains, second.chains, strict=True):
        np.testing.assert_array_equal(one.vectors, other.vectors)
    assert not embed_model(model_path, encoder, COMPLEX, store).from_store


def test_a_damaged_file_in_the_store_is_made_again(model_path, protein_mpnn, tmp_path):
    store = EmbeddingStore(tmp_path)
    first = embed_model(model_path, protein_mpnn, PER_CHAIN, store)
    (path,) = tmp_path.rglob("*.npz")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    again = embed_model(model_path, protein_mpnn, PER_CHAIN, store)
    assert not again.from_store
    np.testing.assert_array_equal(first.chains[0].vectors, again.chains[0].vectors)
    assert path.read_bytes() == whole


def test_ca_only_chains_are_refused(write_model, protein_mpnn):
    path = write_model("trace.pdb", atoms=("CA",))
    with pytest.raises(ModelError, match=r"trace\.pdb: no chain has a residue with the backbone"):
        embed_model(path, protein_mpnn, PER_CHAIN)


def test_a_ca_only_chain_is_left_out_and_named(
    model_path, write_model, protein_mpnn, tmp_path, members_and_metadata
):
    whole = model_path.read_text().splitlines()
    trace = write_model("trace.pdb", atoms=("CA",), letters="T").read_text().splitlines()
    path = tmp_path / "mixed.pdb"
    atoms = [line for line in [*trace, *whole] if line.startswith(("ATOM", "TER"))]
    path.write_text("\n".join([*atoms, "END", ""]))
    found = embed_model(path, protein_mpnn, PER_CHAIN)
    assert [chain.author_id for chain in found.chains] == ["A", "B"]
    assert [chain.author_id for chain in found.refused] == ["T"]
    (note,) = found.notes
    assert note.startswith("chain T has no residue with the backbone atoms")
    alone = embed_model(model_path, protein_mpnn, PER_CHAIN)
    np.testing.assert_array_equal(found.chains[1].vectors, alone.chains[1].vectors)
    write_embedding(tmp_path / "out.npz", found)
    _, metadata = members_and_metadata(tmp_path / "out.npz")
    assert metadata["chains_refused"] == [
        {"author_id": "T", "label_id": "Txp", "entity_id": found.refused[0].entity_id}
    ]
    assert metadata["notes"] == [note]


def test_a_chain_with_little_backbone_is_embedded_and_named(write_model, protein_mpnn, tmp_path):
    lines = write_model("sparse.pdb").read_text().splitlines(keepends=True)
    lines = [line for line in lines if line.startswith("ATOM")]
    kept = [line for line in lines if line[12:16].strip() == "CA" or int(line[22:26]) < 4]
    path = tmp_path / "thin.pdb"
    path.write_text("".join(kept))
    found = embed_model(path, protein_mpnn, PER_CHAIN)
    assert found.chains[0].observed.sum() == 3
    assert found.notes == ["chain A has a backbone in only 3 of 40 residues."]


def test_chains_of_one_name_are_refused_in_a_file(model_path, protein_mpnn, tmp_path):
    found = embed_model(model_path, protein_mpnn, PER_CHAIN)
    twice = dataclasses.replace(found, chains=(found.chains[0], found.chains[0]))
    with pytest.raises(ModelError, match="2 chains have the label id Axp"):
        write_embedding(tmp_path / "out.npz", twice)
    assert not (tmp_path / "out.npz").exists()


def test_nucleic_acid_alone_is_refused(write_model, protein_mpnn):
    path = write_model("rna.pdb", residue="G", atoms=("P", "C1'", "N1", "C4"))
    with pytest.raises(ModelError, match=r"rna\.pdb: has no protein chain"):
        embed_model(path, protein_mpnn, PER_CHAIN)


def test_a_long_chain_takes_the_same_path(write_model, protein_mpnn):
    path = write_model("long.pdb", count=600)
    found = embed_model(path, protein_mpnn, PER_CHAIN)
    assert found.chains[0].vectors.shape == (600, 128)
    assert np.isfinite(found.chains[0].vectors).all()


def test_pooling_takes_what_the_encoder_saw(model_path, protein_mpnn):
    found = embed_model(model_path, protein_mpnn, PER_CHAIN)
    pooled = pool_embedding(found, PoolingSettings(tokens=64))
    assert pooled.tokens.shape == (64, 128)
    assert pooled.mask.sum() == 55
    assert pooled.chain_weights.sum().item() == pytest.approx(1)


def test_written_file_needs_nothing_but_numpy(
    model_path, protein_mpnn, tmp_path, members_and_metadata
):
    found = embed_model(model_path, protein_mpnn, PER_CHAIN)
    path = tmp_path / "out.npz"
    write_embedding(path, found)
    names, metadata = members_and_metadata(path)
    assert names == [
        *("Axp", "Axp.observed", "Axp.residue_ids"),
        *("Bxp", "Bxp.observed", "Bxp.residue_ids"),
        "metadata.json",
    ]
    with np.load(path, allow_pickle=False) as file:
        np.testing.assert_array_equal(file["Axp"], found.chains[0].vectors)
        assert file["Axp.residue_ids"].tolist() == list(found.chains[0].residue_ids)
        assert file["Bxp.observed"].sum() == 54
    assert metadata["chains"][1] == {
        "label_id": "Bxp",
        "author_id": "B",
        "entity_id": "B",
        "copy_of": "Bxp",
    }
    assert metadata["chains_refused"] == []
    assert metadata["weights_sha256"] == protein_mpnn.fingerprint


def test_encoders_by_name(monkeypatch, tmp_path):
    encoder = load_encoder(EmbeddingSettings(backend="protein_mpnn", device="cpu"))
    assert (encoder.name, encoder.width) == ("protein_mpnn", 128)
    monkeypatch.setenv("CRYOSAMU_CACHE", str(tmp_path))
    with pytest.raises(CryosamuError, match=r"none\.pt: this weights file does not exist"):
        load_encoder(EmbeddingSettings(backend="esm_if1", weights=str(tmp_path / "none.pt")))


def test_devices():
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(ConfigError, match="'gpu' is not a device"):
        choose_device("gpu")
    with pytest.raises(ConfigError, match="'cuda:99' is not there"):
        choose_device("cuda:99")
