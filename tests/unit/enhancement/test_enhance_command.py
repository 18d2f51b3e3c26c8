import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import gemmi
import mrcfile
import numpy as np
import pytest
import torch
from small_networks import random_network, write_checkpoint

from cryosamu.cli.main import main
from cryosamu.config import EmbeddingSettings
from cryosamu.embedding.encoder import load_encoder
from cryosamu.embedding.protein_mpnn.encoder import ProteinMPNN
from cryosamu.volume.fourier import low_pass
from cryosamu.volume.io import read_map, write_map
from cryosamu.volume.volume import FileFrame, Volume

FRAME = FileFrame(
    axis_order=(3, 1, 2), nstart=(-7, 4, 11), origin=(0.0, 0.0, 0.0), sampling=(60, 60, 60),
    cell=(72.0, 66.0, 78.0), labels=("deposited",),
)  # fmt: skip


def model_of(kind, centre):
    """A helix of ten alanines, or ten nucleotides, near `centre`."""
    structure, model, chain = gemmi.Structure(), gemmi.Model(1), gemmi.Chain("A")
    names = ("N", "CA", "C", "O") if kind == "protein" else ("P", "C1'", "N1")
    for number in range(10):
        residue = gemmi.Residue()
        residue.name, residue.seqid = (
            {"protein": "ALA", "dna": "DA"}[kind],
            gemmi.SeqId(number + 1, " "),
        )
        for place, name in enumerate(names):
            angle, height = np.radians(100 * number + 25 * place), 1.5 * number + 0.4 * place
            atom = gemmi.Atom()
            atom.name, atom.element = name, gemmi.Element(name[0])
            offset = np.array([2.3 * np.cos(angle), 2.3 * np.sin(angle), height - 7.5])
            atom.pos = gemmi.Position(*(np.asarray(centre) + offset))
            residue.add_atom(atom)
        chain.add_residue(residue)
    model.add_chain(chain)
    structure.add_model(model)
    structure.setup_entities()
    structure.assign_label_seq_id()
    return structure.make_mmcif_document().as_string()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A map in an odd frame, models in and out of it, and a checkpoint of random weights."""
    folder = tmp_path_factory.mktemp("inputs")
    data = np.random.default_rng(0).normal(size=(26, 24, 22)).astype(np.float32)
    volume = Volume(data, (1.2, 1.1, 1.3), (4 * 1.2, 11 * 1.1, -7 * 1.3), FRAME)
    write_map(folder / "map.mrc", volume, "noise")
    write_map(folder / "flat.mrc", volume.with_data(np.full(data.shape, 3.0)), "flat")
    middle = volume.to_model_frame(np.array([11.0, 12.0, 13.0]))
    (folder / "protein.cif").write_text(model_of("protein", middle))
    (folder / "far.cif").write_text(model_of("protein", middle + 300))
    (folder / "dna.cif").write_text(model_of("dna", middle))
    encoder = load_encoder(EmbeddingSettings(backend="protein_mpnn", device="cpu"))
    notes = ("trained on simulated maps only",)
    write_checkpoint(folder / "net.safetensors", encoder.fingerprint, notes)
    write_checkpoint(folder / "other.safetensors", "0" * 64)
    whole = (folder / "net.safetensors").read_bytes()
    (folder / "half.safetensors").write_bytes(whole[: len(whole) // 2])
    return folder


def arguments_of(
    folder, output, *options, map_name="map.mrc", checkpoint="net.safetensors", force=True
):
    # By force, as the model and the map of noise have nothing to do with each other.
    return [
        "cryosamu", "enhance", str(folder / map_name), "-o", str(output), "--device", "cpu",
        *["--force"] * force, "--checkpoint", str(folder / checkpoint), *map(str, options),
    ]  # fmt: skip


def in_process(arguments, before=""):
    script = f"{before}\nimport sys; sys.argv = sys.argv[1:]\n"
    script += "from cryosamu.cli.main import main; main()"
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


@pytest.fixture
def enhance(folder, monkeypatch, capsys):
    """The command line as its process runs it; returns exit status and standard error."""
    torch.set_num_threads(1)

    def run(output, *options, **others):
        monkeypatch.setattr(sys, "argv", arguments_of(folder, output, *options, **others))
        with pytest.raises(SystemExit) as caught:
            main()
        return caught.value.code or 0, capsys.readouterr().err

    return run


def refused(outcome, *words):
    status, told = outcome
    assert status == 1
    # Above it may stand what the work was going to take.
    *said, told = told.splitlines()
    assert all("window" in line for line in said)
    assert told.startswith("cryosamu: ")
    for word in words:
        assert word in told


def test_the_enhanced_map_lies_where_the_map_does_and_its_record_beside_it(
    folder, tmp_path, enhance
):
    output = tmp_path / "new" / "enhanced.map.gz"
    status, told = enhance(output, "--model", folder / "protein.cif")
    assert status == 0
    assert "note: trained on simulated maps only" in told
    assert sorted(path.name for path in output.parent.iterdir()) == [
        "enhanced.json",
        "enhanced.map.gz",
        "enhanced_confidence.map.gz",
    ]
    with mrcfile.open(folder / "map.mrc") as given, mrcfile.open(output) as made:
        for word in ("mapc", "mapr", "maps", "nxstart", "nystart", "nzstart", "mx", "my", "mz"):
            assert given.header[word] == made.header[word]
        assert given.header.cella == made.header.cella
        assert given.header.origin == made.header.origin
        old, new = ([str(text) for text in handle.get_labels()] for handle in (given, made))
        assert new[:-1] == old
        assert "CryoSAMU" in new[-1]
        assert "with structure" in new[-1]
        assert given.data.shape == made.data.shape
        assert not np.allclose(given.data, made.data, atol=1e-3)

    record = json.loads((output.parent / "enhanced.json").read_text())
    inputs = record["provenance"]["inputs"]
    for role, name in (
        ("map", "map.mrc"),
        ("model", "protein.cif"),
        ("checkpoint", "net.safetensors"),
    ):
        digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        assert inputs[role] == {"name": name, "sha256": digest}
    assert record["sha256"] == hashlib.sha256(output.read_bytes()).hexdigest()
    assert record["structure_tokens"] == 10
    assert record["notes"][0] == "trained on simulated maps only"
    assert set(record["input"]) == {"fit"}, "the model has nothing to do with the map of noise"
    assert {"prepare", "network", "back", "write"} < set(record["seconds"])


def test_the_models_embedding_is_kept_in_a_store_and_taken_from_it(
    folder, tmp_path, enhance, monkeypatch
):
    options = ("--model", folder / "protein.cif", "--store", tmp_path / "store")
    assert enhance(tmp_path / "a.mrc.gz", *options)[0] == 0
    assert len(list((tmp_path / "store").rglob("*.npz"))) == 1
    monkeypatch.setattr(ProteinMPNN, "encode", None)
    assert enhance(tmp_path / "b.mrc.gz", *options)[0] == 0
    assert (tmp_path / "a.mrc.gz").read_bytes() == (tmp_path / "b.mrc.gz").read_bytes()


def test_another_process_gives_the_same_bytes_and_a_structure_other_ones(folder, tmp_path, enhance):
    assert enhance(tmp_path / "a.mrc.gz")[0] == 0
    assert in_process(arguments_of(folder, tmp_path / "again" / "a.mrc.gz")).returncode == 0
    assert enhance(tmp_path / "c.mrc.gz", "--model", folder / "protein.cif")[0] == 0
    runs = {name: (tmp_path / f"{name}.mrc.gz").read_bytes() for name in ("a", "again/a", "c")}
    assert runs["a"] == runs["again/a"]
    assert runs["a"] != runs["c"]
    records = [json.loads((tmp_path / f"{name}.json").read_text()) for name in ("a", "again/a")]
    for record in records:
        del record["seconds"], record["memory"]["allowed_bytes"]  # as free as it was then
        del record["provenance"]["commit"]  # somebody may commit between the two
    assert records[0] == records[1]


def test_the_low_pass_is_applied_to_the_output(tmp_path, enhance):
    assert enhance(tmp_path / "raw.mrc")[0] == 0
    assert enhance(tmp_path / "smooth.mrc", "--low-pass", 8)[0] == 0
    expected = low_pass(read_map(tmp_path / "raw.mrc"), 8.0).data
    assert np.allclose(read_map(tmp_path / "smooth.mrc").data, expected, atol=1e-5)
    assert json.loads((tmp_path / "smooth.json").read_text())["low_pass"] == 8.0


def test_what_is_out_of_the_ordinary_in_the_input_is_said_and_recorded(tmp_path, enhance):
    status, said = enhance(tmp_path / "a.mrc", "--resolution", 12)
    assert status == 0
    assert "note: the reported resolution of 12 Å lies outside the 4-8 Å" in said
    record = json.loads((tmp_path / "a.json").read_text())
    assert record["input"]["resolution"] == 12
    enhance(tmp_path / "b.mrc")
    assert "resolution" not in json.loads((tmp_path / "b.json").read_text())["input"]


def test_a_symmetric_map_stays_symmetric(folder, tmp_path, enhance):
    noise = read_map(folder / "map.mrc")
    twofold = noise.with_data(noise.data + noise.data[:, ::-1, ::-1])
    write_map(folder / "twofold.mrc", twofold, "C2 about z")
    status, told = enhance(tmp_path / "a.mrc", "--symmetry", "C2", map_name="twofold.mrc")
    assert status == 0, told
    made = read_map(tmp_path / "a.mrc").data
    assert np.allclose(made, made[:, ::-1, ::-1], rtol=0, atol=1e-6 * made.std())
    record = json.loads((tmp_path / "a.json").read_text())["symmetry"]
    assert record["correlation"] > 0.99999
    assert record["correlation_before"] < 0.99999, "the network alone breaks it"
    refused(enhance(tmp_path / "b.mrc", "--symmetry", "C3"), "map.mrc", "the symmetry C3")
    refused(enhance(tmp_path / "b.mrc", "--symmetry", "X"), "map.mrc", "no point group")


def test_the_configuration_sets_the_windows(tmp_path, enhance):
    (tmp_path / "c.yaml").write_text("enhancement: {window: 32, margin: 8}")
    assert enhance(tmp_path / "a.mrc", "--config", tmp_path / "c.yaml")[0] == 0
    assert json.loads((tmp_path / "a.json").read_text())["windows"]["margin"] == 8


def test_what_a_user_can_get_wrong_is_one_sentence_and_leaves_nothing(folder, tmp_path, enhance):
    output, model = tmp_path / "out" / "a.mrc", "--model"
    refused(enhance(output, model, folder / "far.cif", force=False), "far.cif", "fit the model")
    refused(enhance(output, model, folder / "dna.cif"), "dna.cif", "no protein chain")
    refused(enhance(output, model, folder / "map.mrc"), "map.mrc", "mmCIF or PDB")
    refused(enhance(output, model, folder / "none.cif"), "none.cif", "does not exist")
    refused(enhance(output, map_name="flat.mrc"), "flat.mrc", "constant")
    refused(enhance(output, map_name="protein.cif"), "protein.cif", "not an MRC/CCP4 map")
    refused(enhance(output, map_name="none.mrc"), "none.mrc", "does not exist")
    refused(enhance(output, checkpoint="half.safetensors"), "half.safetensors", "cut short")
    refused(enhance(output, checkpoint="map.mrc"), "map.mrc", "not a safetensors file")
    refused(enhance(output, checkpoint="none"), "none", "does not exist")
    refused(
        enhance(output, model, folder / "protein.cif", checkpoint="other.safetensors"),
        "other weights of protein_mpnn",
    )
    refused(enhance(output, "--low-pass", -3), "low-pass")
    refused(enhance(output, "--resolution", 0), "a resolution of 0 Å")
    refused(enhance(output.with_suffix(".txt")), "a.txt", "end the name in .mrc")
    assert not any(path.is_file() for path in tmp_path.rglob("*"))


def test_an_input_is_never_overwritten(folder, tmp_path, enhance):
    before = (folder / "map.mrc").read_bytes()
    refused(enhance(folder / "map.mrc"), "would overwrite")
    (tmp_path / "link.mrc").symlink_to(folder / "map.mrc")
    refused(enhance(tmp_path / "link.mrc"), "would overwrite")
    assert (folder / "map.mrc").read_bytes() == before


def test_a_full_disk_leaves_neither_map_nor_record(folder, tmp_path):
    limit = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))"
    )
    done = in_process(arguments_of(folder, tmp_path / "a.mrc"), limit)
    refused((done.returncode, done.stderr), "a.mrc: could not be written")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_is_told_before_the_work(tmp_path, enhance, monkeypatch):
    monkeypatch.setattr("cryosamu.enhancement.sources.read_map", None)
    (tmp_path / "file").write_text("x")
    refused(enhance(tmp_path / "file" / "a.mrc"), "could not be written")


def test_without_the_packaged_checkpoint_one_must_be_named(tmp_path, monkeypatch):
    from cryosamu.enhancement import released
    from cryosamu.errors import CheckpointError

    monkeypatch.setattr(released, "files", lambda package: tmp_path)
    with pytest.raises(CheckpointError, match="name one with --checkpoint"):
        released.released_checkpoint()
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "released.safetensors").write_bytes(b"x")
    assert released.released_checkpoint() == tmp_path / "weights" / "released.safetensors"


def test_the_checkpoint_of_these_tests_is_the_network_of_these_tests(folder):
    """What the command runs is what `random_network` is: else the tests above prove little."""
    from cryosamu.network.checkpoint import load_checkpoint

    loaded, _ = load_checkpoint(folder / "net.safetensors")
    density = torch.rand(1, 1, 8, 8, 8)
    with torch.inference_mode():
        assert torch.equal(loaded(density), random_network()(density))


def test_the_packaged_checkpoint_is_found_where_it_is_installed():
    import cryosamu.enhancement

    expected = Path(cryosamu.enhancement.__file__).parent / "weights" / "released.safetensors"
    if not expected.is_file():
        pytest.skip("this tree has no packaged checkpoint")
    from cryosamu.enhancement.released import released_checkpoint
    from cryosamu.network.checkpoint import read_header

    assert released_checkpoint() == expected
    assert read_header(expected).notes
