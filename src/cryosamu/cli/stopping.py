"""A request to end (SIGTERM, SIGHUP) cleans up like Ctrl-C, instead of leaving half-written files.

A job's time-out, `docker stop` and a closed terminal end a process by these signals, and without a
handler nothing after them is run: temporary files would stay.
"""

from __future__ import annotations

import os
import signal
from types import FrameType

_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


class StoppedBySignal(KeyboardInterrupt):
    """Raised where the process is asked to end; whoever cleans up after Ctrl-C cleans up after it.

    Attributes
    ----------
    number
        Of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def heed_requests_to_end() -> None:
    """Raise `StoppedBySignal` in the main thread when the process is asked to end.

    Signals that somebody else handles or ignores (`nohup`) are left alone, and so are forked
    children: they end by the signal itself, as if this had not been called.
    """
    owner = os.getpid()

    def stop(number: int, _frame: FrameType | None) -> None:
        if os.getpid() != owner:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
            return
        # A second one must not break off the cleaning up.
        for one in _SIGNALS:
            signal.signal(one, signal.SIG_IGN)
        raise StoppedBySignal(number)

    for number in _SIGNALS:
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, stop)
