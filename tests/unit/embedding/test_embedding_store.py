import dataclasses
import threading
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from cryosamu.config import PoolingSettings
from cryosamu.embedding.pooling import pool
from cryosamu.embedding.store import (
    EmbeddingStore,
    TokensHeader,
    embedding_key,
    read_tokens,
    read_tokens_header,
    write_tokens,
)
from cryosamu.errors import CryosamuError

KEY = "ab" * 32
VECTORS = [np.arange(12, dtype=np.float32).reshape(4, 3), np.ones((2, 3), np.float32)]
SHAPES = [(4, 3), (2, 3)]
HEADER = TokensHeader("protein_mpnn", "f" * 64, 6, "per_chain", {"tokens": 4, "scaled": True})


@pytest.fixture
def store(tmp_path):
    return EmbeddingStore(tmp_path / "store")


def same(found):
    return found is not None and all(
        np.array_equal(one, other) for one, other in zip(found, VECTORS, strict=True)
    )


def test_what_is_put_is_got(store):
    assert store.get("backend", KEY, SHAPES) is None
    store.put("backend", KEY, VECTORS)
    assert same(store.get("backend", KEY, SHAPES))
    assert store.path("backend", KEY) == store.root / "backend" / "ab" / f"{KEY}.npz"
    assert store.get("other", KEY, SHAPES) is None


