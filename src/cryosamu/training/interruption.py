"""Stopping soon when asked to, so that no finished step is lost."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StoppedError(Exception):
    """A step or a validation was given up in its middle; it counts as never begun."""


class StopRequest:
    """Whether someone asked to stop."""

    def __init__(self) -> None:
        self.made = False

    def make(self, _number: int, _frame: FrameType | None) -> None:
        """Note the request; a second Ctrl-C does not wait."""
        if self.made:
            raise KeyboardInterrupt
        self.made = True

    def heed(self) -> None:
        """Give up what is being computed if a stop was asked for.

        Raises
        ------
        StoppedError
        """
        if self.made:
            raise StoppedError


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Turn Ctrl-C and SIGTERM (a cluster's end of time) into a request, inside the block."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    former = {
        number: signal.signal(number, request.make) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield request
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
