"""Other people's programs: found, run without a shell, their time and memory measured."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from cryosamu.errors import CryosamuError

_VERSION_SECONDS = 60
_LAST_LINES = 3
_KILLED = {signal.SIGKILL, signal.SIGTERM}
_REQUESTS_TO_END = (signal.SIGTERM, signal.SIGHUP)


class KilledError(CryosamuError):
    """A program was ended by something else, such as for lack of memory: no failure of its own."""


@dataclass(frozen=True)
class Usage:
    """What a run took.

    Attributes
    ----------
    seconds
        Wall time.
    peak_megabytes
        Resident memory of its largest process, descendants included that it waited for; Linux
        counts from what the calling process had reached when it started the program.
    """

    seconds: float
    peak_megabytes: float


def find_program(name: str, given: Path | str | None = None) -> str:
    """Return the path of a program: the one that was given, or the first on PATH.

    Raises
    ------
    CryosamuError
        When it is not there or cannot be executed.
    """
    found = shutil.which(str(given) if given else name)
    if found is None and given:
        raise CryosamuError(f"{given}: is not a program that can be run; check the path of {name}.")
    if found is None:
        raise CryosamuError(f"{name} was not found on PATH; install it, or give its path.")
    return found


def version_of(arguments: Sequence[str]) -> str:
    """Return the first line that a program prints of its version; "unknown" where it does not."""
    try:
        done = subprocess.run(
            arguments, capture_output=True, text=True, timeout=_VERSION_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    return lines[0] if done.returncode == 0 and lines else "unknown"


def run_program(arguments: Sequence[str], folder: Path, log: Path) -> Usage:
    """Run a program in a folder, what it prints into `log`, and measure it.

    On an interrupt (SIGINT, SIGTERM, SIGHUP) the program and all that it started are ended.

    Raises
    ------
    KilledError
        When it, or what it called last, was killed.
    CryosamuError
        When it cannot be started or ends with a status other than 0; the log's last lines are
        told.
    """
    began = time.perf_counter()
    with log.open("wb") as handle, _requests_to_end_raised():
        try:
            process = subprocess.Popen(
                arguments,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=handle,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise CryosamuError(f"{arguments[0]}: cannot be run ({error.strerror}).") from error
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
    process.returncode = os.waitstatus_to_exitcode(status)
    # As a shell says it, too.
    if -process.returncode in _KILLED or process.returncode - 128 in _KILLED:
        raise KilledError(
            f"{Path(arguments[0]).name} was killed, most often for lack of memory; run again with "
            f"more memory. See {log}."
        )
    if process.returncode != 0:
        lines = log.read_text(errors="replace").splitlines()
        said = " ".join(line.strip() for line in lines[-_LAST_LINES:]) or "it said nothing"
        raise CryosamuError(
            f"{Path(arguments[0]).name} ended with status {process.returncode} ({said}); see {log}."
        )
    return Usage(time.perf_counter() - began, usage.ru_maxrss / 1024)


class _AskedToEnd(BaseException):
    """Raised where this process is asked to end by a signal that nobody else heeds."""


@contextmanager
def _requests_to_end_raised() -> Iterator[None]:
    """Clean up before this process ends by SIGTERM or SIGHUP; then it ends by that signal.

    Where somebody handles or ignores them already (`cryosamu` itself raises, `nohup` ignores), and
    beside the main thread, nothing is changed.
    """
    heard: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        # A second one must not break off the cleaning up.
        for one in ours:
            signal.signal(one, signal.SIG_IGN)
        heard.append(number)
        raise _AskedToEnd

    in_main = threading.current_thread() is threading.main_thread()
    ours = [one for one in _REQUESTS_TO_END if in_main and signal.getsignal(one) is signal.SIG_DFL]
    for one in ours:
        signal.signal(one, stop)
    try:
        yield
    finally:
        for one in ours:
            signal.signal(one, signal.SIG_DFL)
        if heard:
            signal.raise_signal(heard[0])
