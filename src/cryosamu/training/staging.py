"""Prepared pairs on a disk of the machine's own, where random crops are read fast.

A shared file system answers many small reads slowly, and a training makes nothing else. The
copies are compared with the checksums in their records when they arrive and when they are found
from an earlier call. Processes and runs of one machine share them; the last to end removes them.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from tqdm import tqdm

from cryosamu.errors import ConfigError, CryosamuError
from cryosamu.files import atomic_path, require_file, sha256_of
from cryosamu.training.parallel import Processes

_SPARE_BYTES = 64 << 20


@dataclass(frozen=True)
class Scratch:
    """Where copies go.

    Attributes
    ----------
    setting
        A folder, in which $VARIABLES and ~ are filled in.
    keep
        Whether the copies stay for the next call.
    """

    setting: str
    keep: bool = False

    def folder(self) -> Path:
        """Return the folder.

        Raises
        ------
        ConfigError
            When a variable in its name is not set.
        """
        path = os.path.expandvars(Path(self.setting).expanduser())
        if unset := re.search(r"\$\{?(\w+)", path):
            raise ConfigError(
                f"the scratch folder is '{self.setting}', and {unset.group(1)} is not set here; "
                "name a folder that exists on this machine."
            )
        return Path(path)


@contextmanager
def staged_pairs(
    arrays: Mapping[str, Path], prepared: Path, scratch: Scratch, processes: Processes
) -> Iterator[Path]:
    """Yield a folder of the scratch disk with copies of prepared pairs and their records.

    Parameters
    ----------
    arrays
        EMDB id to the prepared file; its record lies beside it.
    prepared
        The folder that they come from: its name tells its copies from another data set's.

    Raises
    ------
    CryosamuError
        When there is not enough room, or a copy is not what its record says.
    """
    name = f"cryosamu-pairs-{sha256(str(prepared.resolve()).encode()).hexdigest()[:16]}"
    folder = scratch.folder() / name
    with _in_use(folder, scratch.keep):
        if processes.local_rank == 0:
            _copy_missing(arrays, folder)
        processes.wait()
        yield folder


@contextmanager
def _in_use(folder: Path, keep: bool) -> Iterator[None]:
    """Mark the folder as in use; at the end remove it unless another process uses it."""
    lock = folder.with_name(f"{folder.name}.lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise CryosamuError(
            f"{folder}: cannot be written ({error.strerror}); name another scratch folder."
        ) from error
    try:
        # A lock of the kernel's, which a killed process holds no longer.
        fcntl.flock(handle, fcntl.LOCK_SH)
        folder.mkdir(exist_ok=True)
        yield
    finally:
        if not keep and _is_last(handle):
            shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


def _is_last(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _copy_missing(arrays: Mapping[str, Path], folder: Path) -> None:
    digests = {emdb_id: _recorded_digest(path) for emdb_id, path in arrays.items()}
    missing = [one for one, digest in digests.items() if not _is_there(folder, one, digest)]
    needed = sum(arrays[emdb_id].stat().st_size for emdb_id in missing)
    free = shutil.disk_usage(folder).free
    if missing and needed + _SPARE_BYTES > free:
        raise CryosamuError(
            f"{folder.parent}: has {free / 1e9:.2f} GB free, and the {len(missing)} pairs that are "
            f"to be copied there take {needed / 1e9:.2f} GB; make room, or train without scratch."
        )
    with tqdm(total=needed, desc="stage", unit="B", unit_scale=True, disable=None) as bar:
        for emdb_id in missing:
            source = arrays[emdb_id]
            _copy(source, digests[emdb_id], folder / source.name)
            bar.update(source.stat().st_size)
    for source in arrays.values():
        shutil.copyfile(source.with_suffix(".json"), folder / f"{source.stem}.json")


def _recorded_digest(array: Path) -> str:
    path = require_file(array.with_suffix(".json"), "record of a prepared pair")
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["sha256"])
    except (ValueError, KeyError, TypeError) as error:
        raise CryosamuError(f"{path}: is not a record of 'cryosamu prepare'.") from error


def _is_there(folder: Path, emdb_id: str, digest: str) -> bool:
    copy = folder / f"{emdb_id}.npy"
    return copy.is_file() and sha256_of(copy) == digest


def _copy(source: Path, digest: str, destination: Path) -> None:
    with atomic_path(destination) as temporary:
        shutil.copyfile(source, temporary)
        if sha256_of(temporary) != digest:
            raise CryosamuError(
                f"{source}: its copy in {destination.parent} does not have the SHA-256 that its "
                "record names; try again, and if it stays so, prepare the pair again."
            )
