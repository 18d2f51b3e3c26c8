"""Fixtures of the archive's tests: a tiny archive, a hostile server, the command line."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
from hostile_server import HostileServer, running
from tiny_archive import TinyArchive

from cryosamu.archive import server as server_module
from cryosamu.archive.client import ArchiveClient
from cryosamu.archive.fetch import Fetched, fetch, wanted_map
from cryosamu.archive.server import ArchiveServer
from cryosamu.archive.snapshot import Snapshot
from cryosamu.config import ArchiveSettings

PROGRAM = (
    "from cryosamu.cli import main; main.COMMANDS = ('catalogue', 'fetch', 'archive'); main.main()"
)


@pytest.fixture
def archive(tmp_path) -> TinyArchive:
    return TinyArchive(tmp_path / "archive")


class CountingServer(ArchiveServer):
    """Remembers the path of every request, without its query, and when it came."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.asked: list[str] = []
        self.moments: list[float] = []
        self.RequestHandlerClass = CountingHandler


class CountingHandler(server_module._Handler):
    def log_request(self, *_: object) -> None:
        self.server.moments.append(time.monotonic())
        self.server.asked.append(unquote(self.path.split("?")[0]).removeprefix("/"))


@pytest.fixture
def served(archive) -> Iterator[CountingServer]:
    with CountingServer(archive.root).running() as server:
        yield server


@pytest.fixture
def snapshot(tmp_path) -> Snapshot:
    return Snapshot(tmp_path / "store/archive/answers/test.sqlite")


@pytest.fixture
def hostile() -> Iterator[HostileServer]:
    with running(HostileServer()) as server:
        yield server


@pytest.fixture
def client_for() -> Iterator[Callable[..., ArchiveClient]]:
    """Return a function that opens a client of a server, in haste unless told otherwise."""
    opened: list[ArchiveClient] = []

    def open_client(url: str, **changes: object) -> ArchiveClient:
        haste = {"retries": 2, "seconds_between_requests": 0, "timeout_seconds": 5}
        opened.append(ArchiveClient(ArchiveSettings(mirror_root=url, **haste | changes)))
        return opened[-1]

    yield open_client
    for client in opened:
        client.close()


@pytest.fixture
def bring(hostile, client_for, tmp_path) -> Callable[..., Fetched]:
    """Return a function that fetches EMD-0093 from the hostile server into a store."""

    def run(refresh: bool = False, **changes: object) -> Fetched:
        client = client_for(hostile.url, **changes)
        return fetch(client, wanted_map("EMD-93", client.settings, tmp_path / "store"), refresh)

    return run


@pytest.fixture
def place(tmp_path) -> Path:
    """Return where `bring` puts the map."""
    return tmp_path / "store" / "archive" / "maps" / "93" / "emd_0093.map.gz"


@pytest.fixture
def start(tmp_path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Return a function that starts the real command line in a process of its own."""
    started: list[subprocess.Popen[str]] = []

    def start_process(*arguments: str, through: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*through, sys.executable, "-c", PROGRAM, *arguments],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        started.append(process)
        return process

    yield start_process
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def config_file(tmp_path) -> Callable[[str], str]:
    """Return a function that writes a hasty configuration for a server's address."""

    def write(url: str) -> str:
        path = tmp_path / "config.yaml"
        path.write_text(
            f"archive: {{mirror_root: '{url}', retries: 1, seconds_between_requests: 0}}\n"
        )
        return str(path)

    return write
