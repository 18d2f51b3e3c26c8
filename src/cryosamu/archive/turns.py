"""Turns at a host: one request every so many seconds, whichever process asks."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from cryosamu.files import write_text, writing_failed
from cryosamu.locks import one_at_a_time

_LONGEST_QUEUE_SECONDS = 3600.0


class Turns:
    """Books the next free moment at a host, then waits for it.

    All processes with the same folder share the bookings: one small file a host, which holds the
    time of the next free turn and is changed under a lock. What time it is says the clock of the
    file system that the folder lies on, by a touched file: hosts whose clocks differ keep their
    turns. A process that dies holds up nobody, and a file that makes no sense counts as none.

    Parameters
    ----------
    seconds
        Between two turns at one host; 0 never waits and writes nothing.
    folder
        Where the bookings lie; None keeps them within this process.
    """

    def __init__(self, seconds: float, folder: Path | None = None) -> None:
        self.seconds = seconds
        self.folder = folder
        self._booked: dict[str, float] = {}
        self._lock = threading.Lock()

    def wait(self, host: str) -> None:
        """Return when it is our turn to ask `host`.

        Raises
        ------
        CryosamuError
            When the folder cannot be written.
        """
        if self.seconds == 0:
            return
        with self._lock:
            turn = self._book(host)
        time.sleep(max(0.0, turn - time.monotonic()))

    def _book(self, host: str) -> float:
        """Return the moment of our turn by this process's monotonic clock, seconds."""
        if self.folder is None:
            now = time.monotonic()
            turn = _next_free(self._booked.get(host, 0.0), now)
            self._booked[host] = turn + self.seconds
            return turn
        path = self.folder / f"{host.replace(':', '_')}.turn"
        try:
            with one_at_a_time(path):
                path.touch()
                ours, now = time.monotonic(), path.stat().st_mtime
                turn = _next_free(_number(path), now)
                write_text(path, repr(turn + self.seconds))
        except OSError as error:
            raise writing_failed(path, error) from error
        return ours + turn - now


def _next_free(booked: float, now: float) -> float:
    """Return the turn that is free, given what was written down: seconds by one clock.

    One that lies hours ahead is no queue but a clock that was set back.
    """
    return booked if now < booked < now + _LONGEST_QUEUE_SECONDS else now


def _number(path: Path) -> float:
    try:
        return float(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return 0.0
