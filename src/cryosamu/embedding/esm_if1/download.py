"""Fetching one large file of known size and checksum, resumably."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import IO

from tqdm import tqdm

from cryosamu.errors import CryosamuError
from cryosamu.locks import one_at_a_time

_CHUNK_BYTES = 1 << 20
_TIMEOUT_SECONDS = 60


def download(url: str, destination: Path, size: int, sha256: str) -> None:
    """Fetch `url` to `destination` unless it is there already.

    The pieces go to `destination` + ".part", which a later call continues. The file gets its name
    only when size and checksum are right. Several processes at once wait for the first.

    Raises
    ------
    CryosamuError
        With the reason as a phrase, for the caller's sentence.
    """
    try:
        with one_at_a_time(destination) as hold:
            if not destination.is_file():
                part = destination.with_name(destination.name + ".part")
                _complete(part, url, size, sha256)
                hold.check()
                os.replace(part, destination)
    except OSError as error:
        reason = error.strerror or str(error)
        raise CryosamuError(f"{destination} could not be written: {reason}") from error


def _complete(part: Path, url: str, size: int, sha256: str) -> None:
    """Bring the partial file to its full size and check it.

    A broken connection is taken up again as long as each attempt brings something.
    """
    with _Partial(part) as partial:
        while partial.size < size:
            before = partial.size
            problem = _fetch_rest(url, partial, size)
            if partial.size <= before:
                raise CryosamuError(problem)
        found = partial.digest.hexdigest()
        complete = partial.size == size and found == sha256
    if not complete:
        part.unlink()
        raise CryosamuError(
            f"the server sent another file: at least {partial.size:,} bytes of SHA-256 {found}, "
            f"not {size:,} bytes of {sha256}"
        )


class _Partial:
    """A file that grows, with its size and checksum so far."""

    def __init__(self, path: Path) -> None:
        self._handle: IO[bytes] = open(path, "ab+")  # noqa: SIM115  closed on exit
        self._handle.seek(0)
        self.digest = hashlib.sha256()
        self.size = 0
        while piece := self._handle.read(_CHUNK_BYTES):
            self._count(piece)

    def __enter__(self) -> _Partial:
        return self

    def __exit__(self, *_: object) -> None:
        self._handle.close()

    def _count(self, piece: bytes) -> None:
        self.digest.update(piece)
        self.size += len(piece)

    def append(self, piece: bytes) -> None:
        self._handle.write(piece)
        self._count(piece)

    def restart(self) -> None:
        self._handle.truncate(0)
        self.digest, self.size = hashlib.sha256(), 0


def _fetch_rest(url: str, partial: _Partial, size: int) -> str:
    """Append what is missing and return why it ended early, if it did."""
    import requests

    headers = {"Accept-Encoding": "identity"}
    if partial.size:
        headers["Range"] = f"bytes={partial.size}-"
    try:
        with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT_SECONDS) as answer:
            answer.raise_for_status()
            if answer.status_code != requests.codes.partial_content:
                partial.restart()
            with tqdm(
                total=size, initial=partial.size, unit="B", unit_scale=True, disable=None
            ) as progress:
                for piece in answer.iter_content(_CHUNK_BYTES):
                    partial.append(piece)
                    progress.update(len(piece))
                    if partial.size > size:
                        break
    except requests.HTTPError as error:
        return f"the server answered {error.response.status_code} {error.response.reason}"
    except requests.RequestException as error:
        return f"the server did not answer ({type(error).__name__})"
    return f"the connection ended after {partial.size:,} of {size:,} bytes"
