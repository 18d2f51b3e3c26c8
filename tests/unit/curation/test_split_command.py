"""`cryosamu split` and its ledger, as the workflow runs them month after month."""

import multiprocessing

import pytest
import typer.testing
from test_split import alone, clusters_of, pairs_of

from cryosamu.cli import split
from cryosamu.cli.options import application
from cryosamu.config import SplitSettings
from cryosamu.curation.ledger import ledger_path, opened
from cryosamu.errors import CryosamuError
from cryosamu.tables import CLUSTERS, LEDGER, PAIRS, SPLIT, read_table, write_table


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(entries, settings="split: {}", clusters=None):
    write_table("pairs.parquet", pairs_of(entries), PAIRS)
    options = ["pairs.parquet", "-o", "split.parquet", "--config", "c.yaml"]
    if clusters is not None:
        write_table("clusters.parquet", clusters_of(clusters), CLUSTERS)
        options += ["--clusters", "clusters.parquet"]
    with open("c.yaml", "w") as file:
        file.write(settings)
    root = application()
    split.register(root)
    result = typer.testing.CliRunner().invoke(root, options)
    if isinstance(result.exception, CryosamuError):
        raise result.exception
    assert result.exit_code == 0, result.output
    frame = read_table("split.parquet", SPLIT)
    return dict(zip(frame["emdb_id"], frame["split"], strict=True)), result.stderr


def ledgers(folder):
    return sorted((folder / "store" / "split").glob("*.parquet"))


def test_an_entry_that_leaves_and_comes_back_finds_its_split(folder):
    first, _ = run(alone(40))
    fewer = {key: key for key in list(first)[:25]}
    run(fewer)
    more, told = run(alone(90))
    assert {key: more[key] for key in first} == first
    assert "4.5–5.5 Å" in told
    (ledger,) = ledgers(folder)
    assert len(read_table(ledger, LEDGER)) == 90


def test_the_same_pairs_and_ledger_give_the_same_bytes(folder):
    run(alone(30))
    (ledger,) = ledgers(folder)
    before = ledger.read_bytes(), (folder / "split.parquet").read_bytes()
    (folder / "split.parquet").unlink()
    run(alone(30))
    assert (ledger.read_bytes(), (folder / "split.parquet").read_bytes()) == before


def test_another_seed_or_other_shares_have_another_ledger(folder):
    for settings in ("{seed: 1}", "{seed: 2}", "{seed: 2, train: 0.7, test: 0.15}"):
        run(alone(30), f"split: {settings}")
    assert len(ledgers(folder)) == 3
    run(alone(30), "split: {seed: 1, strata: [], pinned: {EMD-1: test}}")
    assert len(ledgers(folder)) == 3


def test_a_run_killed_after_the_ledger_finds_its_choice_again(folder, monkeypatch):
    def dies_on_the_output(path, frame, schema):
        if schema is SPLIT:
            raise CryosamuError("the disk is full")
        write_table(path, frame, schema)

    with monkeypatch.context() as patch:
        patch.setattr("cryosamu.tables.write_table", dies_on_the_output)
        with pytest.raises(CryosamuError, match="disk is full"):
            run(alone(30))
    (ledger,) = ledgers(folder)
    kept = read_table(ledger, LEDGER).set_index("emdb_id")["split"].to_dict()
    assert run(alone(50))[0].items() >= kept.items()


def test_a_split_that_fails_leaves_the_ledger_as_it_was(folder):
    run(alone(10))
    (ledger,) = ledgers(folder)
    before = ledger.read_bytes()
    with pytest.raises(CryosamuError, match="pin them to the same split"):
        run({"EMD-50": "EMD-50", "EMD-51": "EMD-50"},
            "split: {pinned: {EMD-50: train, EMD-51: test}}")  # fmt: skip
    assert ledger.read_bytes() == before


def test_a_bridge_is_warned_of_once(folder):
    run({"EMD-1": "EMD-1", "EMD-2": "EMD-2"}, "split: {pinned: {EMD-1: test, EMD-2: train}}")
    joined = {"EMD-1": "EMD-1", "EMD-2": "EMD-1", "EMD-3": "EMD-1"}
    after, told = run({"EMD-1": "EMD-1"}, clusters=joined)
    assert after == {"EMD-1": "train"}
    assert "warning: EMD-1 (test), EMD-2 (train) are connected now by EMD-3" in told
    assert "connected now" not in run({"EMD-1": "EMD-1"}, clusters=joined)[1]


def test_a_damaged_ledger_is_named_and_not_overwritten(folder):
    run(alone(10))
    (ledger,) = ledgers(folder)
    ledger.write_bytes(b"PAR1")
    with pytest.raises(CryosamuError, match=ledger.name):
        run(alone(10))
    assert ledger.read_bytes() == b"PAR1"
    write_table(ledger, read_table("split.parquet", SPLIT)[["emdb_id", "cluster", "split"]]
                .assign(split="trian"), LEDGER)  # fmt: skip
    with pytest.raises(CryosamuError, match="unknown split, trian"):
        run(alone(10))


def _add(path, number):
    with opened(path) as entries:
        entries[f"EMD-{number}"] = (f"EMD-{number}", "train")


def test_two_processes_take_turns(folder):
    path = ledger_path(folder, SplitSettings())
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_add, args=(path, number)) for number in range(12)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    with opened(path) as entries:
        assert len(entries) == 12
