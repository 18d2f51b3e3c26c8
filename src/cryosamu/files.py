"""Writing files so that a half-written one never bears its final name."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path

from cryosamu.errors import CryosamuError
from cryosamu.processes import is_gone, this_host

_CHUNK_BYTES = 1 << 20
_PART = ".part-"
_PART_NAME = re.compile(r"\.part-([0-9a-f]{8})-(\d+)-[0-9a-f]{12}(\..*)?")
_ABANDONED_SECONDS = 7 * 24 * 3600
_tidied: set[Path] = set()
_WRITING_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EROFS)


@contextmanager
def atomic_path(destination: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `destination`, renamed to it when the block ends well.

    The temporary name keeps the suffixes of the destination, since writers choose their format
    by them. On any exception, an interrupt included, the temporary file and the folders made for it
    are removed and the destination stays as it was.

    Raises
    ------
    CryosamuError
        When the folder cannot be written, the disk is full, or the destination is a device.
    """
    with _temporary_beside(Path(destination)) as temporary:
        yield temporary
        _move(temporary, Path(destination))


@contextmanager
def atomic_paths(destinations: Sequence[Path]) -> Iterator[list[Path]]:
    """Yield a temporary path beside each destination; all are renamed when the block ends well.

    All or nothing: on any exception, an interrupt included and while they are being renamed too,
    every destination is what it was before.

    Raises
    ------
    CryosamuError
        As `atomic_path`.
    """
    with ExitStack() as stack:
        temporaries = [stack.enter_context(_temporary_beside(path)) for path in destinations]
        yield temporaries
        _move_all(list(zip(temporaries, destinations, strict=True)))


@contextmanager
def _temporary_beside(destination: Path) -> Iterator[Path]:
    # Named before it is made, so that an interrupt between the two leaves nothing.
    ending = "".join(destination.suffixes)[-40:]
    temporary = _part_beside(destination, ending)
    new_folders: list[Path] = []
    try:
        try:
            if destination.exists() and not (destination.is_file() or destination.is_dir()):
                raise CryosamuError(
                    f"{destination}: is a device or a pipe, not a file; name a file."
                )
            around = (destination.parent, *destination.parent.parents)
            new_folders += [folder for folder in around if not folder.exists()]
            destination.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            _tidy(temporary)
        except OSError as error:
            if error.errno == errno.ENOENT and destination.parent.is_dir():
                error.strerror = "its folder takes no new files"
            raise writing_failed(destination, error) from error
        yield temporary
    except OSError as error:
        # numpy reports a short write as a bare OSError without a number.
        short_write = type(error) is OSError and error.errno is None
        if short_write or error.errno in _WRITING_ERRORS:
            raise writing_failed(destination, error) from error
        raise
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        # Those that hold nothing: the result's folder stays.
        with suppress(OSError):
            for folder in new_folders:
                folder.rmdir()


def _part_beside(destination: Path, ending: str) -> Path:
    """Return a name that no other run uses, and that says who uses it."""
    writer = f"{_host()}-{os.getpid()}-{uuid.uuid4().hex[:12]}"
    return destination.parent / f"{_PART}{writer}{ending}"


@cache
def _host() -> str:
    return hashlib.sha256(this_host().encode()).hexdigest()[:8]


def _tidy(own: Path) -> None:
    """Remove what killed processes left in the folder of our own, just made temporary file.

    Once a process and folder. This host's processes are looked up; of another host it cannot be
    known whether it lives, so its files stay until nobody wrote to them for a week, by the clock of
    the file system alone.
    """
    folder = own.parent.absolute()
    if folder in _tidied:
        return
    _tidied.add(folder)
    with suppress(OSError):
        now = own.stat().st_mtime
        for part in list(folder.glob(f"{_PART}*")):
            with suppress(OSError):
                if _is_abandoned(part, now):
                    part.unlink()


def _is_abandoned(part: Path, now: float) -> bool:
    """Tell whether whoever wrote this temporary file is gone, at a time in seconds."""
    parsed = _PART_NAME.fullmatch(part.name)
    if parsed is None or not part.is_file():
        return False
    host, pid = parsed[1], int(parsed[2])
    if host == _host():
        return is_gone(pid)
    return now - part.stat().st_mtime > _ABANDONED_SECONDS


def _move_all(moves: list[tuple[Path, Path]]) -> None:
    """Rename each temporary path to its destination, or leave all destinations as they were."""
    olds = {destination: _part_beside(destination, ".old") for _, destination in moves}
    try:
        for destination, old in olds.items():
            # Where a file system has no links, an old file is lost if a rename fails.
            with suppress(OSError):
                os.link(destination, old)
        for temporary, destination in moves:
            _move(temporary, destination)
    except BaseException:
        for temporary, destination in moves:
            # Gone from its temporary name: it was renamed, even if an interrupt came right then.
            if not temporary.exists():
                if olds[destination].exists():
                    os.replace(olds[destination], destination)
                else:
                    destination.unlink(missing_ok=True)
        raise
    finally:
        for old in olds.values():
            with suppress(OSError):
                old.unlink(missing_ok=True)


def _move(temporary: Path, destination: Path) -> None:
    try:
        _give_default_permissions(temporary)
        os.replace(temporary, destination)
    except OSError as error:
        raise writing_failed(destination, error) from error


def _give_default_permissions(path: Path) -> None:
    """Undo the private mode of a temporary file: the result is as readable as any other file."""
    mask = os.umask(0)
    os.umask(mask)
    path.chmod(0o666 & ~mask)


def writing_failed(destination: Path, error: OSError) -> CryosamuError:
    """Return the sentence for a file that could not be written."""
    reason = error.strerror or str(error)
    return CryosamuError(f"{destination}: could not be written ({reason}); nothing was left.")


def write_text(destination: Path | str, text: str) -> None:
    """Write a text file under a temporary name, then rename it."""
    with atomic_path(destination) as temporary:
        temporary.write_text(text, encoding="utf-8")


def sha256_of(path: Path | str) -> str:
    """Return the hexadecimal SHA-256 of a file, read in pieces of 1 MiB."""
    digest = hashlib.sha256()
    with open(path, "rb") as handle:
        while piece := handle.read(_CHUNK_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def require_file(path: Path | str, what: str) -> Path:
    """Return `path` as a Path, or say in one sentence that it is not a file.

    Parameters
    ----------
    what
        The name of the thing in the user's words, such as "map" or "model".

    Raises
    ------
    CryosamuError
        When it does not exist, or is a folder.
    """
    path = Path(path)
    if not path.is_file():
        state = "is a folder, not a file" if path.is_dir() else "does not exist"
        raise CryosamuError(f"{path}: this {what} {state}; check the path.")
    return path


def require_checksum(path: Path | str, sha256: str, what: str) -> Path:
    """Return `path` as a Path when the file is there and has this SHA-256.

    Raises
    ------
    CryosamuError
        When it does not exist, or has another content.
    """
    path = require_file(path, what)
    if sha256_of(path) != sha256:
        raise CryosamuError(
            f"{path}: is not the {what} that the work list names (its SHA-256 is another); remove "
            "it and run again, or make the list anew."
        )
    return path
