"""The file that a download grows in: owned by one process, kept when that process is killed."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from cryosamu.files import writing_failed


class PartialFile:
    """DESTINATION.part, opened to append; a second process waits until the first is done.

    On leaving the context what has arrived stays for the next try; an empty file is removed.
    """

    def __init__(self, destination: Path) -> None:
        self.destination = destination
        self.path = destination.with_name(f"{destination.name}.part")

    def __enter__(self) -> PartialFile:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = _open_and_own(self.path)
        except OSError as error:
            raise writing_failed(self.path, error) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.size == 0:
            self.path.unlink(missing_ok=True)
        self._file.close()

    @property
    def size(self) -> int:
        """Bytes that have arrived."""
        return os.fstat(self._file.fileno()).st_size

    def append(self, piece: bytes) -> None:
        """Write a piece so that it outlives this process; on a full disk, give the room back.

        Raises
        ------
        CryosamuError
            When the piece cannot be written.
        """
        try:
            rest = memoryview(piece)
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            self.cut(0)
            raise writing_failed(self.path, error) from error

    def cut(self, size: int) -> None:
        """Forget what lies beyond `size` bytes."""
        self._file.truncate(size)

    def finish(self) -> None:
        """Give the file its name, once its bytes are on the disk."""
        os.fsync(self._file.fileno())
        os.replace(self.path, self.destination)


def _open_and_own(path: Path) -> BinaryIO:
    while True:
        file = open(path, "a+b", buffering=0)  # noqa: SIM115
        _lock(file)
        if path.exists() and path.stat().st_ino == os.fstat(file.fileno()).st_ino:
            return file
        file.close()  # its owner finished meanwhile and renamed or removed it


def _lock(file: BinaryIO) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
