"""Shards: which members of the data set one job takes, and which of them need making at all.

A cluster should see hundreds of jobs for tens of thousands of entries. So a stage's members are
dealt to a fixed number of shards by their id alone, and none ever moves. What a shard's job is to
do stands in its work list, a small text file: the job reruns when that file's content changes. In
the job each member is made and kept on its own, so that a changed or killed shard makes again
only what is not there yet or is made from something else.
"""

from __future__ import annotations

import json
import sys
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from tqdm import tqdm

from cryosamu.errors import CryosamuError
from cryosamu.files import require_file, write_text
from cryosamu.provenance import digest_of
from cryosamu.workers import in_processes

Argument = TypeVar("Argument")


def shard_of(identifier: str, shards: int) -> int:
    """Return the shard, from 0, that an id belongs to: CRC-32 of the id, modulo their number."""
    return zlib.crc32(identifier.encode()) % shards


def shard_name(number: int, shards: int) -> str:
    """Return a shard's name: its number with leading zeros, so that names sort as numbers."""
    return str(number).zfill(len(str(shards - 1)))


def member_folder(root: Path, identifier: str) -> Path:
    """Return the sub-folder for a member's own files, so that no folder ever holds them all.

    Named by the last two digits of an EMDB id (EMD-3488: 88), by the last two characters but one
    of a PDB id (5NI1: NI), as the archives do. Not by shard: members that are dealt anew find
    what was made of them, and no older twin lies elsewhere.
    """
    return root / (identifier[-2:] if identifier.startswith("EMD-") else identifier[-3:-1])


def write_work(
    folder: Path, members: Iterable[Mapping[str, Any]], shards: int, by: str = "emdb_id"
) -> None:
    """Write FOLDER/SHARD.jsonl for every shard, one member a line, sorted; empty lists too.

    Parameters
    ----------
    members
        Plain JSON values; the same ones give the same bytes in whatever order they come.
    by
        The column whose value deals a member to its shard.
    """
    lines: list[list[str]] = [[] for _ in range(shards)]
    for member in members:
        line = json.dumps(dict(member), sort_keys=True, ensure_ascii=False)
        lines[shard_of(str(member[by]), shards)].append(line)
    for number, chosen in enumerate(lines):
        text = "".join(f"{line}\n" for line in sorted(chosen))
        write_text(folder / f"{shard_name(number, shards)}.jsonl", text)


def read_work(path: Path, columns: Sequence[str]) -> list[dict[str, Any]]:
    """Return the members of a work list, in its order.

    Raises
    ------
    CryosamuError
        When the file is missing, a line is no JSON object, or one lacks one of `columns`.
    """
    text = require_file(path, "work list").read_text(encoding="utf-8", errors="replace")
    members = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            member = json.loads(line)
        except json.JSONDecodeError:
            member = None
        if not isinstance(member, dict):
            raise CryosamuError(f"{path} line {number}: is not a JSON object; make the list anew.")
        if lacking := [name for name in columns if name not in member]:
            raise CryosamuError(f"{path} line {number}: lacks {lacking[0]}; make the list anew.")
        members.append(member)
    return members


@dataclass(frozen=True)
class Task(Generic[Argument]):
    """One member's piece of work.

    Attributes
    ----------
    name
        Such as EMD-1234: what messages call it.
    argument
        What the making function is given.
    follows_from
        Plain JSON values that the outputs follow from: checksums, settings, a digest of the code.
    outputs
        The files that making it leaves; the first one's name is also the stamp's.
    perhaps
        Files that making it may leave or not, such as the map of a method that can fail.
    """

    name: str
    argument: Argument
    follows_from: Mapping[str, Any]
    outputs: tuple[Path, ...]
    perhaps: tuple[Path, ...] = ()

    @property
    def stamp(self) -> Path:
        """The small file beside the outputs that says what they were made from."""
        first = self.outputs[0]
        return first.with_name(f"{first.name}.made")

    def digest(self) -> str:
        """Return a digest of all that the outputs follow from."""
        return digest_of(dict(self.follows_from))

    def is_made(self) -> bool:
        """Return whether all outputs are there, at their lengths, made from the same things."""
        try:
            stamp = json.loads(self.stamp.read_text(encoding="utf-8"))
            return bool(stamp == self._stamp())
        except (OSError, ValueError):
            return False

    def keep(self) -> None:
        """Write the stamp, when the outputs are there."""
        write_text(self.stamp, json.dumps(self._stamp(), sort_keys=True) + "\n")

    def _stamp(self) -> dict[str, Any]:
        sizes = {output.name: output.stat().st_size for output in self.outputs}
        left = (output for output in self.perhaps if output.exists())
        sizes |= {output.name: output.stat().st_size for output in left}
        return {"digest": self.digest(), "bytes": sizes}


@dataclass(frozen=True)
class Made:
    """How many tasks were made now, how many were there, and what failed, by name and reason."""

    made: int
    kept: int
    failed: dict[str, str]

    def summary(self, what: str) -> str:
        """Return a line such as "7 pairs prepared, 3 kept, 1 failed"."""
        text = f"{self.made} {what}, {self.kept} kept"
        return f"{text}, {len(self.failed)} failed" if self.failed else text

    def require_all(self, what: str) -> None:
        """Raise a CryosamuError that names what failed, if anything did."""
        if self.failed:
            name, reason = next(iter(self.failed.items()))
            others = f" (and {len(self.failed) - 1} more)" if len(self.failed) > 1 else ""
            raise CryosamuError(f"{name}{others} could not be {what}: {reason}")


def make_tasks(
    tasks: Sequence[Task[Argument]],
    make: Callable[[Argument], None],
    what: str,
    workers: int = 1,
) -> Made:
    """Make each task whose outputs are not there or follow from something else.

    A task that fails with a sentence does not stop the others. Each is kept as soon as it is
    made, so that an interrupted call goes on where it was.

    Parameters
    ----------
    make
        Writes a task's outputs; importable by its name.
    what
        The verb of messages: "prepared".
    workers
        Processes that make tasks at a time; they do not change the result.
    """
    missing = [task for task in tasks if not task.is_made()]
    failed: dict[str, str] = {}
    results = in_processes(partial(_make, make), missing, workers)
    for name, reason in tqdm(results, total=len(missing), desc=what, disable=None):
        if reason is not None:
            failed[name] = reason
            tqdm.write(f"failed {name}: {reason}", file=sys.stderr)
    return Made(len(missing) - len(failed), len(tasks) - len(missing), failed)


def _make(make: Callable[[Argument], None], task: Task[Argument]) -> tuple[str, str | None]:
    task.stamp.unlink(missing_ok=True)
    try:
        make(task.argument)
    except CryosamuError as error:
        return task.name, str(error)
    task.keep()
    return task.name, None
