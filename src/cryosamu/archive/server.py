"""A small archive on this machine, with the very paths of EMDB and RCSB below its root.

A folder HOST/PATH holds what https://HOST/PATH would give, but for three things: records bear
the suffix .json, RCSB's answer about a model is data.rcsb.org/graphql/ID.json, and searches are
worked out from the records. Files named in `truncated.json` are always cut at half.
"""

from __future__ import annotations

import errno
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO
from urllib.parse import parse_qsl, unquote, urlsplit

from cryosamu.archive.model_search import search_models
from cryosamu.archive.search import QueryError, search_csv
from cryosamu.errors import CryosamuError

EMBEDDED = Path(__file__).parent / "embedded"
"""The demo's archive."""

_ENTRIES = "www.ebi.ac.uk/emdb/api/entry"
_SEARCH = "www.ebi.ac.uk/emdb/api/search/"
_GRAPHQL = "data.rcsb.org/graphql"
_REMOVED = "data.rcsb.org/rest/v1/holdings/removed"
_MODEL_SEARCH = "search.rcsb.org/rcsbsearch/v2/query"
_LONGEST_QUESTION_BYTES = 2**20


class ArchiveServer(ThreadingHTTPServer):
    """Serves one folder on the loopback address.

    Parameters
    ----------
    root
        The folder of hosts.
    port
        0 takes a free one.

    Raises
    ------
    CryosamuError
        When the folder is not an archive or the port cannot be had.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, root: Path, port: int = 0) -> None:
        self.root = root.resolve()
        if not (self.root / _ENTRIES).is_dir():
            raise CryosamuError(f"{root}: is not an archive; it has no folder {_ENTRIES}.")
        try:
            super().__init__(("127.0.0.1", port), _Handler)
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            raise CryosamuError(
                f"Port {port} on this machine cannot be used ({error.strerror}); "
                "choose another with --port, or 0 for any free one."
            ) from error

    @property
    def url(self) -> str:
        """The mirror root to put into the settings."""
        return f"http://127.0.0.1:{self.server_port}"

    @contextmanager
    def running(self) -> Iterator[ArchiveServer]:
        """Serve from a thread for the length of a with block."""
        thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.shutdown()
            self.server_close()

    def file_for(self, path: str) -> Path | None:
        """Return the file for a decoded path, or None where there is none below the root."""
        parts = path.split("/")
        if len(parts) < 2 or any(part in ("", ".", "..") or "\0" in part for part in parts):
            return None
        if str(PurePosixPath(path).parent) in (_ENTRIES, _REMOVED):
            path = f"{path}.json"
        file = (self.root / path).resolve()
        return file if file.is_relative_to(self.root) and file.is_file() else None

    def is_cut(self, file: Path) -> bool:
        """Return whether this file's transfer must break off."""
        names = self.root / "truncated.json"
        return names.is_file() and file.name in json.loads(names.read_text(encoding="utf-8"))

    def models(self, identifiers: list[str]) -> list[object]:
        """Return RCSB's descriptions of the models that there are."""
        files = (self.file_for(f"{_GRAPHQL}/{name.upper()}.json") for name in identifiers)
        return [json.loads(file.read_text(encoding="utf-8")) for file in files if file]


class _Handler(BaseHTTPRequestHandler):
    server: ArchiveServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 60

    def do_GET(self) -> None:
        """Answer a search, or give a file or a range of it."""
        address = urlsplit(self.path)
        path = unquote(address.path).removeprefix("/")
        if path.startswith(_SEARCH):
            self._search(path.removeprefix(_SEARCH), dict(parse_qsl(address.query)))
        elif (file := self.server.file_for(path)) is not None:
            self._file(file)
        else:
            self._fail(404, f"{path} is not in this archive")

    do_HEAD = do_GET  # noqa: N815

    def do_POST(self) -> None:
        """Answer RCSB's batched question about models, or its search for them."""
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > _LONGEST_QUESTION_BYTES:
            self.close_connection = True
            return self._fail(400, "the question has no length, or is too long")
        body = self.rfile.read(int(length))
        asked = unquote(urlsplit(self.path).path).removeprefix("/")
        if asked not in (_GRAPHQL, _MODEL_SEARCH):
            return self._fail(404, "there is nothing to be asked here")
        try:
            question = json.loads(body)
        except ValueError:
            return self._fail(400, "the question is not JSON")
        return self._describe(question) if asked == _GRAPHQL else self._search_models(question)

    def _describe(self, question: Any) -> None:
        try:
            identifiers = [str(name) for name in question["variables"]["ids"]]
        except (KeyError, TypeError):
            return self._fail(400, "the question has no variables.ids")
        answer = {"data": {"entries": self.server.models(identifiers)}}
        return self._send("application/json", json.dumps(answer))

    def _search_models(self, question: Any) -> None:
        try:
            found = search_models(self.server.root / _GRAPHQL, question)
        except QueryError as error:
            return self._fail(400, str(error))
        if found is not None:
            return self._send("application/json", json.dumps(found))
        self.send_response(204)
        return self.end_headers()

    def _search(self, query: str, parameters: dict[str, str]) -> None:
        try:
            answer = search_csv(self.server.root / _ENTRIES, query, parameters)
        except QueryError as error:
            self._fail(400, str(error))
        else:
            self._send("text/csv", answer)

    def _file(self, file: Path) -> None:
        size = file.stat().st_size
        span = _requested(self.headers.get("Range"), size)
        if span is None:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{size}")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        start, end = span
        self.send_response(206 if "Range" in self.headers else 200)
        if "Range" in self.headers:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Type", _content_type(file))
        self.send_header("Content-Length", str(end - start))
        self.end_headers()
        if self.server.is_cut(file):
            end = min(end, size // 2)
            self.close_connection = True
        if self.command == "GET":
            with file.open("rb") as source:
                self._copy(source, start, end)
        return None

    def _copy(self, source: BinaryIO, start: int, end: int) -> None:
        source.seek(start)
        while start < end and (piece := source.read(min(2**18, end - start))):
            self.wfile.write(piece)
            start += len(piece)

    def _fail(self, status: int, reason: str) -> None:
        self._send("text/plain", f"{reason}\n", status)

    def _send(self, kind: str, text: str, status: int = 200) -> None:
        body = text.encode("utf-8")
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def handle(self) -> None:
        """Answer until the client goes; one that goes in the middle is no fault of ours."""
        try:
            super().handle()
        except ConnectionError:
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the demo's own lines matter more."""


def _requested(header: str | None, size: int) -> tuple[int, int] | None:
    """Return the bytes [start, end) asked for by a Range header, or None if there are none."""
    if header is None:
        return 0, size
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", header.strip())
    if found is None or found[0] == "bytes=-":
        return None
    if not found[1]:
        start, end = max(0, size - int(found[2])), size
    else:
        start = int(found[1])
        end = min(size, int(found[2]) + 1) if found[2] else size
    return (start, end) if start < end else None


def _content_type(file: Path) -> str:
    return "application/json" if file.suffix == ".json" else "application/gzip"
