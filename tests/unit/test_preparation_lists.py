"""`cryosamu prepare --work`: the pairs of a shard."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import gemmi
import numpy as np
import pytest
import typer.testing

from cryosamu.cli import prepare as command
from cryosamu.cli.options import application
from cryosamu.config import PreparationSettings
from cryosamu.errors import CryosamuError
from cryosamu.pairs import read_pairs, write_pairs
from cryosamu.preparation import prepare_pair
from cryosamu.tables import PREPARED, read_table
from cryosamu.volume.io import write_map
from cryosamu.volume.volume import Volume

NAMES = ("EMD-1001", "EMD-1002", "EMD-1103")


@pytest.fixture
def folder(tmp_path, pair_of):
    """Maps of noise round one chain, and the list of the pairs."""
    structure = gemmi.Structure()
    model, chain = gemmi.Model(1), gemmi.Chain("A")
    for number in range(12):
        residue = gemmi.Residue()
        residue.name, residue.seqid = "ALA", gemmi.SeqId(number + 1, " ")
        atom = gemmi.Atom()
        atom.name, atom.element = "CA", gemmi.Element("C")
        atom.pos = gemmi.Position(9, 10, 4 + 1.5 * number)
        residue.add_atom(atom)
        chain.add_residue(residue)
    model.add_chain(chain)
    structure.add_model(model)
    structure.make_mmcif_document().write_file(str(tmp_path / "model.cif"))
    pairs = []
    for seed, name in enumerate(NAMES):
        data = np.random.default_rng(seed).normal(size=(20, 16, 18)).astype(np.float32)
        write_map(tmp_path / f"{name}.mrc", Volume(data, (1.25, 1.25, 1.25)), "noise")
        path, model_path = tmp_path / f"{name}.mrc", tmp_path / "model.cif"
        pairs.append(pair_of(path, model_path, emdb_id=name, resolution=5.0 + seed))
    write_pairs(tmp_path, pairs, 1)
    return tmp_path


def run(folder, *options):
    root = application()
    command.register(root)
    arguments = ["--work", folder / "0.jsonl", "-o", folder / "out", *options]
    result = typer.testing.CliRunner().invoke(root, [str(word) for word in arguments])
    if isinstance(result.exception, CryosamuError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stderr.splitlines()[-1]


def contents(folder):
    return {path.name: path.read_bytes() for path in (folder / "out").rglob("EMD-*")}


def test_a_list_gives_what_single_calls_give_and_their_checksums(folder):
    assert run(folder, "--table", folder / "t.parquet") == "3 prepared, 0 kept"
    rows = read_table(folder / "t.parquet", PREPARED)
    assert list(rows["emdb_id"]) == list(NAMES)
    for name, row in zip(NAMES, rows.itertuples(), strict=True):
        alone = folder / f"{name}.npy"
        settings = PreparationSettings()
        prepare_pair(folder / f"{name}.mrc", folder / "model.cif", row.resolution, settings, alone)
        assert Path(row.path) == folder / "out" / name[-2:] / f"{name}.npy"
        assert Path(row.path).read_bytes() == alone.read_bytes()
        assert row.sha256 == hashlib.sha256(alone.read_bytes()).hexdigest()
    made, table = contents(folder), (folder / "t.parquet").read_bytes()
    shutil.rmtree(folder / "out")
    assert run(folder, "--workers", 2, "--table", folder / "u.parquet") == "3 prepared, 0 kept"
    assert contents(folder) == made
    assert (folder / "u.parquet").read_bytes() == table


def test_only_what_changed_is_prepared_again(folder, pair_of):
    run(folder)
    assert run(folder) == "0 prepared, 3 kept"
    pairs = read_pairs(folder / "0.jsonl")
    write_pairs(folder, [pairs[0], pair_of(pairs[1].map, pairs[1].model, emdb_id=NAMES[1])], 1)
    assert run(folder) == "1 prepared, 1 kept"  # at 5 Å where it was 6 Å
    (folder / "config.yaml").write_text("preparation: {percentile: 99.0}")
    assert run(folder, "--config", folder / "config.yaml") == "2 prepared, 0 kept"


def test_a_pair_that_fails_is_named_and_the_others_are_kept(folder):
    (folder / f"{NAMES[0]}.mrc").write_bytes(b"another file")
    table = folder / "t.parquet"
    with pytest.raises(CryosamuError, match=r"EMD-1001 could not be prepared: .*SHA-256 is anoth"):
        run(folder, "--table", table)
    assert not table.exists()
    assert {name[:8] for name in contents(folder)} == {"EMD-1002", "EMD-1103"}


def test_an_empty_list_gives_an_empty_table(folder):
    write_pairs(folder, [], 1)
    assert run(folder, "--table", folder / "t.parquet") == "0 prepared, 0 kept"
    assert read_table(folder / "t.parquet", PREPARED).empty


def test_a_list_and_a_map_are_not_given_together(folder):
    with pytest.raises(CryosamuError, match="leave out MAP"):
        run(folder, "map.mrc")
