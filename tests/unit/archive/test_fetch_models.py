"""`cryosamu fetch models`: many in one go, whatever becomes of single ones."""

from __future__ import annotations

import gzip
import json
import signal
import time

import pytest
from hostile_server import give, page, status
from tiny_archive import incompressible

from cryosamu.archive import bulk
from cryosamu.archive.client import RefusalError
from cryosamu.archive.fetch import wanted_model
from cryosamu.archive.record import FetchRecord, read_fetches, write_fetches
from cryosamu.errors import ArchiveError, CryosamuError

NAMES = [f"{number}ABC" for number in range(1, 9)]
DATA = {
    name: gzip.compress(incompressible(30_000, seed=number), mtime=0)
    for number, name in enumerate(NAMES)
}


def path_of(name):
    return f"files.rcsb.org/download/{name}.cif.gz"


@pytest.fixture
def archive_of_models(hostile):
    for name, data in DATA.items():
        hostile.behaviours[path_of(name)] = [give(data)]
    return hostile


@pytest.fixture
def fetch_all(archive_of_models, client_for, tmp_path):
    def run(*names, **changes):
        client = client_for(archive_of_models.url, **changes)
        wanted = [wanted_model(name, client.settings, tmp_path / "store") for name in names]
        return bulk.fetch_all(client, wanted)

    return run


@pytest.fixture
def fetch_models(archive_of_models, start, config_file, tmp_path):
    """Return a function that starts the command on a list of all names, in disorder."""

    def run(*more):
        lines = [json.dumps({"pdb_id": name}) for name in [*reversed(NAMES), " 1abc "]]
        (tmp_path / "list.jsonl").write_text("\n".join(lines))
        options = ("--config", config_file(archive_of_models.url), "-o", "fetches.parquet", *more)
        return start("fetch", "models", "list.jsonl", *options)

    return run


def finish(process):
    _, err = process.communicate(timeout=60)
    return process.returncode, err


def test_a_bad_one_lands_in_the_table_and_is_asked_for_again(
    fetch_models, archive_of_models, tmp_path
):
    archive_of_models.behaviours[path_of("3ABC")] = [status(404)]
    archive_of_models.behaviours[path_of("6ABC")] = [page("<p>Not today</p>")]
    code, err = finish(fetch_models())
    assert code == 0
    assert "fetches.parquet: 6 fetched, 0 already in the store, 2 failed\n" in err
    records = read_fetches(tmp_path / "fetches.parquet")
    assert [one.id for one in records] == NAMES
    failed = {one.id: one.error for one in records if one.status == "failed"}
    assert failed["3ABC"] == f"https://{path_of('3ABC')}: answers 404 (Not Found)."
    assert "6ABC.cif.gz: is not a sound gzip file" in failed["6ABC"]
    for one in records:
        if one.status == "ok":
            assert (tmp_path / one.path).read_bytes() == DATA[one.id]
    before = (tmp_path / "fetches.parquet").read_bytes()
    assert finish(fetch_models())[0] == 0
    assert (tmp_path / "fetches.parquet").read_bytes() == before

    archive_of_models.requests.clear()
    for name in ("3ABC", "6ABC"):
        archive_of_models.behaviours[path_of(name)] = [give(DATA[name])]
    code, err = finish(fetch_models())
    assert "2 fetched, 6 already in the store, 0 failed" in err
    assert sorted(path for path, _ in archive_of_models.requests) == [
        path_of("3ABC"), path_of("6ABC")
    ]  # fmt: skip


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_what_was_finished_before_an_interruption_stays(
    fetch_models, archive_of_models, tmp_path, how
):
    archive_of_models.behaviours[path_of("4ABC")] = [
        give(DATA["4ABC"], piece=500, delay=0.5),
        give(DATA["4ABC"]),
    ]
    process = fetch_models()
    deadline = time.monotonic() + 30
    while not archive_of_models.asked(path_of("4ABC")) and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.2)
    process.send_signal(how)
    code, err = finish(process)
    assert code == (130 if how == signal.SIGINT else -signal.SIGKILL)
    assert err.count("Traceback") == 0
    assert ("interrupted; finished work is kept." in err) == (how == signal.SIGINT)
    assert not (tmp_path / "fetches.parquet").exists()

    archive_of_models.requests.clear()
    code, err = finish(fetch_models())
    assert "4 fetched, 4 already in the store, 0 failed" in err
    asked = [path for path, _ in archive_of_models.requests]
    assert sorted(asked) == [path_of(name) for name in NAMES[:4]]
    assert "Range" in archive_of_models.asked(path_of("4ABC"))[0]


def test_an_outage_is_an_error_and_no_table(fetch_models, archive_of_models, tmp_path):
    for path in [path_of(name) for name in NAMES[:5]] + ["files.rcsb.org/"]:
        archive_of_models.behaviours[path] = [status(502)]
    code, err = finish(fetch_models())
    assert code == 1
    assert err.count("failed") == 2
    assert "502 (Bad Gateway) after 2 tries; run again later" in err.splitlines()[-1]
    assert not (tmp_path / "fetches.parquet").exists()
    assert len(list((tmp_path / "store" / "archive" / "models").glob("*/*"))) == 3


