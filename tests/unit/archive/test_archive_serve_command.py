"""`cryosamu archive serve`: alone, or around a command whose end and signals are its own."""

from __future__ import annotations

import gzip
import os
import signal
import socket
import sys
import time

import pytest
import requests
from tiny_archive import MAPS

SERVE = ("archive", "serve", "--port", "0", "--root", "archive")
VISIT = (
    "import os, sys, urllib.request as u;"
    "url = os.environ['CRYOSAMU_MIRROR_ROOT'];"
    "opener = u.build_opener(u.ProxyHandler({}));"
    "print(opener.open(url + '/www.ebi.ac.uk/emdb/api/entry/EMD-0001').status);"
    "sys.exit(7)"
)


def test_a_port_in_use_is_one_sentence(archive, start):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = start("archive", "serve", "--port", str(port), "--root", str(archive.root))
        out, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert out == ""
    assert err.startswith(f"cryosamu: Port {port} ")
    assert err.count("\n") == 1


@pytest.mark.usefixtures("archive")
def test_a_command_runs_beside_the_archive(archive, start):
    archive.add_entry("EMD-0001")
    process = start(*SERVE, "--", sys.executable, "-c", VISIT)
    out, err = process.communicate(timeout=30)
    assert (out, process.returncode) == ("200\n", 7)
    assert "archive at http://127.0.0.1:" in err


@pytest.mark.usefixtures("archive")
def test_a_command_that_does_not_exist(start):
    process = start(*SERVE, "--", "no-such-command")
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "'no-such-command' could not be started" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.usefixtures("archive")
def test_signals_reach_the_command(start, number, tmp_path):
    waiting = (
        "import pathlib, signal, sys, time;"
        f"signal.signal({int(number)}, lambda *_: sys.exit(9));"
        "pathlib.Path('ready').touch();"
        "time.sleep(30)"
    )
    process = start(*SERVE, "--", sys.executable, "-c", waiting)
    deadline = time.monotonic() + 20
    while not (tmp_path / "ready").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(number)
    process.communicate(timeout=20)
    assert process.returncode == 9


@pytest.mark.usefixtures("archive")
def test_a_command_that_a_signal_ends(start):
    process = start(*SERVE, "--", "sh", "-c", "kill -KILL $$")
    process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGKILL


def test_without_a_command_it_serves_until_interrupted(archive, start):
    archive.add_map("EMD-0001", b"map")
    process = start(*SERVE)
    url = process.stdout.readline().removeprefix("archive at ").strip()
    with requests.Session() as session:
        session.trust_env = False
        answer = session.get(f"{url}/{MAPS}/EMD-0001/map/emd_0001.map.gz", timeout=5)
    assert gzip.decompress(answer.content) == b"map"
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert (err, process.returncode) == ("", 0)
