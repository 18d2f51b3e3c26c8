"""Downloads from archives that drop, cut, corrupt, delay and deny."""

from __future__ import annotations

import gzip
import hashlib
import time

import pytest
from downloaded_map import DATA, FIRST, SECOND, left_behind
from hostile_server import chunked, give, page, status
from tiny_archive import incompressible

from cryosamu.archive.client import RefusalError
from cryosamu.archive.fetch import fetch, wanted_map
from cryosamu.errors import ArchiveError

FLIPPED = DATA[:5000] + bytes([DATA[5000] ^ 0xFF]) + DATA[5001:]


def test_a_healthy_download_and_its_record(hostile, bring, place):
    hostile.behaviours[FIRST] = [give(DATA)]
    fetched = bring()
    assert fetched.downloaded
    assert fetched.record.model_dump() == {
        "id": "EMD-0093", "kind": "map", "status": "ok", "path": str(place),
        "bytes": len(DATA), "sha256": hashlib.sha256(DATA).hexdigest(),
        "url": FIRST, "error": None,
    }  # fmt: skip
    assert place.read_bytes() == DATA
    assert left_behind(place) == [place.name]
    (headers,) = hostile.asked(FIRST)
    assert headers["User-Agent"].startswith("CryoSAMU/")
    assert "Range" not in headers
    assert headers["Accept-Encoding"] == "identity"


def test_a_dropped_connection_goes_on_by_range(hostile, bring, place):
    hostile.behaviours[FIRST] = [give(DATA, cut=100_000), give(DATA, cut=200_000), give(DATA)]
    bring()
    assert place.read_bytes() == DATA
    ranges = [headers.get("Range") for headers in hostile.asked(FIRST)]
    assert ranges == [None, "bytes=100000-", "bytes=200000-"]


def test_less_than_the_range_asked_for_is_not_the_end(hostile, bring, place):
    hostile.behaviours[FIRST] = [give(DATA, cut=100_000), give(DATA, most=50_000), give(DATA)]
    bring()
    assert place.read_bytes() == DATA
    assert hostile.asked(FIRST)[-1]["Range"] == "bytes=150000-"


def test_a_server_without_ranges_starts_over(hostile, bring, place):
    hostile.behaviours[FIRST] = [give(DATA, cut=100_000), give(DATA, ranges=False)]
    bring()
    assert place.read_bytes() == DATA


def test_truncated_for_good_keeps_what_came_for_the_next_run(hostile, bring, place):
    hostile.behaviours[FIRST] = [give(DATA, cut=150_000)]
    with pytest.raises(RefusalError, match=r"ftp\.ebi.*after 150000 of \d+ bytes"):
        bring()
    assert left_behind(place) == [f"{place.name}.part"]
    hostile.requests.clear()
    hostile.behaviours[FIRST] = [give(DATA)]
    bring()
    assert place.read_bytes() == DATA
    assert hostile.asked(FIRST)[0]["Range"] == "bytes=150000-"


def test_a_file_changed_between_runs_is_not_spliced(hostile, bring, place):
    older = gzip.compress(incompressible(300_000, seed=1), mtime=0)
    hostile.behaviours[FIRST] = [give(older, cut=150_000)]
    with pytest.raises(RefusalError):
        bring()
    hostile.behaviours[FIRST] = [give(DATA)]
    bring()
    assert place.read_bytes() == DATA


def test_a_part_that_is_whole_already_is_only_checked(hostile, bring, place):
    hostile.behaviours[FIRST] = [give(DATA)]
    place.parent.mkdir(parents=True)
    place.with_name(f"{place.name}.part").write_bytes(DATA)
    bring()
    assert place.read_bytes() == DATA
    assert left_behind(place) == [place.name]
    assert len(hostile.requests) == 1


def test_a_part_longer_than_the_file_is_thrown_away(hostile, bring, place):
    hostile.behaviours[FIRST] = [give(DATA)]
    place.parent.mkdir(parents=True)
    place.with_name(f"{place.name}.part").write_bytes(DATA + b"more")
    bring()
    assert place.read_bytes() == DATA


@pytest.mark.parametrize(
    ("behaviour", "sentence"),
    [
        (give(FLIPPED), "not a sound gzip file"),
        (give(DATA[:-20]), "cut short"),
        (give(DATA, claimed=len(DATA) - 1000), "cut short"),
        (chunked(DATA[:-20]), "cut short"),
        (chunked(DATA, whole=False), "always breaks off"),
        (give(DATA, claimed=len(DATA) + 1000), "always breaks off"),
        (page("<!DOCTYPE html><p>Please log in</p>"), "not a sound gzip file"),
        (give(b""), "empty"),
        (status(404), r"answers 404 \(Not Found\)"),
        (status(403), r"answers 403 \(Forbidden\)"),
    ],
)
def test_a_refusal_names_the_address_and_leaves_no_map(hostile, bring, place, behaviour, sentence):
    hostile.behaviours[FIRST] = [behaviour]
    with pytest.raises(RefusalError, match=sentence) as caught:
        bring()
    assert str(caught.value).startswith(f"https://{FIRST}: ")
    assert str(caught.value).count("\n") == 0
    assert not place.exists()
    if "breaks off" not in sentence:
        assert left_behind(place) == []


