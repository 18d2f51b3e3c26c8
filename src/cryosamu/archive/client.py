"""Asking an archive over HTTP: politely, patiently, and without trusting the answer."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Mapping
from http import HTTPStatus
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import BaseHTTPResponse, Retry

from cryosamu.archive.urls import is_loopback, through_mirror
from cryosamu.config import ArchiveSettings
from cryosamu.errors import ArchiveError

_PASSING_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
_LONGEST_WAIT_SECONDS = 300.0
_LARGEST_ANSWER_BYTES = 256 * 2**20
_PIECE_BYTES = 2**16


class RefusalError(ArchiveError):
    """A definite answer that asking once more would not change: no such file, a broken file."""


class _PatientRetry(Retry):
    """Retry that honours Retry-After, but not for hours."""

    def get_retry_after(self, response: BaseHTTPResponse) -> float | None:
        seconds = super().get_retry_after(response)
        return None if seconds is None else min(seconds, _LONGEST_WAIT_SECONDS)


class ArchiveClient:
    """A session with the archives: retries with back-off and jitter, one delay a host, timeouts.

    Addresses are given as the archives publish them; a mirror root in the settings is applied
    here and nowhere else. The delay holds within one process.
    """

    def __init__(self, settings: ArchiveSettings) -> None:
        self.settings = settings
        self._earliest: dict[str, float] = {}
        self._session = requests.Session()
        self._session.headers["User-Agent"] = (
            f"CryoSAMU/{version('cryosamu')} python-requests/{requests.__version__}"
        )
        self._session.max_redirects = 5
        if settings.mirror_root is not None and is_loopback(settings.mirror_root):
            self._session.trust_env = False
        retry = _PatientRetry(
            total=settings.retries,
            allowed_methods=frozenset({"GET", "POST"}),
            status_forcelist=_PASSING_STATUS,
            backoff_factor=settings.seconds_between_requests,
            backoff_jitter=settings.seconds_between_requests,
            backoff_max=_LONGEST_WAIT_SECONDS,
            raise_on_status=False,
        )
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=retry))

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def __enter__(self) -> ArchiveClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(
        self,
        url: str,
        headers: Mapping[str, str] | None = None,
        payload: Any = None,
        also_accept: frozenset[int] = frozenset(),
    ) -> requests.Response:
        """Ask for `url` and return the answer with its body still to be read.

        Parameters
        ----------
        url
            The address as the archive publishes it.
        payload
            JSON to POST; a plain GET without it.
        also_accept
            Status codes beyond 200 and 206 that are the caller's to judge.

        Raises
        ------
        RefusalError
            When the archive says that it will not give this.
        ArchiveError
            When there is no answer, or only "not now", after all retries.
        """
        asked = through_mirror(self.settings, url)
        self._wait_for_turn(asked)
        try:
            response = self._session.request(
                "GET" if payload is None else "POST",
                asked,
                headers=headers,
                json=payload,
                stream=True,
                timeout=self.settings.timeout_seconds,
            )
        except requests.RequestException as error:
            raise ArchiveError(
                f"{asked}: gives no answer ({_reason(error)}); check the network and run again."
            ) from error
        if response.status_code in {200, 206} | also_accept:
            return response
        response.close()
        said = f"answers {response.status_code} ({_phrase(response.status_code)})"
        if response.status_code in _PASSING_STATUS:
            tries = self.settings.retries + 1
            raise ArchiveError(f"{asked}: {said} after {tries} tries; run again later.")
        raise RefusalError(f"{url}: {said}.")

    def text(self, url: str, payload: Any = None) -> str:
        """Return a whole answer as text; an answer that breaks off is asked for again.

        Raises
        ------
        ArchiveError
            As `open`, and when the answer is endless, never whole, or not UTF-8.
        """
        for failures in range(self.settings.retries + 1):
            with self.open(url, payload=payload) as response:
                try:
                    return _whole_body(response, url).decode("utf-8")
                except UnicodeDecodeError as error:
                    raise RefusalError(f"{url}: the answer is not text in UTF-8.") from error
                except requests.RequestException:
                    self.pause(failures)
        raise ArchiveError(f"{url}: the answer always breaks off; run again later.")

    def json(self, url: str, payload: Any = None) -> Any:
        """Return an answer as parsed JSON.

        Raises
        ------
        ArchiveError
            As `text`, and when the answer is not JSON.
        """
        text = self.text(url, payload)
        try:
            return json.loads(text)
        except ValueError as error:
            start = " ".join(text.split())[:40]
            raise RefusalError(
                f"{url}: the answer is not JSON (it starts with '{start}')."
            ) from error

    def pause(self, failures: int) -> None:
        """Wait after the `failures`-th failure in a row (from 0): back-off with jitter."""
        delay = self.settings.seconds_between_requests
        time.sleep(min(delay * (2**failures + random.random()), _LONGEST_WAIT_SECONDS))

    def _wait_for_turn(self, asked: str) -> None:
        host = urlsplit(asked).netloc
        wait = self._earliest.get(host, 0.0) - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        self._earliest[host] = time.monotonic() + self.settings.seconds_between_requests


def _whole_body(response: requests.Response, url: str) -> bytes:
    body = bytearray()
    for piece in response.iter_content(_PIECE_BYTES):
        body += piece
        if len(body) > _LARGEST_ANSWER_BYTES:
            raise RefusalError(f"{url}: the answer is longer than {_LARGEST_ANSWER_BYTES} bytes.")
    return bytes(body)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "an unknown status"


def _reason(error: BaseException) -> str:
    """Return the innermost cause of a failed request in few words."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(words.split())[:120] or type(error).__name__
