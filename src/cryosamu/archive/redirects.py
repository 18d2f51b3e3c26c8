"""Where an archive may send us on to: only to the archives that the configuration names."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urljoin

import requests
from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from cryosamu.config import ArchiveSettings

Origin = tuple[str, str, int]
"""Scheme, host and port."""

_PORTS = {"http": 80, "https": 443}


class ElsewhereError(Exception):
    """A redirect to an address that is none of the configured archives."""


class UnledSession(requests.Session):
    """A session that follows no redirect: `requests` would also read its body, however long."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Say that there is nowhere to go."""


def trusted_origins(settings: ArchiveSettings) -> frozenset[Origin]:
    """Return the origins that may be asked: the mirror root's alone, else all configured ones."""
    if settings.mirror_root is not None:
        return frozenset({_origin(settings.mirror_root)})
    return frozenset(_origin(address) for address in _addresses(settings))


def _addresses(settings: ArchiveSettings) -> Iterator[str]:
    for value in settings.model_dump().values():
        for text in (value,) if isinstance(value, str) else value if _is_many(value) else ():
            if str(text).startswith(("http://", "https://")):
                yield str(text)


def _is_many(value: object) -> bool:
    return isinstance(value, (tuple, list))


def redirect_target(response: requests.Response, trusted: frozenset[Origin]) -> str | None:
    """Return the address that an answer redirects to, or None if it does not.

    A change from https to http leaves the origin, and so does another port; a change from http
    to https does not.

    Raises
    ------
    ElsewhereError
        When it leads out of `trusted`; its text is the address.
    """
    if not response.is_redirect:
        return None
    location = response.headers["Location"]
    try:
        target = urljoin(response.url, location)
        scheme, host, port = _origin(target)
    except (ValueError, LocationParseError, KeyError):
        raise ElsewhereError(location) from None
    upgraded = (scheme, port) == ("https", 443) and ("http", host, 80) in trusted
    if (scheme, host, port) not in trusted and not upgraded:
        raise ElsewhereError(target)
    return target


def _origin(address: str) -> Origin:
    """Split an address with the very parser that connects to it."""
    parts = parse_url(address)
    scheme = parts.scheme or ""
    return scheme, parts.host or "", parts.port or _PORTS[scheme]
