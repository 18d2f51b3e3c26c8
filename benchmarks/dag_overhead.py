"""What Snakemake itself costs: seconds and memory of a dry run over many entries.

The tables and records that the checkpoints read are made with the library's own writers, as if
fetching and filtering were over; what remains (or, with everything made, what is checked) is
timed. Nothing is computed.

    python benchmarks/dag_overhead.py 400 --output benchmarks/results/dag_overhead.json
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

from cryosamu.archive.lists import list_of, write_lists
from cryosamu.config import ArchiveSettings
from cryosamu.files import write_text
from cryosamu.tables import CATALOGUE, DECISIONS, FETCHES, PAIRS, SPLIT, write_table

REPOSITORY = Path(__file__).parents[1]
SPLITS = ["train"] * 13 + ["validation"] * 3 + ["test"] * 4


def write_finished_curation(folder: Path, count: int) -> None:
    """Write what the stages up to the split leave behind, oldest first."""
    rest = list(itertools.product("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", repeat=3))
    names = (first + "".join(three) for first in "987" for three in rest)
    entries = [(f"EMD-{90000 + number}", next(names)) for number in range(count)]
    results = folder / "results"
    catalogue = pd.DataFrame(entries, columns=["emdb_id", "pdb_id"]).reindex(
        columns=CATALOGUE.names
    )
    catalogue["resolution"] = 5.0
    write_table(results / "catalogue/catalogue.parquet", catalogue, CATALOGUE)
    kept = pd.DataFrame(entries, columns=["emdb_id", "pdb_id"]).reindex(columns=DECISIONS.names)
    kept["verdict"] = "keep"
    write_table(results / "curate/metadata.parquet", kept, DECISIONS)
    lists = ArchiveSettings().model_lists
    models = [pdb_id for _, pdb_id in entries]
    write_lists(results / "curate/lists", models, lists)
    for number in range(lists):
        members = [pdb_id for pdb_id in models if list_of(pdb_id, lists) == number]
        fetched = pd.DataFrame({"id": members}).reindex(columns=FETCHES.names)
        fetched["status"] = "ok"
        write_table(results / f"fetch/models/{number}.parquet", fetched, FETCHES)
    write_table(results / "curate/models.parquet", kept, DECISIONS)
    write_text(results / "curate/clusters.parquet", "")
    for emdb_id, _ in entries:
        write_text(results / f"fetch/maps/{emdb_id}.json", '{"status": "ok"}')
        write_text(results / f"curate/measurements/{emdb_id}.json", "{}")
    write_table(results / "curate/decisions.parquet", kept, DECISIONS)
    pairs = pd.DataFrame(entries, columns=["emdb_id", "pdb_id"]).reindex(columns=PAIRS.names)
    write_table(results / "curate/pairs.parquet", pairs, PAIRS)
    pairs["repaired"] = False
    split = pairs.assign(split=[SPLITS[row % len(SPLITS)] for row in range(count)])
    write_table(results / "split/split.parquet", split, SPLIT)


def timed_dry_run(folder: Path) -> dict[str, float]:
    """Return wall and CPU seconds, peak memory and the number of jobs of one dry run."""
    command = [
        *(sys.executable, "-m", "snakemake", "--snakefile", str(REPOSITORY / "Snakefile")),
        *("--directory", str(folder), "--cores", "1", "--dry-run", "--quiet", "rules"),
        *("--rerun-triggers", "mtime"),
    ]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    totals = [line.split() for line in done.stdout.splitlines() if line.startswith("total")]
    return {
        "wall_s": wall,
        "cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "peak_mb": after.ru_maxrss / 1000,
        "jobs": int(totals[-1][1]) if totals else 0,
    }


def main() -> None:
    """Time dry runs for each count and write the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("counts", nargs="+", type=int)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    rows = []
    for count in options.counts:
        with tempfile.TemporaryDirectory() as name:
            write_finished_curation(Path(name), count)
            runs = [timed_dry_run(Path(name)) for _ in range(options.runs)]
        medians = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        rows.append({"entries": count, **{key: round(value, 2) for key, value in medians.items()}})
        print(rows[-1], flush=True)
    if options.output:
        record = {"date": time.strftime("%Y-%m-%d"), "cores": os.cpu_count(), "rows": rows}
        write_text(options.output, json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