def test_a_list_that_is_none_is_named_with_its_line(start, tmp_path):
    (tmp_path / "list.jsonl").write_text('{"pdb_id": "1ABC"}\n{"pdb_id": "../x"}\n')
    code, err = finish(start("fetch", "models", "list.jsonl", "-o", "f.parquet"))
    assert (code, err) == (
        1, "cryosamu: list.jsonl line 2: '../x' is not a PDB id; write it like 5NI1.\n"
    )  # fmt: skip


def test_maps_are_fetched_by_the_same_means(start, archive_of_models, config_file, tmp_path):
    path = "{}/pub/databases/emdb/structures/EMD-{}/map/emd_{}.map.gz"
    data = DATA["1ABC"]
    archive_of_models.behaviours[path.format("ftp.ebi.ac.uk", "0093", "0093")] = [give(data)]
    lines = [{"emdb_id": "EMD-3488", "resolution": 4}, {"emdb_id": "EMD-0093", "resolution": 5}]
    (tmp_path / "list.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    options = ("--config", config_file(archive_of_models.url), "-o", "f.parquet")
    code, err = finish(start("fetch", "maps", "list.jsonl", *options))
    assert code == 0
    assert "f.parquet: 1 fetched, 0 already in the store, 1 failed\n" in err
    held, lost = read_fetches(tmp_path / "f.parquet")
    assert (held.id, held.kind, held.path) == (
        "EMD-0093", "map", "store/archive/maps/93/emd_0093.map.gz"
    )  # fmt: skip
    assert (tmp_path / held.path).read_bytes() == data
    assert (lost.id, lost.status) == ("EMD-3488", "failed")
    assert "404 (Not Found)" in lost.error


def test_an_empty_list_gives_an_empty_table(start, tmp_path):
    (tmp_path / "list.jsonl").write_text("")
    code, err = finish(start("fetch", "models", "list.jsonl", "-o", "f.parquet"))
    assert (code, err) == (0, "f.parquet: 0 fetched, 0 already in the store, 0 failed\n")
    assert read_fetches(tmp_path / "f.parquet") == []


def test_two_silent_ones_between_others_are_failures(fetch_all, archive_of_models):
    for name in ("2ABC", "3ABC"):
        archive_of_models.behaviours[path_of(name)] = [status(429)]
    outcome = fetch_all(*NAMES[:4])
    assert [one.status for one in outcome.records] == ["ok", "failed", "failed", "ok"]
    assert "answers 429" in outcome.failed[0].error


def test_three_silent_ones_in_a_row_are_an_outage(fetch_all, archive_of_models):
    for name in ("2ABC", "3ABC", "4ABC"):
        archive_of_models.behaviours[path_of(name)] = [status(429)]
    with pytest.raises(ArchiveError, match=r"4ABC.*429") as caught:
        fetch_all(*NAMES)
    assert not isinstance(caught.value, RefusalError)
    assert archive_of_models.asked(path_of("5ABC")) == []


def test_an_outage_from_the_start_is_one_however_short_the_list(fetch_all, archive_of_models):
    assert fetch_all("1ABC").downloaded == 1
    archive_of_models.behaviours[path_of("2ABC")] = [status(503)]
    with pytest.raises(ArchiveError, match="503"):
        fetch_all("1ABC", "2ABC")


def test_silent_ones_are_forgiven_where_others_answer(fetch_all, archive_of_models):
    for name in ("1ABC", "3ABC", "5ABC"):
        archive_of_models.behaviours[path_of(name)] = [status(503)]
    outcome = fetch_all(*NAMES[:6])
    assert [one.id for one in outcome.failed] == ["1ABC", "3ABC", "5ABC"]


def test_one_connection_serves_them_all(fetch_all, archive_of_models):
    fetch_all(*NAMES)
    assert len(archive_of_models.connections) == 1


def test_tables_of_fetches_are_checked(tmp_path):
    ok = FetchRecord(
        id="2ABC", kind="model", status="ok", path="p", bytes=2**40, sha256="0", url="u", error=None
    )
    failed = ok.model_copy(
        update={"id": "1ABC", "status": "failed", "path": None, "bytes": None, "sha256": None}
    )
    write_fetches(tmp_path / "f.parquet", [ok, failed])
    assert read_fetches(tmp_path / "f.parquet") == [failed, ok]
    write_fetches(tmp_path / "f.parquet", [ok.model_copy(update={"status": "maybe"})])
    with pytest.raises(ArchiveError, match=r"'status'.*fetch again"):
        read_fetches(tmp_path / "f.parquet")
    (tmp_path / "f.parquet").write_text("no table")
    with pytest.raises(CryosamuError, match="not a Parquet table"):
        read_fetches(tmp_path / "f.parquet")
