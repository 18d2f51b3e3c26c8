"""The work lists of a split: who is where, with which files."""

import hashlib

import pandas as pd
import pytest
import typer.testing
from small_data_set import PAIRS_KEPT, build
from tiny_pairs import failed_record

from cryosamu.archive.record import read_fetches, write_fetches
from cryosamu.cli import deal
from cryosamu.cli.options import application
from cryosamu.errors import CryosamuError
from cryosamu.pairs import read_pairs
from cryosamu.tables import REPAIRED, SPLIT, read_table, write_table


@pytest.fixture
def folder(tmp_path, monkeypatch):
    build(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*options):
    root = application()
    deal.register(root)
    arguments = ["split.parquet", "--fetches", "maps", "--fetches", "models", "-o", "work"]
    result = typer.testing.CliRunner().invoke(root, [*arguments, *options])
    if isinstance(result.exception, CryosamuError):
        raise result.exception
    assert result.exit_code == 0, result.output


def listed(folder, part):
    lists = sorted((folder / "work" / part).iterdir())
    return {pair.emdb_id: pair for path in lists for pair in read_pairs(path)}


def change(emdb_id, **values):
    table = read_table("split.parquet", SPLIT)
    for name, value in values.items():
        table.loc[table["emdb_id"] == emdb_id, name] = value
    write_table("split.parquet", table, SPLIT)


def test_each_pair_is_in_one_list_of_its_part_with_its_files(folder):
    first, second = PAIRS_KEPT
    change(first, split="validation")
    change(second, split="test", contour_level=0.25)
    (folder / "shards.yaml").write_text("shards: {pairs: 3}")
    run("--config", "shards.yaml")
    assert len(list((folder / "work/training").iterdir())) == 3
    assert listed(folder, "training").keys() == {first}
    pair = listed(folder, "test")[second]
    assert (pair.pdb_id, pair.resolution, pair.contour_level) == ("9BBB", 6.6, 0.25)
    assert pair.arrived_map().read_bytes() == b"the map of EMD-1202"
    assert pair.arrived_model() == pair.arrived_deposited_model()
    assert pair.model_sha256 == hashlib.sha256(b"the model of 9BBB").hexdigest()
    before = {path: path.read_bytes() for path in (folder / "work").rglob("*.jsonl")}
    rows = read_table("split.parquet", SPLIT)
    write_table("split.parquet", pd.DataFrame(rows[::-1]), SPLIT)
    run("--config", "shards.yaml")
    assert {path: path.read_bytes() for path in (folder / "work").rglob("*.jsonl")} == before


def test_a_moved_model_is_told_from_the_deposited_one(folder):
    change(PAIRS_KEPT[0], repaired=True)
    with pytest.raises(CryosamuError, match="EMD-0201: its model is to be moved and is"):
        run()
    (folder / "moved.cif.gz").write_bytes(b"moved")
    row = ["EMD-0201", "9AAA", "moved.cif.gz", hashlib.sha256(b"moved").hexdigest()]
    write_table("moved.parquet", pd.DataFrame([row], columns=REPAIRED.names), REPAIRED)
    run("--repaired", "moved.parquet")
    pairs = listed(folder, "training") | listed(folder, "test")
    pair = pairs["EMD-0201"]
    assert pair.repaired
    assert pair.arrived_model().read_bytes() == b"moved"
    assert pair.arrived_deposited_model().read_bytes() == b"the model of 9AAA"


def test_a_pair_without_its_files_is_refused(folder):
    path = folder / "models/0.parquet"
    others = [one for one in read_fetches(path) if one.id != "9BBB"]
    write_fetches(path, [*others, failed_record("9BBB", "model", "404")])
    with pytest.raises(CryosamuError, match="model 9BBB could not be fetched: 404"):
        run()
    change(PAIRS_KEPT[1], pdb_id="9XYZ")
    with pytest.raises(CryosamuError, match="model 9XYZ was not fetched"):
        run()
