"""What a download may take: bytes, memory, disk, time; and how two share one."""

from __future__ import annotations

import gzip
import hashlib
import shutil
import threading
import time
import tracemalloc
from collections import namedtuple

import pytest
from downloaded_map import DATA, FIRST, left_behind
from hostile_server import chunked, give
from tiny_archive import TinyArchive, incompressible

from cryosamu.archive.client import RefusalError
from cryosamu.archive.fetch import fetch, wanted_map
from cryosamu.archive.server import ArchiveServer
from cryosamu.errors import ArchiveError, CryosamuError


def test_too_large_by_its_stated_length_is_not_downloaded(hostile, bring, place):
    hostile.behaviours[FIRST] = [give(b"x" * 1000, claimed=3_000_000_000)]
    with pytest.raises(RefusalError, match=r"larger than archive\.maximum_map_gigabytes \(2\)"):
        bring(maximum_map_gigabytes=2)
    assert left_behind(place) == []


def test_too_large_without_a_stated_length(hostile, bring, place):
    hostile.behaviours[FIRST] = [chunked(DATA)]
    with pytest.raises(RefusalError, match="larger"):
        bring(maximum_map_gigabytes=1e-4)
    assert left_behind(place) == []


def test_a_gzip_bomb_is_not_unpacked(hostile, bring, place):
    bomb = gzip.compress(bytes(30_000_000))
    assert len(bomb) < 100_000
    hostile.behaviours[FIRST] = [give(bomb)]
    with pytest.raises(RefusalError, match="larger"):
        bring(maximum_map_gigabytes=0.02)
    assert left_behind(place) == []


def test_the_disk_is_looked_at_first(hostile, bring, place, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(2**40, 2**40, 2**26))
    hostile.behaviours[FIRST] = [give(DATA)]
    with pytest.raises(CryosamuError, match=r"GB free.*--store") as caught:
        bring()
    assert not isinstance(caught.value, ArchiveError)
    assert left_behind(place) == []


@pytest.mark.parametrize("start", [0, 100_000])
def test_a_transfer_that_crawls_is_given_up(hostile, bring, start):
    hostile.behaviours[FIRST] = [give(DATA, first=start, piece=10, delay=0.05)]
    began = time.monotonic()
    with pytest.raises(RefusalError, match="bytes a second"):
        bring(timeout_seconds=0.2, retries=1)
    assert time.monotonic() - began < 10


def test_a_large_map_is_never_in_memory(client_for, tmp_path):
    archive = TinyArchive(tmp_path / "archive")
    data = gzip.compress(incompressible(48_000_000), compresslevel=0, mtime=0)
    archive.write(FIRST, data)
    with ArchiveServer(archive.root).running() as server:
        client = client_for(server.url)
        tracemalloc.start()
        try:
            record = fetch(client, wanted_map("EMD-93", client.settings, tmp_path)).record
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert record.bytes == len(data)
    assert peak < 8_000_000


def test_two_at_once_download_once(hostile, bring, place):
    hostile.behaviours[FIRST] = [give(DATA, piece=30_000, delay=0.03)]
    results = []
    threads = [threading.Thread(target=lambda: results.append(bring())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.record.sha256 for one in results] == [hashlib.sha256(DATA).hexdigest()] * 2
    assert len(hostile.asked(FIRST)) == 1
    assert left_behind(place) == [place.name]
