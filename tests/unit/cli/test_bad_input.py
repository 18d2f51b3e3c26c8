"""Whatever a user can get wrong ends in one sentence, a non-zero exit and no file left behind."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import gemmi
import numpy as np
import pytest

from cryosamu.cli.main import main
from cryosamu.config import EmbeddingSettings, NetworkSettings, PreparationSettings
from cryosamu.embedding.encoder import load_encoder
from cryosamu.network import build_network
from cryosamu.network.checkpoint import CheckpointHeader, TrainingSummary, save_checkpoint
from cryosamu.volume.io import write_map
from cryosamu.volume.volume import Volume

HEADER_WORD = {"cell_x": 10, "gamma": 15}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with good and bad maps and models, in which the command runs."""
    voxels = np.random.default_rng(0).normal(size=(24, 24, 24)).astype(np.float32)
    write_map(tmp_path / "good.mrc", Volume(voxels, (1.0, 1.0, 1.0)), "test")
    good = (tmp_path / "good.mrc").read_bytes()
    bad_words = {"zero_voxel.mrc": ("cell_x", 0.0), "oblique.mrc": ("gamma", 120.0)}
    for name, (word, value) in bad_words.items():
        place = 4 * HEADER_WORD[word]
        (tmp_path / name).write_bytes(good[:place] + struct.pack("<f", value) + good[place + 4 :])
    for name, value in {"nan.mrc": np.nan, "inf.mrc": np.inf}.items():
        (tmp_path / name).write_bytes(good[:2000] + struct.pack("<f", value) + good[2004:])
    (tmp_path / "constant.mrc").write_bytes(good[:1024] + bytes(len(good) - 1024))
    (tmp_path / "cut.mrc").write_bytes(good[:9000])
    (tmp_path / "text.mrc").write_text("no map " * 300)
    write_model(tmp_path / "ok.cif", ["ALA"] * 35)
    write_model(tmp_path / "far.cif", ["ALA"] * 35, shift=900)
    write_model(tmp_path / "rna.cif", list("AUGC") * 5)
    write_checkpoint(tmp_path / "net.safetensors")
    whole = (tmp_path / "net.safetensors").read_bytes()
    (tmp_path / "half.safetensors").write_bytes(whole[: len(whole) // 2])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_model(path: Path, residues: list[str], shift: float = 0.0) -> None:
    protein = len(residues[0]) == 3
    atoms = ["N", "CA", "C", "O"] if protein else ["P", "C4'", "O3'"]
    chain = gemmi.Chain("A")
    for row, name in enumerate(residues):
        residue = gemmi.Residue()
        residue.name = name
        residue.seqid = gemmi.SeqId(row + 1, " ")
        for place, atom_name in enumerate(atoms):
            atom = gemmi.Atom()
            atom.name = atom_name
            atom.element = gemmi.Element(atom_name[0])
            atom.pos = gemmi.Position(3 + 0.5 * row + shift, 8 + place, 5 + 0.4 * row)
            residue.add_atom(atom)
        chain.add_residue(residue)
    structure = gemmi.Structure()
    structure.add_model(gemmi.Model(1))
    structure[0].add_chain(chain)
    structure.setup_entities()
    structure.make_mmcif_document().write_file(str(path))


def write_checkpoint(path: Path) -> None:
    embedding = EmbeddingSettings(backend="protein_mpnn", device="cpu")
    settings = NetworkSettings(name="compact", base_channels=4, multipliers=(1, 2))
    header = CheckpointHeader(
        network=settings,
        embedding=embedding,
        embedding_width=128,
        weights_fingerprint=load_encoder(embedding).fingerprint,
        preparation=PreparationSettings(),
        training=TrainingSummary(steps=1, best_step=1, data_digest="0" * 64),
        provenance={},
    )
    save_checkpoint(path, build_network(settings, 128), header)


def run(arguments: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr("sys.argv", ["cryosamu", *arguments.split()])
    with pytest.raises(SystemExit) as ended:
        main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


COMMANDS: dict[str, Callable[[str, str], str]] = {
    "enhance": lambda volume, model: (
        # Forced: no model fits noise, and what else is wrong is asked for here.
        f"enhance {volume} --model {model} --force --checkpoint net.safetensors -o out.mrc"
    ),
    "evaluate": lambda volume, model: (
        f"evaluate {volume} {model} --resolution 5 --json out.json --table out.parquet"
    ),
    "prepare": lambda volume, model: f"prepare {volume} {model} --resolution 5 -o out.npy",
}
BAD_MAPS = {
    "missing.mrc": "does not exist",
    "text.mrc": "is not an MRC/CCP4 map",
    "cut.mrc": "is cut short",
    "nan.mrc": "NaN or infinite",
    "inf.mrc": "NaN or infinite",
    "constant.mrc": "constant",
    "zero_voxel.mrc": "voxel size is zero",
    "oblique.mrc": "only orthogonal cells",
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", BAD_MAPS)
def test_a_bad_map_is_refused_by_every_command_that_reads_maps(
    command: str,
    name: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert_one_sentence(COMMANDS[command](name, "ok.cif"), name, BAD_MAPS[name], folder,
                        monkeypatch, capsys)  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "named", "expected"),
    [
        (
            COMMANDS["enhance"]("good.mrc", "far.cif").replace(" --force", ""),
            *("far.cif", "its atoms lie inside good.mrc"),
        ),
        (
            COMMANDS["enhance"]("good.mrc", "ok.cif").replace(" --force", ""),
            *("ok.cif", "does not fit good.mrc"),
        ),
        (COMMANDS["prepare"]("good.mrc", "far.cif"), "far.cif", "inside the map"),
        (COMMANDS["evaluate"]("good.mrc", "far.cif"), "far.cif", "outside the map"),
        (COMMANDS["enhance"]("good.mrc", "rna.cif"), "rna.cif", "no protein chain"),
        ("embed rna.cif --backend protein_mpnn -o out.npz", "rna.cif", "no protein chain"),
        (COMMANDS["evaluate"]("good.mrc", "text.mrc"), "text.mrc", "coordinate file"),
        ("enhance good.mrc --checkpoint half.safetensors -o out.mrc", "half.safetensors", "cut"),
        ("split good.mrc -o out.parquet", "good.mrc", "Parquet"),
    ],
)
def test_other_bad_files_are_named_too(
    arguments: str,
    named: str,
    expected: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert_one_sentence(arguments, named, expected, folder, monkeypatch, capsys)


def assert_one_sentence(
    arguments: str,
    named: str,
    expected: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = sorted(folder.iterdir())
    assert run(arguments, monkeypatch) != 0
    message = capsys.readouterr().err.strip()
    assert "\n" not in message
    assert message.startswith("cryosamu: ")
    assert named in message
    assert expected in message
    assert sorted(folder.iterdir()) == before


def test_good_input_passes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: the same files and commands work where nothing is wrong."""
    assert run(COMMANDS["enhance"]("good.mrc", "ok.cif"), monkeypatch) == 0
    assert (folder / "out.mrc").is_file()
