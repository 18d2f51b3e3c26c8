"""Entries of the store: whole or not at all, and named by all that shapes them."""

import dataclasses
import multiprocessing
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryosamu.embedding.store import (
    DamagedEntryError,
    EmbeddingStore,
    Entry,
    Maker,
    ShownChain,
    entry_for,
    read_entry,
)

VECTORS = [np.arange(12, dtype=np.float32).reshape(4, 3), np.ones((2, 3), np.float32)]
MAKER = Maker("backend", "f" * 64, "1", "float32", "per_chain")
ENTRY = Entry(
    MAKER,
    tuple(
        ShownChain(
            tuple(str(number) for number in range(len(rows))),
            np.full((len(rows), 4, 3), 1.5, np.float32),
            np.ones(len(rows), np.bool_),
        )
        for rows in VECTORS
    ),
)
OTHER = dataclasses.replace(ENTRY, maker=dataclasses.replace(MAKER, backend="other"))


@pytest.fixture
def store(tmp_path):
    return EmbeddingStore(tmp_path / "store")


def same(found):
    return found is not None and all(
        np.array_equal(one, other) for one, other in zip(found, VECTORS, strict=True)
    )


def test_what_is_put_is_got(store):
    assert store.get(ENTRY) is None
    store.put(ENTRY, VECTORS)
    assert same(store.get(ENTRY))
    key = ENTRY.key
    assert store.path(ENTRY) == store.root / "backend" / key[:2] / f"{key}.npz"
    assert store.get(OTHER) is None


def test_a_file_tells_what_the_encoder_was_shown(store):
    store.put(ENTRY, VECTORS)
    found, vectors = read_entry(store.path(ENTRY))
    assert found.maker == MAKER
    assert found.key == ENTRY.key
    assert same(vectors)
    for one, other in zip(found.chains, ENTRY.chains, strict=True):
        assert one.residue_ids == other.residue_ids
        np.testing.assert_array_equal(one.backbone, other.backbone)


def test_files_are_the_same_bytes_and_read_without_pickle(store):
    store.put(ENTRY, VECTORS)
    path = store.path(ENTRY)
    first = path.read_bytes()
    with np.load(path, allow_pickle=False) as file:
        np.testing.assert_array_equal(file["1.vectors"], VECTORS[1])
    with zipfile.ZipFile(path) as file:
        assert {member.date_time for member in file.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    store.put(ENTRY, VECTORS)
    assert path.read_bytes() == first
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_a_damaged_file_is_never_read_as_other_numbers(tmp_path_factory, data):
    store = EmbeddingStore(tmp_path_factory.mktemp("store"))
    store.put(ENTRY, VECTORS)
    path = store.path(ENTRY)
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content[place] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del content[place:]
    path.write_bytes(content)
    found = store.get(ENTRY)
    assert found is None or same(found)


@pytest.mark.parametrize("content", [b"", b"not a zip file", b"PK\x05\x06" + bytes(18)])
def test_another_file_in_its_place_is_not_read(store, content):
    path = store.path(ENTRY)
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    assert store.get(ENTRY) is None


def test_another_entry_in_its_place_is_not_read(store):
    store.put(OTHER, VECTORS)
    store.path(ENTRY).parent.mkdir(parents=True)
    store.path(OTHER).rename(store.path(ENTRY))
    assert store.get(ENTRY) is None


@pytest.mark.parametrize(
    "vectors",
    [
        [VECTORS[0], VECTORS[1][:1]],
        [rows.astype(np.float64) for rows in VECTORS],
        [VECTORS[0], VECTORS[1] * np.nan],
    ],
)
def test_other_shapes_or_numbers_are_not_read(store, vectors):
    store.put(ENTRY, vectors)
    assert store.get(ENTRY) is None


def test_vectors_that_were_exchanged_are_noticed(store):
    """By a program that writes a proper file, checksums of the archive included."""
    store.put(ENTRY, VECTORS)
    path = store.path(ENTRY)
    with np.load(path) as file:
        arrays = dict(file)
    arrays["1.vectors"] = arrays["1.vectors"] + 1
    np.savez(path, **arrays)
    with pytest.raises(DamagedEntryError, match="other vectors than were written"):
        read_entry(path)
    assert store.get(ENTRY) is None


def write_often(root, started):
    store = EmbeddingStore(root)
    started.release()
    for _ in range(40):
        store.put(ENTRY, VECTORS)


def test_processes_that_write_at_once_leave_a_whole_file(store):
    context = multiprocessing.get_context("spawn")
    started = context.Semaphore(0)
    writers = [
        context.Process(target=write_often, args=(str(store.root), started)) for _ in range(2)
    ]
    for writer in writers:
        writer.start()
    started.acquire()
    seen = 0
    while any(writer.is_alive() for writer in writers):
        found = store.get(ENTRY)
        # Once there, never absent and never half written.
        assert same(found) or (found is None and not seen)
        seen += found is not None
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert seen
    path = store.path(ENTRY)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_the_key_covers_all_that_shapes_the_vectors(chains, protein_mpnn):
    def described(**changes):
        known = ("name", "fingerprint", "code_version", "precision", "visible")
        return SimpleNamespace(**{name: getattr(protein_mpnn, name) for name in known} | changes)

    def moved(chain):
        backbone = chain.backbone.copy()
        backbone[0, 0, 0] = np.nextafter(backbone[0, 0, 0], np.float32(np.inf))
        return dataclasses.replace(chain, backbone=backbone)

    def key(chains, encoder=protein_mpnn, mode="per_chain"):
        return entry_for(chains, encoder, mode).key

    first, second = chains
    renumbered = dataclasses.replace(first, residue_ids=("0", *first.residue_ids[1:]))
    keys = [
        key(chains),
        key(chains, mode="complex"),
        key(chains[::-1]),
        key([first]),
        key([moved(first), second]),
        key([renumbered, second]),
        key(chains, described(fingerprint="1" * 64)),
        key(chains, described(code_version="2")),
        key(chains, described(precision="bfloat16")),
        key(chains, described(name="esm_if1")),
        key(chains, described(visible=lambda chain: chain.observed)),
    ]
    assert len(set(keys)) == len(keys)
    renamed = [dataclasses.replace(chain, author_id="Z", label_id="Z") for chain in chains]
    assert key(renamed) == keys[0]
