"""Damaged and hostile map files through the map reader, what prepares a map, and the writer.

Each file is made from its number alone, so a fault found can be made again. A batch of them runs in
a process of its own, under a limit of address space and with a limit of time for each file; its
memory is what numpy and Python allocate (tracemalloc). A file passes where it is read, prepared and
written, or refused in one sentence that names it; the rest are faults: any other exception, a
warning, a dead process, too much time or memory.

    python benchmarks/fuzz_maps.py --files 10000 --output benchmarks/results/fuzz_maps.json
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import signal
import subprocess
import sys
import tempfile
import time
import tracemalloc
import warnings
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType

import numpy as np
from hostile_maps import KINDS, hostile_file

from cryosamu.config import PreparationSettings
from cryosamu.errors import MapError
from cryosamu.files import write_text
from cryosamu.preparation import prepare_input
from cryosamu.provenance import software_versions, source_commit
from cryosamu.volume.grid import grid_shape
from cryosamu.volume.io import read_map, write_map
from cryosamu.volume.volume import Volume

SECONDS = 10.0
ADDRESS_SPACE = 4 << 30
READING_FACTOR, UNPACKED, CONSTANT = 5, 1032, 4 << 20
"""Reading takes this many times the file (times what gzip may grow it by) and a constant."""

WORKING_FACTOR, WORKING_CONSTANT = 8, 4 << 20
"""Preparing takes this many float32 grids, of the larger of map and working grid."""

_BATCH = 2500


@dataclass(frozen=True)
class Outcome:
    """What became of one file.

    Attributes
    ----------
    ending
        "made": read, prepared and written; "refused" by the reader; "unprepared": read, refused
        by what prepares it; "fault".
    told
        The sentence, or the fault, without the file's name.
    reading, preparing
        Most bytes allocated at once, over what is allowed.
    """

    number: int
    kind: str
    ending: str
    told: str
    seconds: float
    reading: float = 0.0
    preparing: float = 0.0


class TooSlow(BaseException):
    """A file took longer than is allowed; not an Exception, so that nothing swallows it."""


def tried(number: int, folder: Path) -> Outcome:
    """Read, prepare and write back file `number`."""
    kind, raw = hostile_file(number)
    path = folder / f"{number}.map"
    path.write_bytes(raw)
    packed = raw[:2] == b"\x1f\x8b" or raw[:3] == b"BZh"
    allowed = READING_FACTOR * len(raw) * (UNPACKED if packed else 1) + CONSTANT
    begun = time.perf_counter()
    used = preparing = 0.0
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    tracemalloc.start()
    try:
        try:
            volume = read_map(path)
        finally:
            used = tracemalloc.get_traced_memory()[1] / allowed
            tracemalloc.reset_peak()
        ending, told, preparing = _prepared(volume, path)
    except MapError as error:
        ending, told = ("refused", str(error).removeprefix(f"{path}: "))
        if told == str(error) or "\n" in told:
            ending, told = "fault", f"no sentence that names the file: {error}"
    except (Exception, TooSlow) as error:
        ending, told = "fault", f"{type(error).__name__}: {error}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        tracemalloc.stop()
        path.unlink()
    if ending != "fault" and max(used, preparing) > 1:
        ending, told = "fault", f"memory: {used:.2f} and {preparing:.2f} of what is allowed"
    seconds = time.perf_counter() - begun
    return Outcome(number, kind, ending, told, seconds, used, preparing)


def _prepared(volume: Volume, path: Path) -> tuple[str, str, float]:
    """Prepare and write back a map that was read; return ending, sentence, share of memory."""
    written = path.with_suffix(".mrc")
    try:
        write_map(written, volume, "written back")
        again = read_map(written)
        kept = {**asdict(volume.frame), "labels": 0} if volume.frame else {}
        found = {**asdict(again.frame), "labels": 0} if again.frame else {}
        same = repr(kept) == repr(found) and again.origin == volume.origin
        if not same or not np.array_equal(again.data, volume.data):
            return "fault", "what was written is not what was read", 0.0
    finally:
        written.unlink(missing_ok=True)
    settings = PreparationSettings()
    tracemalloc.reset_peak()
    try:
        prepared = prepare_input(volume, settings)
    except MapError as error:
        return ("fault" if "\n" in str(error) else "unprepared"), str(error), 0.0
    largest = max(math.prod(grid_shape(volume, settings.voxel_size)), volume.data.size)
    preparing = tracemalloc.get_traced_memory()[1] / (
        WORKING_FACTOR * 4 * largest + WORKING_CONSTANT
    )
    if not np.isfinite(prepared.data).all():
        return "fault", "prepared voxels that are no numbers", preparing
    return "made", "", preparing


def _run_batch(first: int, stop: int) -> None:
    """Print one JSON line a file: what the parent reads, up to the file that ends this process."""

    def too_slow(_signal: int, _frame: FrameType | None) -> None:
        raise TooSlow

    signal.signal(signal.SIGALRM, too_slow)
    warnings.simplefilter("error")
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    with tempfile.TemporaryDirectory() as folder:
        for number in range(first, stop):
            print(json.dumps(asdict(tried(number, Path(folder)))), flush=True)


def outcomes(first: int, stop: int) -> list[Outcome]:
    """Return the outcome of every file, those that end their process included."""
    found: list[Outcome] = []
    while first < stop:
        end = min(first + _BATCH, stop)
        command = [sys.executable, __file__, "--batch", str(first), str(end)]
        limit = 60 + SECONDS * (end - first)
        ran = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False)
        lines = ran.stdout.splitlines()
        found += [Outcome(**json.loads(line)) for line in lines]
        first += len(lines)
        if first < end:
            told = f"the process ended with status {ran.returncode}: {ran.stderr[-300:]}"
            found.append(Outcome(first, hostile_file(first)[0], "fault", told, 0.0))
            first += 1
    return found


def summary(found: list[Outcome]) -> dict[str, object]:
    """Return the record: endings by kind, the worst of time and memory, every fault."""
    return {
        "files": len(found),
        "endings": dict(Counter(one.ending for one in found)),
        "by_kind": {
            kind: dict(sorted(Counter(one.ending for one in found if one.kind == kind).items()))
            for kind in KINDS
        },
        "sentences": len({_without_numbers(one.told) for one in found if one.told}),
        "slowest_seconds": round(max(one.seconds for one in found), 3),
        "seconds_allowed": SECONDS,
        "reading_memory_of_allowed": round(max(one.reading for one in found), 3),
        "preparing_memory_of_allowed": round(max(one.preparing for one in found), 3),
        "allowed": {
            "reading": f"{READING_FACTOR} x file (x {UNPACKED} packed) + {CONSTANT} bytes",
            "preparing": f"{WORKING_FACTOR} x float32 grid + {WORKING_CONSTANT} bytes",
        },
        "faults": [asdict(one) for one in found if one.ending == "fault"],
    }


def _without_numbers(told: str) -> str:
    return "".join(" " if letter in "0123456789.,-+e" else letter for letter in told)


def main() -> None:
    """Run all files and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--batch", type=int, nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    if given.batch:
        _run_batch(*given.batch)
        return
    found = outcomes(given.first, given.first + given.files)
    record = {
        **summary(found),
        "versions": software_versions(),
        "source_commit": source_commit(),
    }
    text = json.dumps(record, indent=2) + "\n"
    if given.output:
        write_text(given.output, text)
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
