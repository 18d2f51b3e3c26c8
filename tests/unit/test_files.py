import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from cryosamu.errors import CryosamuError
from cryosamu.files import atomic_path, atomic_paths, require_file, sha256_of, write_text


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_under_its_name_when_it_is_whole(tmp_path):
    destination = tmp_path / "new" / "folder" / "a.map.gz"
    with atomic_path(destination) as temporary:
        temporary.write_bytes(b"half")
        assert not destination.exists()
        assert temporary.parent == destination.parent  # the rename stays on one disk
        assert temporary.name.endswith(".map.gz")
        temporary.write_bytes(b"whole")
    assert destination.read_bytes() == b"whole"
    assert names_in(destination.parent) == ["a.map.gz"]


@pytest.mark.parametrize("interruption", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_an_interruption_leaves_the_old_file_and_nothing_else(tmp_path, interruption):
    destination = tmp_path / "a.txt"
    write_text(destination, "old")

    def interrupted():
        with atomic_path(destination) as temporary:
            temporary.write_text("new")
            raise interruption

    with pytest.raises(interruption):
        interrupted()
    assert destination.read_text() == "old"
    assert names_in(tmp_path) == ["a.txt"]


def test_the_file_is_as_readable_as_the_umask_lets_it_be(tmp_path):
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "a", "x")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_a_file_that_is_a_fault_of_the_block_is_not_called_a_fault_of_the_disk(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "a"):
        Path(tmp_path / "not there").read_text()


