"""The resumable download against a real server on loopback."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from cryosamu.embedding.esm_if1.download import download
from cryosamu.errors import CryosamuError

CONTENT = bytes(range(256)) * 20_000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves CONTENT; its attributes say how badly."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked = []
        self.cut_after = None
        self.knows_ranges = True
        self.content = CONTENT
        self.status = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/weights.pt"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        wanted = self.headers.get("Range")
        server.asked.append(wanted)
        if server.status:
            self.send_error(server.status)
            return
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        start = start if server.knows_ranges else 0
        body = server.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if server.cut_after is None else body[: server.cut_after])

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def destination(tmp_path):
    return tmp_path / "cache" / "weights.pt"


def test_a_whole_file_once(server, destination):
    for _ in range(2):
        download(server.url, destination, len(CONTENT), SHA256)
    assert destination.read_bytes() == CONTENT
    assert server.asked == [None]
    assert not list(destination.parent.glob("*.part"))


def test_a_broken_connection_is_taken_up_where_it_broke(server, destination):
    server.cut_after = 3_000_000
    download(server.url, destination, len(CONTENT), SHA256)
    assert destination.read_bytes() == CONTENT
    assert server.asked[0] is None
    assert server.asked[1].startswith("bytes=")
    assert server.asked[1] != "bytes=0-"


def test_an_earlier_part_is_continued(server, destination):
    destination.parent.mkdir()
    (destination.parent / "weights.pt.part").write_bytes(CONTENT[:1_234_567])
    download(server.url, destination, len(CONTENT), SHA256)
    assert destination.read_bytes() == CONTENT
    assert server.asked == ["bytes=1234567-"]


def test_a_server_without_ranges_is_asked_for_all_again(server, destination):
    server.knows_ranges = False
    destination.parent.mkdir()
    (destination.parent / "weights.pt.part").write_bytes(b"x" * 1000)
    download(server.url, destination, len(CONTENT), SHA256)
    assert destination.read_bytes() == CONTENT


@pytest.mark.parametrize("content", [CONTENT[:-1] + b"!", CONTENT + b"more", b"<html>" + CONTENT])
def test_another_file_is_refused_and_not_kept(server, destination, content):
    server.content = content
    with pytest.raises(CryosamuError, match="sent another file"):
        download(server.url, destination, len(CONTENT), SHA256)
    assert not list(destination.parent.glob("weights.pt*t"))


def test_an_end_too_soon_keeps_what_came(server, destination):
    server.content = CONTENT[:5000]
    with pytest.raises(CryosamuError, match=r"5,000 of 5,120,000 bytes|answered 416"):
        download(server.url, destination, len(CONTENT), SHA256)
    assert not destination.exists()
    assert (destination.parent / "weights.pt.part").stat().st_size == 5000


def test_a_refusal_is_quoted(server, destination):
    server.status = 404
    with pytest.raises(CryosamuError, match="answered 404 Not Found"):
        download(server.url, destination, len(CONTENT), SHA256)
    assert server.asked == [None]


def test_a_folder_that_cannot_be_made_is_named(server, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(CryosamuError, match="could not be written"):
        download(server.url, tmp_path / "file" / "weights.pt", len(CONTENT), SHA256)


def test_those_who_come_at_once_fetch_it_once(server, destination):
    arguments = (server.url, destination, len(CONTENT), SHA256)
    threads = [threading.Thread(target=download, args=arguments) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert destination.read_bytes() == CONTENT
    assert server.asked == [None]
