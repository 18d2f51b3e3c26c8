"""`cryosamu embed --verify`: every fault of a store is named, and nothing else."""

import shutil

import numpy as np
import pytest

from cryosamu.config import EmbeddingSettings
from cryosamu.embedding.embed import embed_model
from cryosamu.embedding.store import EmbeddingStore, read_entry
from cryosamu.embedding.verify import verify_store
from cryosamu.errors import CryosamuError

SETTINGS = EmbeddingSettings(backend="protein_mpnn", device="cpu")


@pytest.fixture
def store(tmp_path, model_path, write_model, protein_mpnn):
    store = EmbeddingStore(tmp_path / "store")
    for path in (model_path, write_model("second.pdb"), write_model("third.pdb", count=20)):
        embed_model(path, protein_mpnn, SETTINGS, store)
    return store


def files(store):
    return sorted(store.root.rglob("*.npz"))


def test_a_sound_store_has_no_faults(store, protein_mpnn):
    report = verify_store(store, protein_mpnn, sample=2)
    assert (report.entries, report.encoded_again, report.faults) == (3, 2, ())
    assert verify_store(store).encoded_again == 0


def test_damage_and_foreign_files_are_named(store, tmp_path):
    first, second, third = files(store)
    content = bytearray(first.read_bytes())
    content[len(content) // 2] ^= 1
    first.write_bytes(content)
    second.write_bytes(second.read_bytes()[:100])
    moved = third.with_name("0" * 64 + ".npz")
    shutil.copy(third, moved)
    (store.root / "notes.txt").write_text("mine")
    (third.parent / ".part-x.npz").write_bytes(b"half")
    report = verify_store(store)
    assert report.entries == 1
    assert {fault.path for fault in report.faults} == {
        first, second, moved, store.root / "notes.txt",
    }  # fmt: skip
    reasons = {fault.path: fault.reason for fault in report.faults}
    assert "does not belong here" in reasons[moved]
    assert "damaged" in reasons[first]


def test_vectors_of_another_structure_are_found_by_encoding_again(store, protein_mpnn):
    """Written whole, with every checksum right, by a program at fault."""
    path = files(store)[0]
    entry, vectors = read_entry(path)
    store.put(entry, [rows + np.float32(0.01) for rows in vectors])
    assert verify_store(store).faults == ()
    (fault,) = verify_store(store, protein_mpnn, sample=3).faults
    assert fault.path == path
    assert "is not what protein_mpnn says" in fault.reason


def test_entries_of_other_code_are_not_encoded_again(store, protein_mpnn, monkeypatch):
    monkeypatch.setattr(protein_mpnn, "code_version", "another")
    report = verify_store(store, protein_mpnn, sample=3)
    assert (report.entries, report.encoded_again, report.faults) == (3, 0, ())


def test_the_command_ends_with_status_1_at_a_fault(run, store):
    options = ("--verify", "--store", store.root, "--backend", "protein_mpnn", "--sample", 1)
    result = run(*options)
    assert result.exit_code == 0
    assert result.stdout == "3 sound, 1 of them encoded again; 0 damaged or foreign\n"
    path = files(store)[0]
    path.write_bytes(b"")
    result = run(*options)
    assert result.exit_code == 1
    assert result.stdout.startswith(f"{path}: is damaged")
    assert result.stdout.endswith("2 sound, 1 of them encoded again; 1 damaged or foreign\n")


def test_what_is_damaged_is_made_again_on_next_use(run, store, model_path, tmp_path):
    for path in files(store):
        path.write_bytes(path.read_bytes()[:50])
    embed = (model_path, "--store", store.root, "--backend", "protein_mpnn")
    assert run(*embed).stderr.startswith("embedded 5NI1_PART")
    assert verify_store(store).entries == 1


def test_verifying_needs_a_store_and_nothing_else(run, store, model_path, tmp_path):
    with pytest.raises(CryosamuError, match="--verify needs the folder"):
        run("--verify")
    with pytest.raises(CryosamuError, match="--verify needs the folder"):
        run("--verify", "--store", tmp_path / "none")
    with pytest.raises(CryosamuError, match=r"checks the store alone; leave out .*5ni1_part"):
        run(model_path, "--verify", "--store", store.root)
