"""Shards: who goes where, work lists, and what is made again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryosamu.errors import CryosamuError
from cryosamu.shards import (
    Task,
    make_tasks,
    member_folder,
    read_work,
    shard_name,
    shard_of,
    write_work,
)
from cryosamu.workers import in_processes

IDS = st.lists(st.from_regex(r"EMD-[0-9]{4,5}", fullmatch=True), unique=True, max_size=60)


def copy(argument: tuple[Path, Path]) -> None:
    source, destination = argument
    if not source.is_file():
        raise CryosamuError(f"{source}: is not there.")
    destination.write_text(source.read_text())


def task(folder: Path, name: str, sum_: str = "1") -> Task[tuple[Path, Path]]:
    output = folder / f"{name}.out"
    return Task(name, (folder / f"{name}.in", output), {"sum": sum_}, (output,))


def test_the_shard_is_the_checksum_of_the_id_alone() -> None:
    assert zlib.crc32(b"123456789") == 0xCBF43926  # the check value of CRC-32
    assert shard_of("123456789", 1000) == 0xCBF43926 % 1000
    assert [shard_name(7, 10), shard_name(7, 11), shard_name(0, 1)] == ["7", "07", "0"]


def test_sub_folders_are_few_and_the_archives_own() -> None:
    ids = ("EMD-3488", "EMD-0093", "5NI1", "PDB_00005NI1")
    root = Path("made")
    assert [member_folder(root, one).name for one in ids] == ["88", "93", "NI", "NI"]
    assert member_folder(root, "EMD-3488").parent == root
    names = {member_folder(root, f"EMD-{number:04d}") for number in range(60_000)}
    assert len(names) == 100


@given(before=IDS, after=IDS, shards=st.integers(1, 20))
def test_no_member_moves_when_others_come_and_go(
    tmp_path_factory: pytest.TempPathFactory, before: list[str], after: list[str], shards: int
) -> None:
    found = []
    for ids in (before, [*reversed(before), *(one for one in after if one not in before)]):
        folder = tmp_path_factory.mktemp("work")
        write_work(folder, [{"emdb_id": one, "resolution": 4.5} for one in ids], shards)
        lists = sorted(folder.iterdir())
        assert [path.stem for path in lists] == [shard_name(n, shards) for n in range(shards)]
        rows = {path.name: read_work(path, ["emdb_id", "resolution"]) for path in lists}
        where = {row["emdb_id"]: name for name, members in rows.items() for row in members}
        assert sorted(where) == sorted(ids)
        found.append(where)
    assert all(found[1][one] == found[0][one] for one in before)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("{}\n", "line 1: lacks emdb_id"), ('{"emdb_id": "1"}\n[]\n', "line 2: is not"), ("{", "is")],
)
def test_a_damaged_list_is_named_with_its_line(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "0.jsonl").write_text(text)
    with pytest.raises(CryosamuError, match=sentence):
        read_work(tmp_path / "0.jsonl", ["emdb_id"])


@pytest.mark.parametrize("workers", [1, 2])
def test_only_what_is_missing_or_follows_from_something_else_is_made(
    tmp_path: Path, workers: int
) -> None:
    for name in "abcd":
        (tmp_path / f"{name}.in").write_text(name)
    first = make_tasks([task(tmp_path, name) for name in "abc"], copy, "copied", workers)
    assert (first.made, first.kept, first.failed) == (3, 0, {})
    kept = (tmp_path / "a.out").stat().st_mtime_ns
    (tmp_path / "b.out").write_text("longer than it was")
    tasks = [task(tmp_path, "a"), task(tmp_path, "b"), task(tmp_path, "c", "2")]
    second = make_tasks([*tasks, task(tmp_path, "d")], copy, "copied", workers)
    assert (second.made, second.kept) == (3, 1)
    assert (tmp_path / "a.out").stat().st_mtime_ns == kept
    assert [(tmp_path / f"{name}.out").read_text() for name in "abcd"] == list("abcd")
    assert second.summary("pairs copied") == "3 pairs copied, 1 kept"


def test_one_that_fails_stops_no_other_and_is_named(tmp_path: Path) -> None:
    (tmp_path / "b.in").write_text("b")
    made = make_tasks([task(tmp_path, "a"), task(tmp_path, "b")], copy, "copied")
    assert (made.made, list(made.failed)) == (1, ["a"])
    assert not (tmp_path / "a.out.made").exists()
    with pytest.raises(CryosamuError, match=r"a could not be copied: .*a\.in: is not there"):
        made.require_all("copied")


def test_what_is_perhaps_left_behind_is_vouched_for_where_it_was(tmp_path: Path) -> None:
    (tmp_path / "a.in").write_text("a")
    (tmp_path / "a.map").write_text("map")
    plain = task(tmp_path, "a")
    with_map = Task("a", plain.argument, plain.follows_from, plain.outputs, (tmp_path / "a.map",))
    assert make_tasks([with_map], copy, "copied").made == 1
    assert make_tasks([with_map], copy, "copied").made == 0
    (tmp_path / "a.map").unlink()
    assert make_tasks([with_map], copy, "copied").made == 1
    assert make_tasks([with_map], copy, "copied").made == 0
    (tmp_path / "a.map").write_text("a map that this task did not leave")
    assert not with_map.is_made()


def test_a_task_made_halfway_is_not_taken_for_made(tmp_path: Path) -> None:
    (tmp_path / "a.in").write_text("a")
    make_tasks([task(tmp_path, "a")], copy, "copied")
    (tmp_path / "a.in").unlink()
    assert make_tasks([task(tmp_path, "a", "2")], copy, "copied").failed
    # The old output is still there, of the same length: no stamp vouches for it.
    assert not task(tmp_path, "a").is_made()


SLOW = """
import sys, time
from pathlib import Path
from cryosamu.shards import Task, make_tasks

