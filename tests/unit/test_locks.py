"""Locks that need nothing of the file system but to create a file only where there is none."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

import cryosamu
from cryosamu import locks
from cryosamu.archive.snapshot import Snapshot
from cryosamu.errors import CryosamuError
from cryosamu.locks import one_at_a_time

COUNT = """
import sys, time
from pathlib import Path
from cryosamu import locks
locks.STALE_SECONDS, locks.HEARTBEAT_SECONDS = float(sys.argv[2]), 0.1
path = Path(sys.argv[1])
for _ in range(int(sys.argv[3])):
    with locks.one_at_a_time(path) as hold:
        number = int(path.read_text()) if path.exists() else 0
        time.sleep(0.002)
        path.write_text(str(number + 1))
"""
HOLD = """
import sys, time
from pathlib import Path
from cryosamu import locks
from cryosamu.errors import CryosamuError
locks.STALE_SECONDS, locks.HEARTBEAT_SECONDS = float(sys.argv[2]), 0.1
try:
    with locks.one_at_a_time(Path(sys.argv[1])) as hold:
        print("held", flush=True)
        sys.stdin.readline()
        hold.check()
        print("still held")
except CryosamuError as error:
    print(error)
"""
# Long enough for a machine that is busy with other things.
STALE = 1.5
FOREIGN = json.dumps({"host": "node17 another-boot 4026531836", "pid": os.getpid(), "nonce": "0"})


@pytest.fixture
def run():
    """Return a function that starts one of the programs above in a process of its own."""
    started = []

    def start(program, path, stale=60.0, *more):
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(path), str(stale), *map(str, more)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(locks, "STALE_SECONDS", STALE)
    monkeypatch.setattr(locks, "HEARTBEAT_SECONDS", 0.1)


def held(run, path, stale=60.0):
    process = run(HOLD, path, stale)
    assert process.stdout.readline() == "held\n"
    return process


def ended(process):
    out, _ = process.communicate("\n", timeout=120)
    assert process.returncode == 0
    return out


def seconds_to_take(path):
    begun = time.monotonic()
    with one_at_a_time(path) as hold:
        hold.check()
        return time.monotonic() - begun


def test_no_two_of_many_processes_at_a_time(tmp_path, run):
    path = tmp_path / "new folder" / "count"
    processes = [run(COUNT, path, 60, 40) for _ in range(4)]
    for process in processes:
        ended(process)
    assert path.read_text() == "160"
    assert [file.name for file in path.parent.iterdir()] == ["count"]


def test_threads_of_one_process_wait_for_each_other(tmp_path):
    inside, most = [], []

    def work():
        with one_at_a_time(tmp_path / "a"):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.01)
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 5


@pytest.mark.parametrize("reaped", [True, False])
def test_a_holder_that_was_killed_holds_up_nobody_on_its_host(tmp_path, run, reaped):
    holder = held(run, tmp_path / "a")
    assert (tmp_path / "a.lock").exists()
    holder.kill()
    os.waitid(os.P_PID, holder.pid, os.WEXITED | (0 if reaped else os.WNOWAIT))
    assert seconds_to_take(tmp_path / "a") < 30
    assert list(tmp_path.iterdir()) == []


def test_a_silent_claim_of_another_host_is_taken_over_late(tmp_path, quick):
    (tmp_path / "a.lock").write_text(FOREIGN)
    assert STALE <= seconds_to_take(tmp_path / "a") < 30
    assert list(tmp_path.iterdir()) == []


def test_a_claim_of_another_host_that_lives_is_waited_for(tmp_path, quick):
    claim = tmp_path / "a.lock"
    claim.write_text(FOREIGN)
    waiting = threading.Thread(target=seconds_to_take, args=(tmp_path / "a",))
    waiting.start()
    for second in range(25):
        os.utime(claim, (second, second))  # a clock that is decades behind
        time.sleep(0.1)
    assert waiting.is_alive()
    claim.unlink()
    waiting.join(30)
    assert not waiting.is_alive()


def test_a_long_hold_is_kept_alive(tmp_path, run, quick):
    holder = held(run, tmp_path / "a", STALE)
    waiting = threading.Thread(target=seconds_to_take, args=(tmp_path / "a",))
    waiting.start()
    time.sleep(2 * STALE)
    assert waiting.is_alive()
    assert ended(holder) == "still held\n"
    waiting.join(30)
    assert not waiting.is_alive()


def test_many_take_a_stale_claim_over_one_at_a_time(tmp_path, run):
    (tmp_path / "count.lock").write_text(FOREIGN)
    processes = [run(COUNT, tmp_path / "count", 4, 20) for _ in range(4)]
    for process in processes:
        ended(process)
    assert (tmp_path / "count").read_text() == "80"
    assert [file.name for file in tmp_path.iterdir()] == ["count"]


def test_who_stood_still_learns_that_the_lock_is_lost(tmp_path, run, quick):
    holder = held(run, tmp_path / "a", STALE)
    os.kill(holder.pid, signal.SIGSTOP)
    with one_at_a_time(tmp_path / "a") as hold:
        os.kill(holder.pid, signal.SIGCONT)
        assert "stood still for so long that another one took over" in ended(holder)
        hold.check()  # the other one did not remove our claim
    assert list(tmp_path.iterdir()) == []


def test_a_claim_is_cleared_though_who_began_to_clear_it_died(tmp_path, quick):
    (tmp_path / "a.lock").write_text(FOREIGN)
    token = locks._read(tmp_path / "a.lock").token
    (tmp_path / f"a.lock.{token}").write_text(FOREIGN.replace("node17", "node18"))
    assert STALE <= seconds_to_take(tmp_path / "a") < 30
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", '{"host": "a"}', "no claim of ours"])
def test_a_claim_that_was_never_written_goes_stale(tmp_path, quick, text):
    (tmp_path / "a.lock").write_text(text)
    assert STALE <= seconds_to_take(tmp_path / "a") < 30
    assert list(tmp_path.iterdir()) == []


def test_an_error_inside_gives_the_lock_up(tmp_path):
    with pytest.raises(ValueError, match="inside"), one_at_a_time(tmp_path / "a"):
        raise ValueError("inside")
    assert list(tmp_path.iterdir()) == []


def test_a_result_is_not_made_final_by_who_lost_the_lock(tmp_path):
    snapshot = Snapshot(tmp_path / "a.sqlite")
    snapshot.put({"one": "1"})

    def lose():
        (tmp_path / "a.sqlite.lock").write_text(FOREIGN)
        yield "two", "2"

    class Answers(dict):
        items = staticmethod(lose)

    with pytest.raises(CryosamuError, match="another one took over"):
        snapshot.put(Answers())
    (tmp_path / "a.sqlite.lock").unlink()
    assert dict(snapshot.get_many(["one", "two"])) == {"one": "1"}


def test_answers_are_kept_without_a_lock_of_the_file_system(tmp_path):
    snapshot = Snapshot(tmp_path / "a.sqlite")
    with snapshot._connected() as database:
        database.execute("INSERT INTO answers VALUES ('one', '1')")
        with closing(sqlite3.connect(snapshot.path, timeout=0)) as other, other:
            other.execute("BEGIN EXCLUSIVE")  # "database is locked" if there were one
    users = {
        path.name
        for path in Path(cryosamu.__file__).parent.rglob("*.py")
        if re.search(r"^\s*(import|from) fcntl|flock\(|lockf\(", path.read_text(), re.MULTILINE)
    }
    assert users <= {"staging.py"}  # on a disk of the machine's own, where they hold
