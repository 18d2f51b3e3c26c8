"""What the store holds: vouched for by receipts, refreshed when told; and half maps."""

from __future__ import annotations

import gzip
import hashlib
import json
import threading

import pytest
from downloaded_map import FIRST, SECOND
from hostile_server import give, page, status
from tiny_archive import entry, incompressible

from cryosamu.archive.client import RefusalError
from cryosamu.archive.fetch import fetch
from cryosamu.archive.half_maps import failed_half_maps, wanted_half_maps
from cryosamu.archive.partial import PartialFile
from cryosamu.errors import ArchiveError

FOLDER = "pub/databases/emdb/structures/EMD-0093"
ENTRY = "www.ebi.ac.uk/emdb/api/entry/EMD-0093"
OLD = gzip.compress(incompressible(100_000, seed=1), mtime=0)
NEW = gzip.compress(incompressible(120_000, seed=2), mtime=0)
MARKS = {"ETag": '"old"', "Last_Modified": "Wed, 04 Mar 2020 00:00:00 GMT"}


@pytest.fixture
def receipt(tmp_path):
    return tmp_path / "store" / "archive" / "receipts" / "93" / "emd_0093.map.gz.json"


def test_what_is_in_the_store_is_not_asked_for_again(hostile, bring):
    hostile.behaviours[FIRST] = [give(OLD)]
    first = bring()
    again = bring()
    assert not again.downloaded
    assert again.record == first.record
    assert len(hostile.requests) == 1


def test_a_receipt_spares_unpacking(hostile, bring, receipt, monkeypatch):
    hostile.behaviours[FIRST] = [give(OLD)]
    bring()
    assert json.loads(receipt.read_text())["sha256"] == hashlib.sha256(OLD).hexdigest()
    monkeypatch.setattr(gzip, "open", lambda *_: pytest.fail("unpacked although vouched for"))
    assert not bring().downloaded


def test_what_is_vouched_for_waits_for_nobody(hostile, bring, place):
    hostile.behaviours[FIRST] = [give(OLD)]
    first = bring()
    found = []
    with PartialFile(place):
        asking = threading.Thread(target=lambda: found.append(bring()), daemon=True)
        asking.start()
        asking.join(timeout=5)
    assert [one.record for one in found] == [first.record]


def test_a_file_put_there_by_hand_gets_a_receipt(hostile, bring, place, receipt):
    place.parent.mkdir(parents=True)
    place.write_bytes(OLD)
    fetched = bring()
    assert (fetched.downloaded, fetched.record.bytes) == (False, len(OLD))
    assert json.loads(receipt.read_text())["bytes"] == len(OLD)
    assert hostile.requests == []


@pytest.mark.parametrize(
    "other",
    [gzip.compress(b"someone else's map", mtime=0), OLD[:-1] + b"!"],
    ids=["another map", "one byte"],
)
def test_a_file_that_differs_from_its_receipt_is_fetched_again(hostile, bring, place, other):
    hostile.behaviours[FIRST] = [give(OLD)]
    bring()
    place.write_bytes(other)
    assert bring().downloaded
    assert place.read_bytes() == OLD


def test_a_file_that_differs_and_cannot_be_had_again_is_gone(hostile, bring, place):
    hostile.behaviours[FIRST] = [give(OLD), status(404)]
    bring()
    place.write_bytes(gzip.compress(b"someone else's map"))
    with pytest.raises(RefusalError, match="404"):
        bring()
    assert not place.exists()


@pytest.mark.parametrize("left", [b"", b"no json", b'{"bytes": "many"}'])
def test_a_damaged_receipt_vouches_for_nothing(hostile, bring, place, receipt, left):
    hostile.behaviours[FIRST] = [give(OLD)]
    bring()
    receipt.write_bytes(left)
    assert bring().downloaded
    assert place.read_bytes() == OLD


def test_a_damaged_file_without_a_receipt_is_fetched_again(hostile, bring, place):
    hostile.behaviours[FIRST] = [give(OLD)]
    place.parent.mkdir(parents=True)
    place.write_bytes(OLD[:1000])
    assert bring().downloaded
    assert place.read_bytes() == OLD


@pytest.fixture
def held(hostile, bring):
    """The old version, in the store, with the archive's marks."""
    hostile.behaviours[FIRST] = [give(OLD, **MARKS)]
    fetched = bring()
    hostile.requests.clear()
    return fetched.record


def test_a_changed_file_is_left_alone_unless_told(hostile, held, bring, place):
    hostile.behaviours[FIRST] = [give(NEW)]
    assert bring().record == held
    assert place.read_bytes() == OLD
    assert hostile.requests == []


def test_a_refresh_takes_the_new_version(hostile, held, bring, place):
    hostile.behaviours[FIRST] = [give(NEW)]
    fetched = bring(refresh=True)
    assert fetched.downloaded
    assert fetched.record.bytes == len(NEW)
    assert place.read_bytes() == NEW
    assert bring().record == fetched.record


def test_a_refresh_asks_by_the_marks_that_came_with_the_file(hostile, held, bring, place):
    hostile.behaviours[FIRST] = [status(304)]
    fetched = bring(refresh=True)
    assert (fetched.downloaded, fetched.record) == (False, held)
    (headers,) = hostile.asked(FIRST)
    assert headers["If-None-Match"] == '"old"'
    assert headers["If-Modified-Since"] == MARKS["Last_Modified"]
    assert [file.name for file in place.parent.iterdir()] == [place.name]