@pytest.mark.parametrize("name", ["folder", "file/below", "n" * 300])
def test_a_destination_that_cannot_be_is_one_sentence(tmp_path, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("x")
    with pytest.raises(CryosamuError, match="could not be written"):
        write_text(tmp_path / name, "x")
    assert names_in(tmp_path) == ["file", "folder"]


WRITERS = {
    "text": "write_text(destination, 'x' * 1_000_000)",
    "map": "write_map(destination, Volume(noise, (1.0, 1.0, 1.0)), 'x')",
    "compressed map": (
        "write_map(destination.with_suffix('.map.gz'), Volume(noise, (1.0, 1.0, 1.0)), 'x')"
    ),
    "table": (
        "write_table(destination, pd.DataFrame({'step': range(100_000), 'split': 'train',"
        " 'metric': 'loss', 'value': noise.ravel()[:100_000], 'learning_rate': 0.1}), HISTORY)"
    ),
    "array": """
with atomic_path(destination) as temporary, open(temporary, 'wb') as handle:
    np.save(handle, noise)
""",
}


@pytest.mark.parametrize("writer", WRITERS)
def test_a_full_disk_is_one_sentence_and_nothing_is_left(tmp_path, writer):
    """A real process that may write no file beyond 100 kB: what a full disk looks like."""
    script = f"""
import resource, signal, sys
from pathlib import Path
import numpy as np, pandas as pd
from cryosamu.errors import CryosamuError
from cryosamu.files import atomic_path, atomic_paths, write_text
from cryosamu.tables import HISTORY, write_table
from cryosamu.volume.io import write_map
from cryosamu.volume.volume import Volume
noise = np.random.default_rng(0).normal(size=(50, 50, 50)).astype(np.float32)
destination = Path({str(tmp_path)!r}) / "out.dat"
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    {WRITERS[writer].strip().replace(chr(10), chr(10) + "    ")}
except CryosamuError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(str(tmp_path))
    assert "could not be written" in done.stdout
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""
    assert names_in(tmp_path) == []


def test_a_checksum_is_that_of_the_whole_file(tmp_path):
    content = np.random.default_rng(0).bytes(3_000_001)
    (tmp_path / "a").write_bytes(content)
    assert sha256_of(tmp_path / "a") == hashlib.sha256(content).hexdigest()


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path):
    with pytest.raises(CryosamuError, match=r"this model does not exist"):
        require_file(tmp_path / "a.cif", "model")
    with pytest.raises(CryosamuError, match=r"this map is a folder"):
        require_file(tmp_path, "map")


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("which", [0, 1, 2])
def test_of_several_files_all_appear_or_none(tmp_path, monkeypatch, which, after):
    """An interrupt just before or just after any of the renames; the second file was there."""
    destinations = [tmp_path / name for name in ("a.mrc", "b.json", "c.cxc")]
    destinations[1].write_text("old")
    replace, calls = os.replace, []

    def interrupted(source, destination):
        calls.append(destination)
        if len(calls) == which + 1 and not after:
            raise KeyboardInterrupt
        replace(source, destination)
        if len(calls) == which + 1 and after:
            raise KeyboardInterrupt

    def write():
        with atomic_paths(destinations) as temporaries:
            for temporary in temporaries:
                temporary.write_text("new")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            write()
    assert names_in(tmp_path) == ["b.json"]
    assert destinations[1].read_text() == "old"
    write()
    assert names_in(tmp_path) == ["a.mrc", "b.json", "c.cxc"]
    assert {path.read_text() for path in destinations} == {"new"}


def test_of_several_files_none_appears_when_one_has_no_place(tmp_path):
    (tmp_path / "file").write_text("x")
    with (
        pytest.raises(CryosamuError, match="b"),
        atomic_paths([tmp_path / "a", tmp_path / "file" / "b"]),
    ):
        pass
    assert names_in(tmp_path) == ["file"]


def test_folders_made_for_what_was_not_written_are_removed_again(tmp_path):
    (tmp_path / "there").mkdir()

    def refused(*destinations):
        with atomic_paths(destinations):
            raise CryosamuError("no")

    with pytest.raises(CryosamuError):
        refused(tmp_path / "there" / "new" / "deep" / "a", tmp_path / "there" / "new" / "b")
    assert names_in(tmp_path) == ["there"]
    assert names_in(tmp_path / "there") == []


def test_two_runs_at_once_leave_each_others_backup_alone(tmp_path, monkeypatch):
    """The second run begins and ends while the first has a backup and no more; then that fails."""
    write_text(tmp_path / "a", "old")
    replace = os.replace

    def write(text):
        with atomic_paths([tmp_path / "a"]) as (temporary,):
            temporary.write_text(text)

    def interleaved(source, destination):
        monkeypatch.setattr(os, "replace", replace)
        write("second")
        replace(source, destination)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interleaved)
    with pytest.raises(KeyboardInterrupt):
        write("first")
    assert (tmp_path / "a").read_text() == "old"
    assert names_in(tmp_path) == ["a"]


def test_a_folder_that_takes_no_files_is_called_that(tmp_path):
    if not Path("/proc/self").is_dir():
        pytest.skip("there is no /proc here")
    with pytest.raises(CryosamuError, match="its folder takes no new files"):
        write_text("/proc/a.mrc", "x")


def test_a_pipe_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CryosamuError, match="pipe: is a device or a pipe, not a file"):
        write_text(tmp_path / "pipe", "x")
    assert (tmp_path / "pipe").is_fifo()


KILLED = """
import os, signal, sys
from pathlib import Path
from cryosamu.files import atomic_paths
folder = Path(sys.argv[1])
with atomic_paths([folder / "a.mrc", folder / "b.json"]) as (first, _):
    first.write_text("half")
    if sys.argv[2] == "stay":
        print("writing", flush=True)
        sys.stdin.read()
    os.kill(os.getpid(), signal.SIGKILL)
"""
WRITE = "import sys; from cryosamu.files import write_text; write_text(sys.argv[1], 'x')"


def writing(folder, what):
    return subprocess.Popen(
        [sys.executable, "-c", KILLED, folder, what],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def write_elsewhere(path):
    subprocess.run([sys.executable, "-c", WRITE, path], check=True)


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="no /proc to see processes in")
def test_what_a_killed_process_left_goes_with_the_next_write_and_nothing_else(tmp_path):
    with writing(tmp_path, "die") as killed:
        killed.communicate()
    left = names_in(tmp_path)
    assert len(left) == 2
    assert all(name.startswith(".part-") for name in left)
    (tmp_path / ".part-of somebody else").write_text("x")
    with writing(tmp_path, "stay") as alive:
        assert alive.stdout.readline() == "writing\n"
        in_use = [name for name in names_in(tmp_path) if name not in left]
        write_elsewhere(tmp_path / "c.txt")
        assert names_in(tmp_path) == sorted(["c.txt", *in_use])
        alive.kill()
    write_elsewhere(tmp_path / "c.txt")
    assert names_in(tmp_path) == [".part-of somebody else", "c.txt"]


def test_another_hosts_files_stay_until_nobody_wrote_to_them_for_a_week(tmp_path):
    day = 24 * 3600
    # An id that is free here: it says nothing of the other host.
    names = [f".part-0123abcd-{pid}-0123456789ab.mrc" for pid in (4194304, 4194305)]
    for name, age in zip(names, (6.9 * day, 7.1 * day), strict=True):
        (tmp_path / name).write_text("half")
        then = time.time() - age
        os.utime(tmp_path / name, (then, then))
    write_text(tmp_path / "c.txt", "x")
    assert names_in(tmp_path) == [names[0], "c.txt"]
