"""A real HTTP server on loopback that misbehaves as it is told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeVar

Behaviour = Callable[["Handler"], None]


Server = TypeVar("Server", bound=ThreadingHTTPServer)


class HostileServer(ThreadingHTTPServer):
    """Each path has a list of behaviours, one a request; the last one stays."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.behaviours: dict[str, list[Behaviour]] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.connections: set[tuple[str, int]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def asked(self, path: str) -> list[dict[str, str]]:
        """Return the headers of all requests for a path, in order."""
        return [headers for name, headers in self.requests if name == path]

    def handle_error(self, request, client_address) -> None:
        """Clients that are killed or give up are part of the tests."""


class Handler(BaseHTTPRequestHandler):
    server: HostileServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.path.split("?")[0].removeprefix("/")
        self.server.requests.append((path, dict(self.headers)))
        self.server.connections.add(self.client_address)
        script = self.server.behaviours.get(path, [status(404)])
        (script.pop(0) if len(script) > 1 else script[0])(self)

    do_POST = do_GET  # noqa: N815

    def head(self, code: int, headers: dict[str, str]) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@contextmanager
def running(server: Server) -> Iterator[Server]:
    """Serve from a thread for the length of a with block."""
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def _asked_offset(handler: Handler) -> int:
    return int(handler.headers.get("Range", "bytes=0-")[6:-1])


def give(
    data: bytes,
    ranges: bool = True,
    cut: int | None = None,
    claimed: int | None = None,
    most: int | None = None,
    first: int = 0,
    piece: int | None = None,
    delay: float = 0.0,
    **headers: str,
) -> Behaviour:
    """Send a file: at most to byte `cut`, with a `claimed` length; `first` bytes, then in pieces
    with delays.

    Of a range that is asked for, an honest server may still send only the first `most` bytes.
    """

    def behave(handler: Handler) -> None:
        start = _asked_offset(handler) if ranges else 0
        total = len(data) if claimed is None else claimed
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        if start and start >= total:
            handler.head(416, {"Content-Range": f"bytes */{total}", "Content-Length": "0"})
            return
        end = total if most is None else start + most
        if start:
            more["Content-Range"] = f"bytes {start}-{end - 1}/{total}"
        handler.head(206 if start else 200, {"Content-Length": str(end - start), **more})
        body = data[start : end if cut is None else cut]
        step = piece or max(len(body), 1)
        handler.wfile.write(body[:first])
        for position in range(first, len(body), step):
            handler.wfile.write(body[position : position + step])
            handler.wfile.flush()
            time.sleep(delay)
        handler.close_connection = cut is not None or claimed is not None

    return behave


def chunked(data: bytes, whole: bool = True) -> Behaviour:
    """Send a file without a length, in chunks; without its end if not `whole`."""

    def behave(handler: Handler) -> None:
        handler.head(200, {"Transfer-Encoding": "chunked"})
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        handler.wfile.write(b"0\r\n\r\n" if whole else b"")
        handler.close_connection = True

    return behave


def status(code: int, **headers: str) -> Behaviour:
    """Answer with a status and nothing else."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda handler: handler.head(code, {"Content-Length": "0", **named})


def page(text: str, kind: str = "text/html") -> Behaviour:
    """Answer with a page."""
    body = text.encode()
    return lambda handler: (
        handler.head(200, {"Content-Type": kind, "Content-Length": str(len(body))}),
        handler.wfile.write(body),
    )[0]
