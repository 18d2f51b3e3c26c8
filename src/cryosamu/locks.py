"""One process at a time, whichever host it runs on, without the file system's own locks.

NFS may lack `flock`, or keep it within one host. What NFS (3 and later) does well is to create a
file only where there is none. So a claim is a file that names its holder; who creates it holds
the lock, touches it every few seconds and removes it. A claim without a sign of life is cleared:
at once where its process is seen to be gone, else once it has stood still for `STALE_SECONDS` of
the waiting process's own clock, so that no two clocks are compared.
"""

from __future__ import annotations

import errno
import json
import os
import random
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from cryosamu.errors import CryosamuError
from cryosamu.processes import is_gone, this_host

HEARTBEAT_SECONDS = 10.0
STALE_SECONDS = 120.0
_SHORTEST_WAIT_SECONDS = 0.005
_LONGEST_WAIT_SECONDS = 0.5
_NOT_THERE = (errno.ENOENT, errno.ESTALE)


@dataclass(frozen=True)
class _Claim:
    """What a claim's file says.

    Attributes
    ----------
    token
        Names this claim and no other.
    host, pid
        Its process; the host is empty where the file says nothing of it.
    touched
        Its time of change in nanoseconds: a sign of life when it changes, whatever its value.
    """

    token: str
    host: str
    pid: int
    touched: int

    @property
    def process_is_gone(self) -> bool:
        """Whether this host ran the process and runs it no more."""
        return self.host == this_host() and is_gone(self.pid)


class Hold:
    """A lock that is held; it can be lost only by not running for `STALE_SECONDS`."""

    def __init__(self, lock: Path, token: str) -> None:
        self._lock = lock
        self._token = token
        self._done = threading.Event()
        self._touched = time.monotonic()
        self._heart = threading.Thread(target=self._beat, name=f"lock {lock.name}", daemon=True)
        self._heart.start()

    def check(self) -> None:
        """To be called before a result is made final.

        Raises
        ------
        CryosamuError
            When another process took over because this one stood still for too long.
        """
        if not self._ours():
            raise CryosamuError(
                f"{self._lock}: this process stood still for so long that another one took over; "
                "run again."
            )

    def release(self) -> None:
        """Remove the claim, unless others may be about to clear it: then it is left to them."""
        self._done.set()
        self._heart.join()
        if time.monotonic() - self._touched < STALE_SECONDS / 2 and self._ours():
            self._lock.unlink(missing_ok=True)

    def _ours(self) -> bool:
        claim = _read(self._lock)
        return claim is not None and claim.token == self._token

    def _beat(self) -> None:
        while not self._done.wait(HEARTBEAT_SECONDS):
            with suppress(OSError):  # a network that is away comes back, or the claim gets stale
                if not self._ours():
                    return
                os.utime(self._lock)
                self._touched = time.monotonic()


class _Waiting:
    """A process that waits for a lock, and what it has seen of the claims in its way."""

    def __init__(self) -> None:
        self._seen: dict[Path, tuple[_Claim, float]] = {}

    def take(self, lock: Path) -> str:
        """Return the token of our claim once we hold the lock."""
        wait = _SHORTEST_WAIT_SECONDS
        while (token := _create(lock)) is None:
            self._clear(lock)
            time.sleep(wait * random.uniform(0.5, 1))
            wait = min(2 * wait, _LONGEST_WAIT_SECONDS)
        return token

    def _clear(self, lock: Path) -> None:
        """Remove a claim whose holder is gone.

        One process alone may remove it: the one that creates a second claim, named after the
        first. Else a slow one would remove the next holder's.
        """
        claim = _read(lock)
        if claim is None or not self._is_stale(lock, claim):
            return
        second = lock.with_name(f"{lock.name}.{claim.token}")
        if _create(second) is None:
            self._clear(second)  # who was to remove the first may be gone as well
            return
        again = _read(lock)
        if again is not None and again.token == claim.token:
            lock.unlink(missing_ok=True)
        second.unlink(missing_ok=True)

    def _is_stale(self, lock: Path, claim: _Claim) -> bool:
        seen, since = self._seen.get(lock, (None, 0.0))
        if claim != seen:
            since = time.monotonic()
            self._seen[lock] = claim, since
        return claim.process_is_gone or time.monotonic() - since >= STALE_SECONDS


@contextmanager
def one_at_a_time(path: Path) -> Iterator[Hold]:
    """Let one process at a time work on `path`; the others wait.

    The claim is `path` + ".lock"; it is gone when all is done. What must not be done twice should
    be made final only after `Hold.check`.

    Parameters
    ----------
    path
        What is worked on; its folder is made.

    Raises
    ------
    OSError
        When the folder cannot be written; what is worked on is for the caller to name.
    """
    lock = path.with_name(f"{path.name}.lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    hold = Hold(lock, _Waiting().take(lock))
    try:
        yield hold
    finally:
        hold.release()


def _create(lock: Path) -> str | None:
    """Create a claim of this process and return its token; None where there is one already."""
    record = {"host": this_host(), "pid": os.getpid(), "nonce": secrets.token_hex(16)}
    content = json.dumps(record).encode()
    try:
        handle = os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    except FileExistsError:
        return None
    try:
        os.write(handle, content)
    except OSError:
        lock.unlink(missing_ok=True)
        raise
    finally:
        os.close(handle)
    return _token(content)


def _read(lock: Path) -> _Claim | None:
    """Return the claim as the server has it now: NFS asks anew at each opening."""
    try:
        with open(lock, "rb") as handle:
            content = handle.read()
            touched = os.fstat(handle.fileno()).st_mtime_ns
    except OSError as error:
        if error.errno in _NOT_THERE:
            return None
        raise
    try:
        record = json.loads(content)
        return _Claim(_token(content), str(record["host"]), int(record["pid"]), touched)
    except (ValueError, TypeError, KeyError):
        # Not written yet, or its process was killed before it could write it.
        return _Claim(_token(content + str(touched).encode()), "", 0, touched)


def _token(content: bytes) -> str:
    return sha256(content).hexdigest()[:16]
