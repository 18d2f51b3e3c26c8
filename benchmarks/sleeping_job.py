"""A job that sleeps instead of computing; `simulated_against_real.py` has Snakemake run it."""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cryosamu.archive.turns import Turns


def main() -> None:
    """Do the steps of a work file, members a few at a time, and write when that began and ended."""
    began = time.time()
    work, output, request_s, stream_mb_s = sys.argv[1:]
    steps = json.loads(Path(work).read_text())
    turns = Turns(float(request_s), Path("turns"))

    def one(member: dict[str, float]) -> None:
        for _ in range(int(member["requests"])):
            turns.wait("archive")
        time.sleep(member["download_mb"] / float(stream_mb_s) + member["processor_s"])

    for step in steps:
        with ThreadPoolExecutor(step["workers"]) as pool:
            list(pool.map(one, step["members"]))
    Path(output).write_text(json.dumps([began, time.time()]))


if __name__ == "__main__":
    main()