def test_marks_of_one_mirror_are_not_shown_to_another(hostile, bring):
    hostile.behaviours[FIRST] = [status(404), give(NEW)]
    hostile.behaviours[SECOND] = [give(OLD, **MARKS)]
    bring()
    assert bring(refresh=True).record.url == FIRST
    assert "If-None-Match" not in hostile.asked(FIRST)[-1]


@pytest.mark.parametrize("fault", [status(404), status(503), give(NEW[:-9]), give(NEW, cut=900)])
def test_a_refresh_that_fails_leaves_the_old_version(hostile, held, bring, place, fault):
    hostile.behaviours[FIRST] = [fault]
    hostile.behaviours[SECOND] = [give(OLD)]
    with pytest.raises(ArchiveError):
        bring(refresh=True)
    assert hostile.asked(SECOND) == []
    assert bring().record == held
    assert place.read_bytes() == OLD


def test_a_refresh_that_broke_off_goes_on(hostile, held, bring, place):
    hostile.behaviours[FIRST] = [give(NEW, cut=50_000), give(NEW)]
    bring(refresh=True)
    assert hostile.asked(FIRST)[-1]["Range"] == "bytes=50000-"
    assert place.read_bytes() == NEW


def test_a_refresh_of_what_is_not_there_is_a_fetch(hostile, bring, place):
    hostile.behaviours[FIRST] = [give(NEW)]
    assert bring(refresh=True).downloaded
    assert place.read_bytes() == NEW


def test_not_modified_to_no_such_question_is_refused(hostile, bring):
    hostile.behaviours[FIRST] = [status(304)]
    with pytest.raises(RefusalError, match="always breaks off"):
        bring()


def tell(**changes):
    return page(json.dumps(entry("EMD-0093", **changes)), "application/json")


HALVES = [gzip.compress(incompressible(5000, seed=half), mtime=0) for half in (1, 2)]


@pytest.fixture
def halves(hostile, client_for, tmp_path):
    def run():
        client = client_for(hostile.url)
        return [fetch(client, one) for one in wanted_half_maps(client, "93", tmp_path)]

    for number, data in enumerate(HALVES, 1):
        path = f"ftp.ebi.ac.uk/{FOLDER}/other/emd_0093_half_map_{number}.map.gz"
        hostile.behaviours[path] = [give(data)]
    return run


def test_half_maps_are_fetched_by_the_names_in_the_record(hostile, halves, tmp_path):
    hostile.behaviours[ENTRY] = [tell()]
    fetched = halves()
    assert [one.record.kind for one in fetched] == ["half_map_1", "half_map_2"]
    assert {one.record.id for one in fetched} == {"EMD-0093"}
    folder = tmp_path / "archive" / "half_maps" / "93"
    for number, data in enumerate(HALVES, 1):
        assert (folder / f"emd_0093_half_map_{number}.map.gz").read_bytes() == data


@pytest.mark.parametrize("number", [0, 1, 3])
def test_an_entry_without_two_half_maps_is_refused(hostile, halves, number):
    hostile.behaviours[ENTRY] = [tell(half_maps=number)]
    with pytest.raises(RefusalError, match=rf"EMD-0093: names {number} half maps, not two"):
        halves()


@pytest.mark.parametrize("name", ["../../map/emd_0093.map.gz", "/etc/passwd", ".hidden"])
def test_a_record_may_name_no_path(hostile, halves, name):
    value = entry("EMD-0093")
    value["interpretation"]["half_map_list"]["half_map"][0]["file"] = name
    hostile.behaviours[ENTRY] = [page(json.dumps(value))]
    with pytest.raises(ArchiveError):
        halves()
    assert [path for path, _ in hostile.requests] == [ENTRY]


def test_another_entrys_half_map_does_not_take_its_place(hostile, halves, tmp_path):
    value = entry("EMD-0093")
    for half in value["interpretation"]["half_map_list"]["half_map"]:
        half["file"] = half["file"].replace("0093", "0094")
    hostile.behaviours[ENTRY] = [page(json.dumps(value))]
    for number, data in enumerate(HALVES, 1):
        path = f"ftp.ebi.ac.uk/{FOLDER}/other/emd_0094_half_map_{number}.map.gz"
        hostile.behaviours[path] = [give(data)]
    halves()
    stored = sorted(file.name for file in (tmp_path / "archive" / "half_maps" / "93").iterdir())
    assert stored == ["emd_0093_half_map_1.map.gz", "emd_0093_half_map_2.map.gz"]


def test_another_entrys_record_is_refused(hostile, halves):
    hostile.behaviours[ENTRY] = [page(json.dumps(entry("EMD-0094")))]
    with pytest.raises(RefusalError, match="'emdb_id' is EMD-0094"):
        halves()


def test_half_maps_without_names_fail_under_the_usual_ones(client_for):
    settings = client_for("http://127.0.0.1:9").settings
    records = failed_half_maps(settings, "93", RefusalError("why"))
    assert [(one.kind, one.status, one.error) for one in records] == [
        ("half_map_1", "failed", "why"),
        ("half_map_2", "failed", "why"),
    ]
    assert records[1].url == f"ftp.ebi.ac.uk/{FOLDER}/other/emd_0093_half_map_2.map.gz"
