"""A server in front of a healthy archive that spoils answers by a schedule."""

from __future__ import annotations

import gzip
import socket
import struct
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from email.utils import formatdate
from functools import cache
from http.client import HTTPConnection, IncompleteRead
from http.server import ThreadingHTTPServer

from hostile_server import Behaviour, Handler, chunked, give, page, running, status
from tiny_archive import incompressible

Fault = Callable[[bytes], Behaviour]

HTML = "<!DOCTYPE html><title>Maintenance</title><p>One moment, please.</p>"


def flipped(data: bytes) -> bytes:
    """Return the data with one byte in the middle changed, to one that no UTF-8 text holds."""
    middle = len(data) // 2
    return data[:middle] + b"\xff" + data[middle + 1 :]


def older(data: bytes) -> bytes:
    """Return another, sound file of about the same length."""
    return gzip.compress(incompressible(len(data), seed=zlib.crc32(data)), mtime=0)


@cache
def huge() -> bytes:
    return gzip.compress(incompressible(25_000_000), compresslevel=0, mtime=0)


def reset(handler: Handler) -> None:
    """End the connection rudely."""
    linger = struct.pack("ii", 1, 0)
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True


def nonsense(handler: Handler) -> None:
    handler.wfile.write(b"\x16\x03\x01 this is not HTTP\r\n\r\n")
    handler.close_connection = True


def unended_redirect(handler: Handler) -> None:
    handler.head(302, {"Location": f"{handler.path}?moved", "Content-Length": "1000000"})
    handler.close_connection = True


ANY: Mapping[str, Fault] = {
    "dropped in the middle": lambda data: give(data, cut=len(data) // 2),
    "dropped at once": lambda data: give(data, cut=0),
    "reset": lambda _: reset,
    "no HTTP": lambda _: nonsense,
    "one byte wrong": lambda data: give(flipped(data)),
    "Content-Length too large": lambda data: give(data, claimed=len(data) + 1000),
    "Content-Length too small": lambda data: give(data, claimed=len(data) * 2 // 3),
    "chunks that do not end": lambda data: chunked(data[: len(data) // 2], whole=False),
    "429, Retry-After in seconds": lambda _: status(429, Retry_After="0"),
    "429, Retry-After as a date": lambda _: status(
        429, Retry_After=formatdate(time.time(), usegmt=True)
    ),
    "429, Retry-After nonsense": lambda _: status(429, Retry_After="later"),
    "500": lambda _: status(500),
    "503": lambda _: status(503),
    "HTML": lambda _: page(HTML),
    "trickle": lambda data: give(data, piece=20, delay=0.04),
    "moved within the archive": lambda _: unended_redirect,
}
"""What may befall any answer, and passes."""

FILES: Mapping[str, Fault] = {
    "cut short, honest length": lambda data: give(data[:-20]),
    "changed meanwhile": lambda data: give(older(data), cut=len(data) // 2),
    "no ranges": lambda data: give(data, ranges=False, cut=len(data) // 3),
    "less than the range": lambda data: give(data, most=len(data) // 4, cut=len(data) // 3),
    "empty": lambda _: give(b""),
}
"""What may befall a file, and passes."""

PASSING: Mapping[str, Fault] = {**ANY, **FILES}

LASTING: Mapping[str, Fault] = {
    "404": lambda _: status(404),
    "redirect elsewhere": lambda _: status(302, Location="http://127.0.0.2:9/elsewhere"),
    "redirect to http of another": lambda _: status(301, Location="//evil.example/x"),
    "redirects in a circle": lambda _: lambda handler: status(302, Location=handler.path)(handler),
    "endless": lambda _: chunked(huge(), whole=False),
    "gzip bomb": lambda _: give(gzip.compress(bytes(30_000_000))),
    "HTML": PASSING["HTML"],
    "one byte wrong": PASSING["one byte wrong"],
    "cut short": PASSING["cut short, honest length"],
    "always dropped": PASSING["dropped at once"],
    "500": PASSING["500"],
    "reset": PASSING["reset"],
}
"""What does not pass: the file is lost, by name."""


class HostileArchive(ThreadingHTTPServer):
    """Passes requests on to a healthy archive, and spoils answers.

    Parameters
    ----------
    schedule
        From the address of a question and its turn among all addresses, the names of the faults
        that its first requests meet.
    lasting
        Parts of addresses that meet a fault for ever.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, upstream: str, schedule: Callable[[str, int], Sequence[str]]) -> None:
        super().__init__(("127.0.0.1", 0), _SpoilingHandler)
        self.upstream = upstream.removeprefix("http://")
        self.schedule = schedule
        self.lasting: dict[str, str] = {}
        self.injected: Counter[str] = Counter()
        self._planned: dict[str, list[str]] = {}
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def next_fault(self, address: str) -> Fault | None:
        with self._lock:
            for part, name in self.lasting.items():
                if part in address:
                    self.injected[name] += 1
                    return LASTING[name]
            if address not in self._planned:
                self._planned[address] = list(self.schedule(address, len(self._planned)))
            if not self._planned[address]:
                return None
            name = self._planned[address].pop(0)
            self.injected[name] += 1
            return PASSING[name]

    def handle_error(self, request, client_address) -> None:
        """Clients that give up are part of the tests."""


class _SpoilingHandler(Handler):
    def do_GET(self) -> None:  # noqa: N802
        question = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        code, headers, data = self._ask_upstream(question)
        # The answer for the length of half a file is the archive's own, lasting fault.
        length = int(headers.get("Content-Length", len(data)))
        fault = self.server.next_fault(f"{self.path.removesuffix('?moved')} {question.decode()}")
        if fault is not None:
            fault(data)(self)
        elif code != 200:
            self.head(code, {"Content-Length": str(len(data))})
            self.wfile.write(data)
        elif length != len(data):
            give(data, claimed=length)(self)
        else:
            give(data)(self)

    do_POST = do_GET  # noqa: N815

    def _ask_upstream(self, question: bytes) -> tuple[int, Mapping[str, str], bytes]:
        connection = HTTPConnection(self.server.upstream, timeout=30)
        try:
            connection.request(self.command, self.path.removesuffix("?moved"), question or None)
            response = connection.getresponse()
            try:
                data = response.read()
            except IncompleteRead as error:
                data = error.partial
            return response.status, response.headers, data
        finally:
            connection.close()


def hostile_archive(
    upstream: str, schedule: Callable[[str, int], Sequence[str]]
) -> AbstractContextManager[HostileArchive]:
    return running(HostileArchive(upstream, schedule))
