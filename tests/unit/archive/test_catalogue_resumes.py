"""A query of thousands of answers: interrupted, shared, repeated, and never asked twice."""

from __future__ import annotations

import signal
import sqlite3
import time
import tracemalloc
from collections import Counter

import pytest
from tiny_archive import ENTRIES

from cryosamu.archive import listing
from cryosamu.archive.answers import Answer, shape_of
from cryosamu.archive.snapshot import Snapshot
from cryosamu.archive.urls import SEARCH_FIELDS, search_url
from cryosamu.errors import ArchiveError
from cryosamu.tables import CATALOGUE, read_table

ENTRIES_IN_ALL = 40


@pytest.fixture
def forty(archive):
    for number in range(1, ENTRIES_IN_ALL + 1):
        archive.add_entry(f"EMD-{number:04d}", pdb=[f"{number % 10}abc"])
    for number in range(10):
        archive.add_description(f"{number}ABC", ("Protein", 12, 1))


@pytest.fixture
def configure(tmp_path, served):
    def write(seconds, snapshot="one"):
        path = tmp_path / f"{snapshot}.yaml"
        path.write_text(
            f"archive: {{mirror_root: '{served.url}', seconds_between_requests: {seconds}}}\n"
            f"catalogue: {{snapshot: {snapshot}}}\n"
        )
        return str(path)

    return write


def until(condition, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_killed_query_goes_on_where_it_stopped(forty, served, start, configure, tmp_path):
    arguments = ("catalogue", "--config", configure(0.02), "-o", "catalogue.parquet")
    process = start(*arguments)
    until(lambda: len(served.asked) >= 20)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = Counter(served.asked)
    assert sum(before.values()) < ENTRIES_IN_ALL
    process = start(*arguments)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    twice = [path for path, count in Counter(served.asked).items() if count > 1]
    assert len(twice) <= 1  # the one that was on its way when the process was killed
    assert {f"{ENTRIES}/EMD-{n:04d}" for n in range(1, ENTRIES_IN_ALL + 1)} <= set(served.asked)
    table = (tmp_path / "catalogue.parquet").read_bytes()
    assert not read_table(tmp_path / "catalogue.parquet", CATALOGUE).contour_level.isna().any()
    served.asked.clear()
    assert start(*arguments).wait(60) == 0
    assert served.asked == []
    assert (tmp_path / "catalogue.parquet").read_bytes() == table
    another = configure(0, "two")
    assert start("catalogue", "--config", another, "-o", "two.parquet").wait(60) == 0
    assert len(served.asked) > ENTRIES_IN_ALL
    assert (tmp_path / "two.parquet").read_bytes() == table


def test_two_processes_share_answers_and_the_rate_limit(forty, served, start, configure, tmp_path):
    config = configure(0.05)
    processes = [
        start("catalogue", "--config", config, "-o", f"{name}.parquet") for name in ("a", "b")
    ]
    for process in processes:
        _, err = process.communicate(timeout=90)
        assert process.returncode == 0, err
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    # All hosts are one behind the mirror root.
    count, span = len(served.moments), served.moments[-1] - served.moments[0]
    assert count > ENTRIES_IN_ALL
    assert span >= (count - 1) * 0.05 - 0.05


def test_answers_are_kept_or_not_as_a_whole(tmp_path):
    snapshot = Snapshot(tmp_path / "a.sqlite")
    snapshot.put({"one": "1", "two": "2"})
    with pytest.raises(ArchiveError, match=r"a\.sqlite: the kept answers cannot be used"):
        snapshot.put({"three": "3", "four": None})
    assert dict(snapshot.get_many(["one", "two", "three", "four"])) == {"one": "1", "two": "2"}
    assert Snapshot(tmp_path / "a.sqlite").get("two") == "2"
    snapshot.put({"two": "22"})
    snapshot.forget(["one", "never"])
    assert dict(snapshot.get_many(["one", "two"])) == {"two": "22"}


def test_thousands_of_questions_are_looked_up(tmp_path):
    snapshot = Snapshot(tmp_path / "a.sqlite")
    answers = {f"question {number}": str(number) for number in range(3000)}
    snapshot.put(answers)
    assert dict(snapshot.get_many([*answers, "none"])) == answers


def test_a_damaged_file_is_one_sentence(tmp_path):
    path = tmp_path / "a.sqlite"
    path.write_bytes(b"no database, and longer than a header of one hundred bytes " * 4)
    with pytest.raises(ArchiveError, match="delete the file to ask the archives again"):
        Snapshot(path)


def test_a_writer_that_dies_in_a_transaction_leaves_what_was_there(tmp_path):
    snapshot = Snapshot(tmp_path / "a.sqlite")
    snapshot.put({"one": "1"})
    dying = sqlite3.connect(snapshot.path)
    dying.execute("INSERT INTO answers VALUES ('two', '2')")
    dying.close()
    assert dict(snapshot.get_many(["one", "two"])) == {"one": "1"}


def test_a_question_changes_with_what_is_read_of_its_answer():
    class Small(Answer):
        one: int

    class Larger(Answer):
        one: int
        two: int

    assert shape_of(Small) != shape_of(Larger)


def test_a_listing_of_40_000_maps_fits_into_little_memory(tmp_path, client_for):
    client = client_for("http://127.0.0.1:9", retries=0)
    snapshot = Snapshot(tmp_path / "a.sqlite")
    for page in range(1, 42):
        numbers = range(page * 1000, (page + 1) * 1000 if page < 41 else 41000)
        lines = [
            f"EMD-{n},A title of some forty letters for map {n},REL,singleParticle,5.2,"
            f'"{n % 10}abc,{n % 7}xyz",FSC 0.143 CUT-OFF,2020-03-04T00:00:00Z,'
            f'2021-05-06T00:00:00Z,,1.35,"emd_{n}_half_map_1.map.gz,emd_{n}_half_map_2.map.gz"'
            for n in numbers
        ]
        url = search_url(client.settings, "query", 1000, page, SEARCH_FIELDS)
        snapshot.put({url: "\n".join([",".join(SEARCH_FIELDS), *lines, ""])})
    tracemalloc.start()
    rows = listing.read_listing(client, snapshot, "query")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(rows) == 40_000
    assert rows[-1].half_map_files[1] == "emd_40999_half_map_2.map.gz"
    assert peak < 64 * 2**20