def make(output):
    output.write_text("x")
    time.sleep(float(sys.argv[2]) if output.name != "0" else 0)

if __name__ == "__main__":
    tasks = [Task(str(n), Path(sys.argv[1]) / str(n), {}, (Path(sys.argv[1]) / str(n),))
             for n in range(3)]
    print(make_tasks(tasks, make, "made").summary("made"))
"""


def test_a_killed_call_goes_on_where_it_was(tmp_path: Path) -> None:
    script = tmp_path / "slow.py"
    script.write_text(SLOW)
    folder = tmp_path / "out"
    folder.mkdir()
    process = subprocess.Popen([sys.executable, script, folder, "60"])
    until = time.monotonic() + 30
    while not (folder / "1").exists() and time.monotonic() < until:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    again = subprocess.run(
        [sys.executable, script, folder, "0"], capture_output=True, text=True, check=True
    )
    assert again.stdout == "2 made, 1 kept\n"


def threads(_: int) -> int:
    import torch

    return torch.get_num_threads()


def test_a_worker_has_one_thread() -> None:
    assert list(in_processes(threads, [0, 1], 2)) == [1, 1]


def die(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_worker_is_said_in_a_sentence(tmp_path: Path) -> None:
    tasks = [Task(str(n), n, {}, (tmp_path / str(n),)) for n in range(2)]
    with pytest.raises(CryosamuError, match="killed, most often for lack of memory"):
        make_tasks(tasks, die, "made", workers=2)


ORPHANS = """
import os, sys, time
from pathlib import Path
from cryosamu.workers import in_processes

def tell(folder):
    (Path(folder) / str(os.getpid())).touch()
    time.sleep(0.1)

if __name__ == "__main__":
    list(in_processes(tell, [sys.argv[1]] * 10_000, 2))
"""


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="no /proc to see processes in")
@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM])
def test_workers_end_with_a_killed_parent(tmp_path: Path, by: signal.Signals) -> None:
    script, folder = tmp_path / "long.py", tmp_path / "workers"
    script.write_text(ORPHANS)
    folder.mkdir()
    parent = subprocess.Popen([sys.executable, script, folder])
    until = time.monotonic() + 60
    while len(list(folder.iterdir())) < 2 and time.monotonic() < until:
        time.sleep(0.02)
    workers = [int(path.name) for path in folder.iterdir()]
    assert len(workers) == 2
    parent.send_signal(by)
    parent.wait()
    try:
        while any(map(lives, workers)) and time.monotonic() < until:
            time.sleep(0.05)
        assert not any(map(lives, workers))
    finally:
        for pid in filter(lives, workers):
            os.kill(pid, signal.SIGKILL)
