"""What many small files cost against few large ones: making, listing and reading records.

Records of some 300 bytes, as fetching and measuring leave them, are kept as a file an entry in one
directory, as a file an entry in a directory a shard, and as lines of a file a shard. Local disk,
warm cache: what a network adds, a round trip for each file opened, is not in it.

    python benchmarks/shared_storage.py 400 4000 60000 --output FILE
    python benchmarks/shared_storage.py --tree demo     # what a finished run keeps, stage by stage
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cryosamu.files import write_text
from cryosamu.provenance import source_commit
from cryosamu.shards import shard_of

RECORD = json.dumps({"status": "ok", "sha256": "0" * 64, "url": "https://" + "x" * 180}) + "\n"
LAYOUTS = ("one directory", "a directory a shard", "a file a shard")


def write_records(folder: Path, layout: str, count: int, shards: int) -> None:
    """Write so many records with the library's own writer: a temporary file, then a rename."""
    dealt: list[list[str]] = [[] for _ in range(shards)]
    for number in range(count):
        dealt[shard_of(f"EMD-{number}", shards)].append(f"EMD-{number}")
    for shard, members in enumerate(dealt):
        if layout == "a file a shard":
            write_text(folder / f"{shard}.jsonl", RECORD * len(members))
            continue
        inside = folder if layout == "one directory" else folder / str(shard)
        for member in members:
            write_text(inside / f"{member}.json", RECORD)


def files_in(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Yield all files below a folder."""
    for entry in os.scandir(folder):
        if entry.is_dir():
            yield from files_in(Path(entry.path))
        else:
            yield entry


def largest_directory(folder: Path) -> int:
    """Return the entries of the directory that has most."""
    return max(len(names) + len(folders) for _, folders, names in os.walk(folder))


def kept(tree: Path) -> str:
    """Return a line a stage's folder of a run: its files, and those of its largest directory."""
    lines = []
    for folder in sorted({*tree.glob("results/*/"), *tree.glob("store/*/"), *tree.glob("logs/")}):
        files = sum(1 for _ in files_in(folder))
        name = folder.relative_to(tree)
        lines.append(f"{files:8,} files, {largest_directory(folder):6,} in one directory: {name}")
    return "\n".join(lines)


def measure(layout: str, count: int, shards: int) -> dict[str, object]:
    """Return counts, and seconds of processor and wall, of one layout."""
    row: dict[str, object] = {"layout": layout, "entries": count, "shards": shards}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        steps: dict[str, Callable[[], object]] = {
            "write": lambda: write_records(folder, layout, count, shards),
            "list": lambda: sum(1 for _ in files_in(folder)),
            "stat": lambda: sum(entry.stat().st_size for entry in files_in(folder)),
            "read": lambda: sum(len(Path(one.path).read_bytes()) for one in files_in(folder)),
        }
        for step, work in steps.items():
            with timed(row, step):
                work()
        row["files"] = sum(1 for _ in files_in(folder))
        row["largest directory"] = largest_directory(folder)
        blocks = sum(entry.stat().st_blocks for entry in files_in(folder))
        row["disk_mb"] = round(blocks * 512 / 1e6, 2)
    return row


@contextmanager
def timed(row: dict[str, object], step: str) -> Iterator[None]:
    """Note what the body takes."""
    wall, processor = time.perf_counter(), time.process_time()
    yield
    row[f"{step}_s"] = round(time.perf_counter() - wall, 3)
    row[f"{step}_cpu_s"] = round(time.process_time() - processor, 3)


def main() -> None:
    """Measure each layout at each number of entries."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("counts", nargs="*", type=int)
    parser.add_argument("--tree", type=Path, help="count the files of a run instead")
    parser.add_argument("--shards", type=int, default=128)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    if options.tree:
        print(kept(options.tree))
        return
    rows = []
    for count in options.counts:
        for layout in LAYOUTS:
            rows.append(measure(layout, count, options.shards))
            print(rows[-1], flush=True)
    record = {"date": time.strftime("%Y-%m-%d"), "cores": os.cpu_count()}
    if options.output:
        write_text(
            options.output,
            json.dumps({**record, "commit": source_commit(), "rows": rows}, indent=2) + "\n",
        )


if __name__ == "__main__":
    main()
