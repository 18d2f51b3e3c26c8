"""Turns at a host: kept by threads and processes together, whatever the file or the clock says."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

from cryosamu.archive import turns
from cryosamu.archive.turns import Turns
from cryosamu.errors import CryosamuError
from cryosamu.locks import one_at_a_time

HOST = "www.ebi.ac.uk"
PROGRAM = """
import sys, time
from pathlib import Path
from cryosamu.archive.turns import Turns
turns = Turns(0.1, Path(sys.argv[1]))
for _ in range(5):
    turns.wait("www.ebi.ac.uk")
    print(time.time(), flush=True)
"""


@pytest.mark.parametrize("shared", [False, True])
def test_one_request_after_another(tmp_path, shared):
    turns = Turns(0.05, tmp_path if shared else None)
    begun = time.time()
    for _ in range(5):
        turns.wait(HOST)
    assert 0.2 <= time.time() - begun < 2
    turns.wait("files.rcsb.org")
    assert time.time() - begun < 2


def test_processes_take_turns(tmp_path):
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    moments = sorted(float(one) for p in processes for one in p.communicate()[0].split())
    assert len(moments) == 15
    assert moments[-1] - moments[0] >= 14 * 0.1 - 0.05
    # Never more turns within a second than fit, but for one that came late.
    assert all(sum(a <= b < a + 1 for b in moments) <= 11 for a in moments)


def test_threads_take_turns(tmp_path):
    turns = Turns(0.05, tmp_path)
    threads = [threading.Thread(target=turns.wait, args=(HOST,)) for _ in range(6)]
    begun = time.time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Clocks of file systems advance by some milliseconds at a time.
    assert time.time() - begun >= 5 * 0.05 - 0.02


def test_a_booking_waits_for_the_one_before_it(tmp_path):
    with one_at_a_time(tmp_path / f"{HOST}.turn"):
        thread = threading.Thread(target=Turns(0.01, tmp_path).wait, args=(HOST,))
        thread.start()
        thread.join(0.3)
        assert thread.is_alive()
    thread.join(5)
    assert not thread.is_alive()


@pytest.mark.parametrize("text", ["", "no number", "nan", "9e99", "-5", "1e"])
def test_a_file_that_makes_no_sense_counts_as_none(tmp_path, text):
    (tmp_path / f"{HOST}.turn").write_text(text)
    begun = time.time()
    Turns(0.01, tmp_path).wait(HOST)
    assert time.time() - begun < 1
    assert float((tmp_path / f"{HOST}.turn").read_text()) == pytest.approx(begun, abs=2)


def test_a_clock_that_was_set_back_holds_up_nobody(tmp_path, monkeypatch):
    ahead = time.time() + 2 * turns._LONGEST_QUEUE_SECONDS
    (tmp_path / f"{HOST}.turn").write_text(str(ahead))
    begun = time.time()
    Turns(0.01, tmp_path).wait(HOST)
    assert time.time() - begun < 1


@pytest.mark.parametrize("minutes", [-10, 10])
def test_turns_are_kept_on_a_host_whose_clock_differs(tmp_path, monkeypatch, minutes):
    """The file system's clock counts: the other host books by it, and we wait by it."""
    (tmp_path / f"{HOST}.turn").write_text(repr(time.time() + 0.4))
    real = time.time
    monkeypatch.setattr(turns.time, "time", lambda: real() + 60 * minutes)
    begun = time.monotonic()
    Turns(0.2, tmp_path).wait(HOST)
    assert 0.35 <= time.monotonic() - begun < 3
    assert float((tmp_path / f"{HOST}.turn").read_text()) == pytest.approx(real() + 0.2, abs=0.15)


def test_no_delay_writes_nothing(tmp_path):
    Turns(0, tmp_path / "turns").wait(HOST)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CryosamuError, match="could not be written"):
        Turns(0.01, tmp_path / "file").wait(HOST)