def test_files_are_the_same_bytes_and_read_without_pickle(store):
    store.put("backend", KEY, VECTORS)
    path = store.path("backend", KEY)
    first = path.read_bytes()
    with np.load(path, allow_pickle=False) as file:
        assert file.files == ["chain_0", "chain_1"]
    with zipfile.ZipFile(path) as file:
        assert {member.date_time for member in file.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    store.put("backend", KEY, VECTORS)
    assert path.read_bytes() == first
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_a_damaged_file_is_never_read_as_other_numbers(tmp_path_factory, data):
    store = EmbeddingStore(tmp_path_factory.mktemp("store"))
    store.put("backend", KEY, VECTORS)
    path = store.path("backend", KEY)
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content[place] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del content[place:]
    path.write_bytes(content)
    found = store.get("backend", KEY, SHAPES)
    assert found is None or same(found)


@pytest.mark.parametrize("content", [b"", b"not a zip file", b"PK\x05\x06" + bytes(18)])
def test_another_file_in_its_place_is_not_read(store, content):
    path = store.path("backend", KEY)
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    assert store.get("backend", KEY, SHAPES) is None


def test_other_shapes_or_numbers_are_not_read(store):
    store.put("backend", KEY, VECTORS)
    assert store.get("backend", KEY, [(4, 3), (3, 3)]) is None
    assert store.get("backend", KEY, [*SHAPES, (1, 3)]) is None
    store.put("backend", KEY, [rows.astype(np.float64) for rows in VECTORS])
    assert store.get("backend", KEY, SHAPES) is None


def write_often(root):
    store = EmbeddingStore(root)
    for _ in range(100):
        store.put("backend", KEY, VECTORS)


def test_writers_at_once_leave_a_whole_file(store):
    writers = [threading.Thread(target=write_often, args=(store.root,)) for _ in range(3)]
    for writer in writers:
        writer.start()
    seen = 0
    while any(writer.is_alive() for writer in writers):
        found = store.get("backend", KEY, SHAPES)
        # Once there, never absent and never half written.
        assert same(found) or (found is None and not seen)
        seen += found is not None
    for writer in writers:
        writer.join()
    assert seen
    path = store.path("backend", KEY)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_the_key_covers_all_that_shapes_the_vectors(chains, protein_mpnn):
    def described(**changes):
        known = ("name", "fingerprint", "code_version", "visible")
        return SimpleNamespace(**{name: getattr(protein_mpnn, name) for name in known} | changes)

    def moved(chain):
        backbone = chain.backbone.copy()
        backbone[0, 0, 0] = np.nextafter(backbone[0, 0, 0], np.float32(np.inf))
        return dataclasses.replace(chain, backbone=backbone)

    first, second = chains
    renumbered = dataclasses.replace(first, residue_ids=("0", *first.residue_ids[1:]))
    keys = [
        embedding_key(chains, protein_mpnn, "per_chain"),
        embedding_key(chains, protein_mpnn, "complex"),
        embedding_key(chains[::-1], protein_mpnn, "per_chain"),
        embedding_key([first], protein_mpnn, "per_chain"),
        embedding_key([moved(first), second], protein_mpnn, "per_chain"),
        embedding_key([renumbered, second], protein_mpnn, "per_chain"),
        embedding_key(chains, described(fingerprint="1" * 64), "per_chain"),
        embedding_key(chains, described(code_version="2"), "per_chain"),
        embedding_key(chains, described(name="esm_if1"), "per_chain"),
        embedding_key(chains, described(visible=lambda chain: chain.observed), "per_chain"),
    ]
    assert len(set(keys)) == len(keys)
    renamed = [dataclasses.replace(chain, author_id="Z", label_id="Z") for chain in chains]
    assert embedding_key(renamed, protein_mpnn, "per_chain") == keys[0]


@pytest.fixture
def pooled():
    random = torch.Generator().manual_seed(0)
    return {
        name: pool(
            [torch.randn(length, 6, generator=random)],
            [torch.ones(length, dtype=torch.bool)],
            PoolingSettings(tokens=4),
        )
        for name, length in (("5NI1", 9), ("6VYB", 3))
    }


def test_tokens_come_back_as_they_were(tmp_path, pooled):
    write_tokens(tmp_path / "one.safetensors", {"5NI1": pooled["5NI1"]}, HEADER)
    write_tokens(tmp_path / "two.safetensors", {"6VYB": pooled["6VYB"]}, HEADER)
    paths = [tmp_path / "one.safetensors", tmp_path / "two.safetensors"]
    tokens = read_tokens(iter(paths))
    assert tokens.keys() == {"5NI1", "6VYB"}
    for name, (rows, mask) in tokens.items():
        assert torch.equal(rows, pooled[name].tokens)
        assert rows.dtype == torch.float32
        assert torch.equal(mask, pooled[name].mask)
    assert tokens["6VYB"][1].tolist() == [True, True, True, False]
    assert read_tokens_header(paths) == HEADER


def test_token_files_are_the_same_bytes_in_any_order(tmp_path, pooled):
    paths = [tmp_path / f"{number}.safetensors" for number in range(5)]
    for number, path in enumerate(paths):
        order = sorted(pooled, reverse=bool(number % 2))
        write_tokens(path, {name: pooled[name] for name in order}, HEADER)
    assert len({path.read_bytes() for path in paths}) == 1


def test_tokens_are_plain_safetensors_with_entropies(tmp_path, pooled):
    path = tmp_path / "tokens.safetensors"
    write_tokens(path, pooled, HEADER)
    assert load_file(path).keys() == {"5NI1/tokens", "5NI1/mask", "6VYB/tokens", "6VYB/mask"}
    with safe_open(path, framework="np") as file:
        metadata = file.metadata()["cryosamu"]
    assert '"chain_entropy": 0.0' in metadata
    assert f'"residue_entropy": {round(pooled["5NI1"].residue_entropy, 6)}' in metadata


def test_files_made_in_different_ways_are_not_mixed(tmp_path, pooled):
    write_tokens(tmp_path / "one.safetensors", pooled, HEADER)
    other = dataclasses.replace(HEADER, mode="complex")
    write_tokens(tmp_path / "two.safetensors", pooled, other)
    paths = [tmp_path / "one.safetensors", tmp_path / "two.safetensors"]
    with pytest.raises(CryosamuError, match=r"two\.safetensors: .* than those of .*one"):
        read_tokens(paths)


def test_other_files_are_not_tokens(tmp_path):
    save_file({"x": np.zeros(3)}, tmp_path / "other.safetensors")
    (tmp_path / "text.safetensors").write_text("text")
    for name in ("other", "text"):
        with pytest.raises(CryosamuError, match=f"{name}.safetensors: is not a file of structure"):
            read_tokens([tmp_path / f"{name}.safetensors"])
    with pytest.raises(CryosamuError, match="does not exist"):
        read_tokens([tmp_path / "none.safetensors"])
    with pytest.raises(CryosamuError, match="there is no file of structure tokens"):
        read_tokens([])
