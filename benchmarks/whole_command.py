"""Wall seconds and peak memory of a whole command, children included, several times over.

The command is run after `--before`, which is not timed (to empty what it would find done):

    python benchmarks/whole_command.py --runs 3 --before 'rm -rf demo' -- make demo
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import statistics
import subprocess
import threading
import time
from pathlib import Path

from cryosamu.files import write_text
from cryosamu.provenance import source_commit

_INTERVAL_SECONDS = 0.2


def tree_memory(root: int) -> int:
    """Return the proportional memory in bytes of a process and all that it started (Linux)."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    total, waiting = 0, [root]
    while waiting:
        process = waiting.pop()
        waiting += children.get(process, [])
        try:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    return total


def timed(command: list[str]) -> dict[str, float]:
    """Run a command; return its wall seconds and the peak memory of its process tree in GB."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peak, over = 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not over.wait(_INTERVAL_SECONDS):
            peak = max(peak, tree_memory(process.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    status = process.wait()
    wall = time.perf_counter() - start
    over.set()
    watcher.join()
    if status:
        raise SystemExit(f"{shlex.join(command)}: exit status {status}")
    return {"wall_s": round(wall, 1), "peak_gb": round(peak / 1e9, 2)}


def main() -> None:
    """Time the command, print each run and the medians, and write them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--before", default="true")
    parser.add_argument("--output", type=Path)
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    runs = []
    for _ in range(options.runs):
        subprocess.run(shlex.split(options.before), check=True)
        runs.append(timed(options.command))
        print(runs[-1], flush=True)
    record = {
        "command": shlex.join(options.command),
        "before": options.before,
        "date": time.strftime("%Y-%m-%d"),
        "cores": os.cpu_count(),
        "commit": source_commit(),
        "runs": runs,
        "median": {key: statistics.median(run[key] for run in runs) for key in runs[0]},
    }
    print(record["median"])
    if options.output:
        write_text(options.output, json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
