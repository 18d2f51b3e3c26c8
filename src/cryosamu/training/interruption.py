"""Stopping soon when asked to, so that no finished step is lost.

Python runs a signal's handler in the main thread, between two of its own instructions; a backward
pass or a wait for other processes is one instruction and may take minutes, while a cluster kills
half a minute after its warning. So a thread of its own is told of each signal at once, and keeps
what is finished while the main thread still computes.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from cryosamu.errors import CryosamuError

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
"""Ctrl-C, the end of a job's time, and what `sbatch --signal=USR1@60` sends before it."""


class StoppedError(Exception):
    """A step or a validation was given up in its middle; it counts as never begun."""


class StopRequest:
    """Whether someone asked to stop."""

    def __init__(self) -> None:
        self.made = False

    def make(self, number: int, _frame: FrameType | None) -> None:
        """Note the request; a second Ctrl-C does not wait."""
        if self.made and number == signal.SIGINT:
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
def stop_requests(keep: Callable[[], None]) -> Iterator[StopRequest]:
    """Turn `SIGNALS` into a request, inside the block.

    Parameters
    ----------
    keep
        Called in another thread as soon as a signal comes, whatever the main thread does.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    heard, told = os.pipe()
    os.set_blocking(told, False)
    watcher = threading.Thread(target=_keep_when_told, args=(heard, keep), name="stop-requests")
    watcher.start()
    former_wakeup = signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    former = {number: signal.signal(number, request.make) for number in SIGNALS}
    try:
        yield request
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(former_wakeup)
        os.close(told)
        watcher.join()
        os.close(heard)


def _keep_when_told(heard: int, keep: Callable[[], None]) -> None:
    """Read the numbers of signals until the pipe is closed."""
    while number := os.read(heard, 1):
        if number[0] in SIGNALS:
            # Whoever ends the training writes once more, and tells of what prevents it.
            with suppress(CryosamuError):
                keep()
