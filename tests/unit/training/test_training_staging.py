"""Prepared pairs copied to a fast disk first."""

import os
import shutil
import subprocess
import sys
from collections import namedtuple
from dataclasses import replace

import pytest
from training_toys import TRAINING

import cryosamu.training.staging as staging
from cryosamu.errors import ConfigError, CryosamuError
from cryosamu.training.pairs import prepared_arrays, read_training_data
from cryosamu.training.parallel import Processes
from cryosamu.training.staging import Scratch, staged_pairs

ALONE = Processes()


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    monkeypatch.setenv("FAST_DISK", str(tmp_path / "fast"))
    return Scratch("$FAST_DISK/node")


def stage(world, scratch):
    files = world.files()
    arrays = prepared_arrays(files.split, files.prepared)
    return staged_pairs(arrays, files.prepared, scratch, ALONE)


def copies(world):
    return sorted((world.folder / "fast").rglob("*.npy"))


def test_a_run_reads_the_copies_and_ends_in_the_same_bits(world, scratch, monkeypatch):
    world.train("whole", "state_of_whole")
    opened = []
    real = staging.staged_pairs

    def note(arrays, prepared, scratch, processes):
        opened.append(sorted(arrays))
        return real(arrays, prepared, scratch, processes)

    monkeypatch.setattr("cryosamu.training.run.staged_pairs", note)
    read = []
    monkeypatch.setattr(
        "cryosamu.training.run.read_training_data",
        lambda split, prepared, *rest, **given: (
            read.append(prepared) or read_training_data(split, prepared, *rest, **given)
        ),
    )
    world.train("near", "state_of_near", scratch=scratch)
    assert opened == [["EMD-1", "EMD-2", "EMD-3"]]
    assert (world.folder / "fast") in read[0].parents
    assert world.outputs("near") == world.outputs("whole")
    assert not copies(world)
    # Where it read from is no part of which training it is.
    assert world.train("again", "state_of_whole", scratch=scratch)[0].startswith("this training is")


def test_copies_are_kept_if_wanted_reused_and_made_again_where_they_are_wrong(world, scratch):
    kept = replace(scratch, keep=True)
    with stage(world, kept) as folder:
        times = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.npy")}
        assert sorted(times) == ["EMD-1.npy", "EMD-2.npy", "EMD-3.npy"]
    wrong = folder / "EMD-2.npy"
    content = wrong.read_bytes()
    wrong.write_bytes(content[:-1] + b"x")
    with stage(world, scratch) as folder:
        assert wrong.read_bytes() == content
        unchanged = {p.name for p in folder.glob("*.npy") if p.stat().st_mtime_ns == times[p.name]}
        assert unchanged == {"EMD-1.npy", "EMD-3.npy"}
    assert not folder.exists()


def test_a_pair_that_arrives_wrong_is_said_and_not_left(world, scratch):
    path = world.folder / "prepared" / "EMD-2.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with (
        pytest.raises(CryosamuError, match=r"EMD-2\.npy: its copy .* does not have the SHA-256"),
        stage(world, scratch),
    ):
        pass
    assert not copies(world)
    assert not list((world.folder / "fast").rglob(".part-*"))


def test_too_little_room_is_said_before_anything_is_copied(world, scratch, monkeypatch):
    usage = namedtuple("usage", "total used free")(10**9, 0, 10**6)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    sentence = r"has 0\.00 GB free, and the 3 pairs that are to be copied there take 0\.00 GB"
    with pytest.raises(CryosamuError, match=sentence), stage(world, scratch):
        pass
    assert not copies(world)


def test_a_variable_that_is_not_set_is_named(world):
    with pytest.raises(ConfigError, match="and NOWHERE_SET is not set here"):
        Scratch("${NOWHERE_SET}/pairs").folder()


def test_a_folder_that_cannot_be_made_is_said(world, tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(CryosamuError, match=r"cannot be written .* name another scratch folder"),
        stage(world, Scratch(str(tmp_path / "file"))),
    ):
        pass


def test_whoever_ends_last_removes_the_copies(world, scratch):
    with stage(world, scratch) as folder:
        with stage(world, scratch) as same:
            assert same == folder
        assert len(copies(world)) == 3
    assert not folder.exists()


def test_copies_of_a_killed_process_are_used_and_then_removed(world, scratch):
    with stage(world, replace(scratch, keep=True)) as folder:
        pass
    lock = folder.with_name(f"{folder.name}.lock")
    script = "import fcntl, os, sys, time; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_SH)"
    hold = f"{script}; print('held', flush=True); time.sleep(600)"
    holder = subprocess.Popen(
        [sys.executable, "-c", hold, str(lock)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline() == "held\n"
    with stage(world, scratch):
        pass
    assert len(copies(world)) == 3
    holder.kill()
    holder.communicate()
    with stage(world, scratch):
        pass
    assert not folder.exists()


def test_the_second_process_of_a_machine_waits_for_the_firsts_copy(world, scratch, monkeypatch):
    waited = []
    monkeypatch.setattr(Processes, "wait", lambda self: waited.append(self.local_rank))
    files = world.files()
    arrays = prepared_arrays(files.split, files.prepared)
    with staged_pairs(arrays, files.prepared, scratch, Processes(5, 8, 1)) as folder:
        assert not list(folder.iterdir())
        with staged_pairs(arrays, files.prepared, scratch, Processes(4, 8, 0)):
            assert len(list(folder.glob("*.npy"))) == 3
    assert waited == [1, 0]


def test_the_command_stages_as_the_settings_say(world, monkeypatch):
    monkeypatch.setenv("FAST_DISK", str(world.folder / "fast"))
    training = TRAINING.model_copy(update={"scratch": "$FAST_DISK", "steps": 3})
    process = world.command(training=training)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert os.listdir(world.folder / "fast")  # noqa: PTH208  the lock's file alone
    assert not copies(world)
