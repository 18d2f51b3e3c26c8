"""The file that a download grows in: owned by one process, kept when that process is killed."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from cryosamu.files import writing_failed
from cryosamu.locks import one_at_a_time


class PartialFile:
    """DESTINATION.part, opened to append; a second process waits until the first is done.

    On leaving the context what has arrived stays for the next try; an empty file is removed.
    """

    def __init__(self, destination: Path) -> None:
        self.destination = destination
        self.path = destination.with_name(f"{destination.name}.part")

    def __enter__(self) -> PartialFile:
        with ExitStack() as opened:
            try:
                self._hold = opened.enter_context(one_at_a_time(self.path))
                self._file = opened.enter_context(open(self.path, "ab", buffering=0))
            except OSError as error:
                raise writing_failed(self.path, error) from error
            self._opened = opened.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._opened:
            if self.size == 0:
                self.path.unlink(missing_ok=True)

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
        """Give the file its name, once its bytes are on the disk.

        Raises
        ------
        CryosamuError
            When another process took over meanwhile: the bytes may be a mixture.
        """
        os.fsync(self._file.fileno())
        self._hold.check()
        os.replace(self.path, self.destination)