def test_chunks_without_a_length_are_taken(hostile, bring, place):
    hostile.behaviours[FIRST] = [chunked(DATA)]
    bring()
    assert place.read_bytes() == DATA


def test_a_content_encoding_is_not_unpacked(hostile, bring, place):
    hostile.behaviours[FIRST] = [give(DATA, Content_Encoding="gzip")]
    bring()
    assert place.read_bytes() == DATA


def test_retry_after_is_honoured(hostile, bring, place):
    hostile.behaviours[FIRST] = [status(429, Retry_After="1"), give(DATA)]
    began = time.monotonic()
    bring()
    assert time.monotonic() - began >= 1
    assert place.read_bytes() == DATA


def test_a_passing_error_is_asked_again(hostile, bring, place):
    hostile.behaviours[FIRST] = [status(500), status(503), give(DATA)]
    bring()
    assert place.read_bytes() == DATA


HTML = page("<!DOCTYPE html><p>One moment, please</p>")


@pytest.mark.parametrize(
    "passing",
    [
        [HTML, HTML],
        [give(FLIPPED), give(DATA[:-20])],
        [give(DATA, claimed=len(DATA) - 1000), give(b"")],
        [give(DATA, claimed=len(DATA) + 1000), give(FLIPPED)],
        [give(DATA, cut=100_000), HTML],
        [chunked(DATA, whole=False), chunked(DATA[:-20])],
    ],
)
def test_what_is_damaged_on_its_way_is_fetched_afresh(hostile, bring, place, passing):
    hostile.behaviours[FIRST] = [*passing, give(DATA)]
    assert bring().record.url == FIRST
    assert place.read_bytes() == DATA
    assert left_behind(place) == [place.name]


def test_a_large_file_that_lies_damaged_is_fetched_twice_at_most(hostile, bring, place):
    large = gzip.compress(incompressible(1_100_000), mtime=0)
    hostile.behaviours[FIRST] = [give(large[:-9] + b"!" + large[-8:])]
    with pytest.raises(RefusalError, match="not a sound gzip file"):
        bring(retries=9)
    assert len(hostile.asked(FIRST)) == 2
    assert left_behind(place) == []


def test_one_file_that_the_archive_chokes_on_is_no_outage(hostile, bring, place):
    hostile.behaviours[FIRST] = [status(500)]
    with pytest.raises(RefusalError, match=r"500 \(Internal.*after 3 tries, though .* is up\.$"):
        bring()
    assert [path for path, _ in hostile.requests].count("ftp.ebi.ac.uk/") == 2
    assert left_behind(place) == []


def test_a_file_that_comes_when_asked_once_more_is_none_either(hostile, bring, place):
    hostile.behaviours[FIRST] = [status(500)] * 3 + [give(DATA)]
    bring()
    assert place.read_bytes() == DATA


@pytest.mark.parametrize("fault", [status(500), status(429), status(503)])
def test_an_archive_that_answers_so_to_everything_is_an_outage(hostile, bring, fault):
    for path in (FIRST, "ftp.ebi.ac.uk/"):
        hostile.behaviours[path] = [fault]
    with pytest.raises(ArchiveError, match="run again later") as caught:
        bring()
    assert not isinstance(caught.value, RefusalError)


def test_asked_to_come_later_is_an_outage_even_where_the_rest_answers(hostile, bring):
    hostile.behaviours[FIRST] = [status(429)]
    with pytest.raises(ArchiveError, match="429") as caught:
        bring()
    assert not isinstance(caught.value, RefusalError)


def test_an_archive_that_is_down_is_no_refusal(hostile, bring, place):
    hostile.behaviours[FIRST] = [status(503)]
    with pytest.raises(ArchiveError, match=r"503.*after 3 tries; run again") as caught:
        bring()
    assert not isinstance(caught.value, RefusalError)
    assert len(hostile.asked(FIRST)) == 3
    assert left_behind(place) == []


def test_nobody_listens(client_for, tmp_path):
    client = client_for("http://127.0.0.1:9", retries=0)
    with pytest.raises(ArchiveError, match=r"gives no answer.*refused") as caught:
        fetch(client, wanted_map("EMD-93", client.settings, tmp_path))
    assert not isinstance(caught.value, RefusalError)


@pytest.mark.parametrize("fault", [status(404), give(FLIPPED), give(DATA, cut=70_000), status(500)])
def test_the_second_mirror_stands_in_for_the_first(hostile, bring, place, fault):
    hostile.behaviours[FIRST] = [fault]
    hostile.behaviours[SECOND] = [give(DATA)]
    assert bring().record.url == SECOND
    assert place.read_bytes() == DATA
