"""Reading an answer's body as it comes, and telling a slow transfer from one that never ends."""

from __future__ import annotations

import time
from collections.abc import Iterator

import requests
from urllib3.exceptions import HTTPError

_PIECE_BYTES = 2**18
_SLOWEST_BYTES_A_SECOND = 1024


class BrokenTransferError(Exception):
    """The connection ended, or came to a crawl, before the body did; the text says how."""


def pieces(
    response: requests.Response, patience_seconds: float, unpack: bool = False
) -> Iterator[bytes]:
    """Yield a body, each piece as soon as it arrives.

    Speed is judged over each stretch of `patience_seconds`, so that a good start excuses nothing:
    a connection that trickles never runs into a time limit on single reads.

    Parameters
    ----------
    unpack
        Whether to undo a compression that was made for the transfer alone.

    Raises
    ------
    BrokenTransferError
        When the connection breaks off or crawls.
    """
    began, gained = time.monotonic(), 0
    try:
        while piece := response.raw.read1(_PIECE_BYTES, decode_content=unpack):
            yield piece
            gained += len(piece)
            elapsed = time.monotonic() - began
            if elapsed > patience_seconds:
                if gained < elapsed * _SLOWEST_BYTES_A_SECOND:
                    raise BrokenTransferError(f"it came at {gained / elapsed:.0f} bytes a second")
                began, gained = time.monotonic(), 0
    except (HTTPError, OSError):
        raise BrokenTransferError("the connection breaks off") from None
