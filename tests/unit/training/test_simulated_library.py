"""Structures on their way from untrusted files into one packed file and back."""

import tarfile

import numpy as np
import pytest
import safetensors.numpy
from simulated_toys import helix_text, tar_of, toy, toys

from cryosamu.errors import CryosamuError, ModelError
from cryosamu.structure import collection
from cryosamu.structure.collection import model_files
from cryosamu.structure.model import parse_model, protein_chains
from cryosamu.training.simulated.library import (
    CARBOXYLATE,
    read_library,
    write_library,
)
from cryosamu.training.simulated.packing import packed

SEQUENCES = ("AKELASGKLAEA", "LAKSEGLA")


def test_a_packed_structure_is_what_the_model_says():
    structure = parse_model(helix_text(SEQUENCES).encode(), "x")
    one = packed(structure, "X")
    assert one.sequences == list(SEQUENCES)
    heavy = [site for site in structure[0].all() if not site.atom.is_hydrogen()]
    assert len(one.positions) == len(heavy)
    places = np.array([site.atom.pos.tolist() for site in heavy])
    middle = (places.min(axis=0) + places.max(axis=0)) / 2
    assert np.abs(one.positions + middle - places).max() < 0.0051
    assert one.atomic_numbers.tolist() == [site.atom.element.atomic_number for site in heavy]
    acids = [site.atom.name in ("OE1", "OE2") for site in heavy]
    assert ((one.roles == CARBOXYLATE) == acids).all()
    assert one.b_factors[:3].tolist() == [20, 21, 22]
    assert np.bincount(one.chains).tolist() == [
        sum(site.chain.name == name for site in heavy) for name in "AB"
    ]


def test_an_encoder_is_shown_the_same_chains():
    structure = parse_model(helix_text(SEQUENCES).encode(), "x")
    for ours, theirs in zip(
        packed(structure, "X").protein_chains(), protein_chains(structure), strict=True
    ):
        assert ours.residue_ids == theirs.residue_ids
        assert ours.sequence == theirs.sequence
        shift = (theirs.backbone - ours.backbone).reshape(-1, 3).mean(axis=0)
        assert np.abs(ours.backbone + shift - theirs.backbone).max() < 0.011
        assert (ours.observed == theirs.observed).all()


def test_what_is_written_is_read(tmp_path):
    written = toys(3)
    write_library(tmp_path / "a.safetensors", written, {"left_out": []})
    write_library(tmp_path / "b.safetensors", written, {"left_out": []})
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    library = read_library(tmp_path / "a.safetensors")
    assert [one.name for one in library.structures] == ["T00", "T01", "T02"]
    assert [one.digest for one in library.structures] == [one.digest for one in written]
    assert library.about == {"left_out": []}


def test_a_damaged_or_foreign_file_is_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    write_library(path, toys(2), {})
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    with pytest.raises(CryosamuError, match="no whole file of packed structures"):
        read_library(path)
    path.write_bytes(safetensors.numpy.save({"positions": np.zeros(3)}))
    with pytest.raises(CryosamuError, match="no whole file of packed structures"):
        read_library(path)
    arrays = safetensors.numpy.load(whole)
    arrays["residue_atoms"][0] += 1
    metadata = {"cryosamu_structures": '{"format": 1, "names": ["T00", "T01"], "about": {}}'}
    path.write_bytes(safetensors.numpy.save(arrays, metadata))
    with pytest.raises(CryosamuError, match="no whole file of packed structures"):
        read_library(path)


def test_what_is_no_protein_or_too_large_is_refused():
    far = helix_text(["AKEL", "AKEL"], spacing=700)
    with pytest.raises(ModelError, match="larger than 640 Å"):
        packed(parse_model(far.encode(), "far"), "FAR")
    water = "HETATM    1  O   HOH A   1       0.000   0.000   0.000  1.00 20.00           O\n"
    with pytest.raises(ModelError, match="no protein chain"):
        packed(parse_model(water.encode(), "water"), "WATER")


def test_models_come_from_folders_archives_and_files(tmp_path):
    text = helix_text(["AKEL"])
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "b.pdb").write_text(text)
    (folder / "a.cif.gz").write_bytes(b"x")
    (folder / "map.mrc").write_bytes(b"x")
    archive = tar_of(tmp_path / "more.tar.gz", {"deep/c.pdb": text, "notes.txt": "no model"})
    names = [name for name, _ in model_files([folder, archive, folder / "b.pdb"])]
    assert names == ["a.cif.gz", "b.pdb", "c.pdb", "b.pdb"]


def test_an_archive_cannot_write_or_lead_elsewhere(tmp_path):
    text = helix_text(["AKEL"])
    path = tar_of(tmp_path / "evil.tar.gz", {"../../up.pdb": text, "/abs.pdb": text})
    with tarfile.open(tmp_path / "links.tar", "w") as archive:
        link = tarfile.TarInfo("link.pdb")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        archive.addfile(link)
    before = sorted(tmp_path.rglob("*"))
    assert [name for name, _ in model_files([path])] == ["up.pdb", "abs.pdb"]
    assert list(model_files([tmp_path / "links.tar"])) == []
    assert sorted(tmp_path.rglob("*")) == before


def test_an_archive_that_is_none_or_too_large_is_refused(tmp_path, monkeypatch):
    (tmp_path / "no.tar.gz").write_bytes(b"no archive")
    with pytest.raises(ModelError, match=r"no\.tar\.gz"):
        list(model_files([tmp_path / "no.tar.gz"]))
    with pytest.raises(ModelError, match="no such folder"):
        list(model_files([tmp_path / "absent"]))
    archive = tar_of(tmp_path / "large.tar.gz", {"a.pdb": helix_text(["AKELAKEL"])})
    monkeypatch.setattr(collection, "LARGEST_MEMBER", 100)
    with pytest.raises(ModelError, match="too large"):
        list(model_files([archive]))


def test_a_structure_says_what_it_is():
    one, other = toy(sequences=("AKEL",)), toy(sequences=("AKEG",))
    assert one.digest != other.digest
    assert one.digest == toy("OTHER", ("AKEL",)).digest
