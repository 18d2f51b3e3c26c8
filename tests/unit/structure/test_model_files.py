"""Model files: formats, compression, damage."""

import gzip

import gemmi
import numpy as np
import pytest
from pdb_text import backbone, three_residues, written

from cryosamu.errors import CryosamuError, ModelError
from cryosamu.structure.model import heavy_atoms, protein_chains, read_model


def test_only_the_first_model_is_read(tmp_path):
    lines = ["MODEL        1", *backbone("A", 1), "ENDMDL", "MODEL        2", *backbone("A", 2)]
    structure = read_model(written(tmp_path, [*lines, "ENDMDL"]))
    assert len(structure) == 1
    assert len(heavy_atoms(structure).positions) == 4


def test_mmcif_and_gzip_say_the_same_as_pdb(tmp_path):
    lines = [
        "SEQRES   1 A    5  GLY ALA ALA ALA MSE", *three_residues("A"), "TER",
        *three_residues("B", 40), "TER",
    ]  # fmt: skip
    plain = written(tmp_path, lines)
    expected = protein_chains(read_model(plain))
    assert [chain.entity_sequence for chain in expected] == ["GAAAM", ""]
    structure = gemmi.read_structure(str(plain))
    structure.setup_entities()
    cif = tmp_path / "b.cif"
    structure.make_mmcif_document().write_file(str(cif))
    packed = tmp_path / "c.cif.gz"
    packed.write_bytes(gzip.compress(cif.read_bytes()))
    for path in (cif, packed):
        for found, wanted in zip(protein_chains(read_model(path)), expected, strict=True):
            assert found.sequence == wanted.sequence
            assert found.author_id == wanted.author_id
            assert np.array_equal(found.backbone, wanted.backbone)


BAD = {
    "text": b"these are no coordinates\n" * 20,
    "empty": b"",
    "no atoms": b"HEADER    NOTHING\nEND\n",
    "broken mmCIF": b"data_X\nloop_\n_atom_site.id\n_atom_site.Cartn_x\n1 2 3\n",
    "half a gzip": gzip.compress(b"ATOM " * 500)[:40],
    "binary": bytes(range(256)) * 8,
}


@pytest.mark.parametrize("fault", BAD)
@pytest.mark.parametrize("suffix", [".pdb", ".cif", ".cif.gz"])
def test_what_is_no_model_is_refused_in_a_sentence(tmp_path, fault, suffix):
    path = tmp_path / f"bad{suffix}"
    path.write_bytes(BAD[fault])
    with pytest.raises(ModelError) as caught:
        read_model(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.97])
def test_a_model_cut_short_in_its_gzip_is_not_half_a_model(tmp_path, keep):
    """gemmi reads such a .pdb.gz to the cut and says nothing."""
    lines = [line for n in range(1, 900) for line in backbone("A", n, shift=0.123 * n)]
    packed = gzip.compress("\n".join(lines).encode())
    path = tmp_path / "a.pdb.gz"
    path.write_bytes(packed[: int(len(packed) * keep)])
    with pytest.raises(ModelError, match="cut short"):
        read_model(path)
    damaged = bytearray(packed)
    damaged[-7] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(ModelError, match="damaged"):
        read_model(path)


def test_the_kind_of_file_is_told_by_its_content(tmp_path):
    structure = read_model(written(tmp_path, three_residues("A"), name="a.txt"))
    text = structure.make_mmcif_document().as_string()
    (tmp_path / "b.model").write_text("# a comment\n" + text)
    (tmp_path / "c").write_bytes(gzip.compress(text.encode()))
    for name in ("a.txt", "b.model", "c"):
        assert len(heavy_atoms(read_model(tmp_path / name)).positions) == 12


def test_an_atom_without_a_position_is_refused(tmp_path):
    structure = gemmi.read_structure(str(written(tmp_path, three_residues("A"))))
    structure.setup_entities()
    text = structure.make_mmcif_document().as_string()
    path = tmp_path / "holes.cif"
    path.write_text(text.replace(" 20 0.5 -1.25 ", " ? ? ? "))
    assert "?" in path.read_text()
    with pytest.raises(ModelError, match="without a position"):
        read_model(path)


def test_a_missing_model_is_named(tmp_path):
    with pytest.raises(CryosamuError, match="does not exist"):
        read_model(tmp_path / "none.cif")
