"""Asking an archive over HTTP: politely, patiently, and without trusting the answer."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter

from cryosamu.archive.pace import BrokenTransferError, pieces
from cryosamu.archive.patience import LONGEST_WAIT_SECONDS, PatientRetry
from cryosamu.archive.redirects import (
    ElsewhereError,
    UnledSession,
    redirect_target,
    trusted_origins,
)
from cryosamu.archive.turns import Turns
from cryosamu.archive.urls import is_loopback, through_mirror
from cryosamu.config import ArchiveSettings
from cryosamu.errors import ArchiveError

_BUSY_STATUS = frozenset({429, 503})
_PASSING_STATUS = frozenset({408, 425, 500, 502, 504}) | _BUSY_STATUS
_MOST_REDIRECTS = 5
_NOTHING = frozenset({204})
_LARGEST_ANSWER_BYTES = 256 * 2**20


Parsed = TypeVar("Parsed")


class RefusalError(ArchiveError):
    """A definite answer that asking once more would not change: no such file, a broken file."""


class NotThereError(RefusalError):
    """There is nothing under this address (404)."""


class NoAnswerError(ArchiveError):
    """No answer, or none but "not now", after all tries; `said` is what came instead."""

    def __init__(self, asked: str, said: str, advice: str) -> None:
        super().__init__(f"{asked}: {said}; {advice}.")
        self.said = said


class BusyError(NoAnswerError):
    """The archive asks us to come back later."""


class ArchiveClient:
    """A session with the archives: retries with back-off and jitter, one delay a host, timeouts.

    Addresses are given as the archives publish them; a mirror root in the settings is applied
    here and nowhere else.

    Parameters
    ----------
    store
        All processes with the same store keep the delay together; None keeps it for this client.
    """

    def __init__(self, settings: ArchiveSettings, store: Path | None = None) -> None:
        self.settings = settings
        self._turns = Turns(
            settings.seconds_between_requests, store and store / "archive" / "turns"
        )
        self._session = UnledSession()
        self._session.headers["User-Agent"] = (
            f"CryoSAMU/{version('cryosamu')} python-requests/{requests.__version__}"
        )
        self._trusted = trusted_origins(settings)
        if settings.mirror_root is not None and is_loopback(settings.mirror_root):
            self._session.trust_env = False
        retry = PatientRetry(
            total=settings.retries,
            allowed_methods=frozenset({"GET", "POST"}),
            status_forcelist=_PASSING_STATUS,
            backoff_factor=settings.seconds_between_requests,
            backoff_jitter=settings.seconds_between_requests,
            backoff_max=LONGEST_WAIT_SECONDS,
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
        response = self._follow(url, asked, headers, payload)
        if response.status_code in {200, 206} | also_accept:
            return response
        response.close()
        said = f"answers {response.status_code} ({_phrase(response.status_code)})"
        if response.status_code in _PASSING_STATUS:
            tries = self.settings.retries + 1
            kind = BusyError if response.status_code in _BUSY_STATUS else NoAnswerError
            raise kind(asked, f"{said} after {tries} tries", "run again later")
        if response.status_code == HTTPStatus.NOT_FOUND:
            raise NotThereError(f"{url}: {said}.")
        raise RefusalError(f"{url}: {said}.")

    def _follow(
        self, url: str, asked: str, headers: Mapping[str, str] | None, payload: Any
    ) -> requests.Response:
        """Ask, and go where the archive sends us on to, as long as it is an archive of ours."""
        for _ in range(_MOST_REDIRECTS + 1):
            self._turns.wait(urlsplit(asked).netloc)
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
                said = f"gives no answer ({_reason(error)})"
                raise NoAnswerError(asked, said, "check the network and run again") from error
            try:
                target = redirect_target(response, self._trusted)
            except ElsewhereError as elsewhere:
                response.close()
                raise RefusalError(
                    f"{url}: redirects to {elsewhere}, which is none of the configured archives; "
                    "if it has moved there, change its address in the configuration."
                ) from None
            if target is None:
                return response
            response.close()
            asked = target
        raise RefusalError(f"{url}: redirects more than {_MOST_REDIRECTS} times.")

    def is_up(self, url: str) -> bool:
        """Return whether the host of `url` answers at all now, be it with a refusal."""
        scheme, host = urlsplit(url)[:2]
        asked = through_mirror(self.settings, f"{scheme}://{host}/")
        with UnledSession() as impatient:
            impatient.headers.update(self._session.headers)
            impatient.trust_env = self._session.trust_env
            try:
                response = impatient.get(
                    asked,
                    stream=True,
                    timeout=self.settings.timeout_seconds,
                )
            except requests.RequestException:
                return False
            response.close()
            return response.status_code not in _PASSING_STATUS

    def read(self, url: str, parse: Callable[[str], Parsed], payload: Any = None) -> Parsed:
        """Return a whole answer, parsed; one that breaks off or is not such is asked for again.

        Parameters
        ----------
        parse
            Turns the text into what it stands for; raises ValueError where it cannot.

        Raises
        ------
        ArchiveError
            As `open`, and when the answer is endless, never whole, or never to be parsed.
        """
        fault = ""
        for failures in range(self.settings.retries + 1):
            if failures:
                self.pause(failures - 1)
            with self.open(url, payload=payload, also_accept=_NOTHING) as response:
                try:
                    text = self._whole_body(response, url).decode("utf-8")
                    if not text and response.status_code not in _NOTHING:
                        raise ValueError("is empty")
                    return parse(text)
                except UnicodeDecodeError:
                    fault = "is not text in UTF-8"
                except BrokenTransferError as broken:
                    fault = f"always breaks off ({broken})"
                except ValueError as error:
                    fault = str(error)
        raise ArchiveError(f"{url}: the answer {fault}; run again later.")

    def text(self, url: str, payload: Any = None) -> str:
        """Return a whole answer as text.

        Raises
        ------
        ArchiveError
            As `read`.
        """
        return self.read(url, str, payload)

    def json(self, url: str, payload: Any = None) -> Any:
        """Return an answer as parsed JSON; None where there is nothing to give (204).

        Raises
        ------
        ArchiveError
            As `read`.
        """
        return self.read(url, _parsed_json, payload)

    def pause(self, failures: int) -> None:
        """Wait after the `failures`-th failure in a row (from 0): back-off with jitter."""
        delay = self.settings.seconds_between_requests
        time.sleep(min(delay * (2**failures + random.random()), LONGEST_WAIT_SECONDS))

    def _whole_body(self, response: requests.Response, url: str) -> bytes:
        body = bytearray()
        for piece in pieces(response, self.settings.timeout_seconds, unpack=True):
            body += piece
            if len(body) > _LARGEST_ANSWER_BYTES:
                raise RefusalError(
                    f"{url}: the answer is longer than {_LARGEST_ANSWER_BYTES} bytes."
                )
        return bytes(body)


def _parsed_json(text: str) -> Any:
    if not text:
        return None
    try:
        return json.loads(text)
    except ValueError:
        start = " ".join(text.split())[:40]
        raise ValueError(f"is not JSON (it starts with '{start}')") from None


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
