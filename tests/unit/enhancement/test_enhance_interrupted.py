"""That the command, ended from outside, leaves what was there before and nothing else."""

import signal
import subprocess
import sys
import time

import pytest
from enhance_process import arguments_of, started
from real_protein import RESOLUTION, write_inputs

ALL = ("--keep-1A", "--also-low-passed", "--resolution", str(RESOLUTION))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ubiquitin")
    write_inputs(folder)
    return folder


@pytest.mark.parametrize(
    ("number", "status", "word"),
    [
        (signal.SIGINT, 130, "interrupted; nothing was written"),
        (signal.SIGTERM, 143, "ended by SIGTERM; nothing was written"),
        (signal.SIGHUP, 129, "ended by SIGHUP; nothing was written"),
    ],
)
def test_a_signal_during_the_work_leaves_nothing(folder, tmp_path, number, status, word):
    """A real one, sent from outside once the outputs have their temporary files."""
    output = tmp_path / "new" / "a.mrc"
    process = started(arguments_of(folder, output, *ALL))
    while process.poll() is None and not list(tmp_path.iterdir()):
        time.sleep(0.02)
    process.send_signal(number)
    _, told = process.communicate(timeout=120)
    assert process.returncode == status
    assert told.splitlines()[-1] == f"cryosamu: {word}."
    assert "Traceback" not in told
    assert list(tmp_path.iterdir()) == []


BETWEEN = """
import os, signal
from cryosamu.enhancement import map_file
from cryosamu import files
def after(function, name):
    def then(*given, **others):
        function(*given, **others)
        if str(given[-1]).endswith(name) or name == "maps" and "confidence" in given[-1]:
            os.kill(os.getpid(), signal.SIGINT)
    return then
"""


@pytest.mark.parametrize(
    "where",
    [
        "map_file.write_map = after(map_file.write_map, 'maps')",
        "os.replace = after(os.replace, 'a_confidence.mrc')",
    ],
)
def test_ctrl_c_between_writes_leaves_what_was_there_before(folder, tmp_path, where):
    (tmp_path / "a.json").write_text("old")
    process = started(arguments_of(folder, tmp_path / "a.mrc", *ALL), BETWEEN + where)
    _, told = process.communicate(timeout=120)
    assert process.returncode == 130, told
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    assert (tmp_path / "a.json").read_text() == "old"


def in_child(statement):
    """Run `statement` after the handlers were installed; return the exit status."""
    script = f"""
import os, signal, sys
{statement}
"""
    return subprocess.run([sys.executable, "-c", script], check=False).returncode


def test_what_is_ignored_stays_ignored_and_forked_children_end_by_the_signal():
    heed = "from cryosamu.cli.stopping import heed_requests_to_end; heed_requests_to_end()"
    nohup = f"signal.signal(signal.SIGHUP, signal.SIG_IGN); {heed}; os.kill(os.getpid(), 1)"
    assert in_child(nohup) == 0
    forked = f"""{heed}
child = os.fork()
if not child:
    signal.raise_signal(signal.SIGTERM)
    os._exit(0)
sys.exit(os.WTERMSIG(os.waitpid(child, 0)[1]))
"""
    assert in_child(forked) == signal.SIGTERM


def test_a_second_request_does_not_break_off_the_cleaning_up():
    script = """
from cryosamu.cli.stopping import StoppedBySignal, heed_requests_to_end
heed_requests_to_end()
try:
    signal.raise_signal(signal.SIGTERM)
except StoppedBySignal as request:
    signal.raise_signal(signal.SIGTERM)
    sys.exit(request.number)
"""
    assert in_child(script) == signal.SIGTERM
