"""Running a command while the archive is served."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from cryosamu.errors import CryosamuError

MIRROR_ROOT_VARIABLE = "CRYOSAMU_MIRROR_ROOT"


def run_beside(url: str, command: Sequence[str]) -> int:
    """Run a command with the archive's address in its environment; return its exit status.

    SIGINT and SIGTERM are passed on to it; a command that a signal ended gives 128 + its number,
    as in a shell.

    Raises
    ------
    CryosamuError
        When the command cannot be started.
    """
    environment = {**os.environ, MIRROR_ROOT_VARIABLE: url}
    try:
        child = subprocess.Popen(list(command), env=environment)
    except OSError as error:
        raise CryosamuError(
            f"'{command[0]}' could not be started ({error.strerror}); check the command after --."
        ) from error
    with _passing_on_signals(child):
        status = child.wait()
    return status if status >= 0 else 128 - status


@contextmanager
def _passing_on_signals(child: subprocess.Popen[bytes]) -> Iterator[None]:
    def pass_on(number: int, _: FrameType | None) -> None:
        if not (number == signal.SIGINT and _is_foreground()):
            child.send_signal(number)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_foreground() -> bool:
    """Return whether a terminal's Ctrl-C goes to this process, and so to its child directly."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)
