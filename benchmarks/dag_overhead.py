"""What Snakemake itself costs: seconds and memory of a dry run over many entries.

The tables and work lists that the workflow reads are made with the library's own writers, as if
fetching and filtering were over; nothing is computed. Timed are the first call (nothing is there),
the call when the data set is known, the one when everything is made, and the one when an entry
has joined.

    python benchmarks/dag_overhead.py 400 4000 40000 --output benchmarks/results/dag_overhead.json
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from cryosamu.config import ShardSettings
from cryosamu.curation.dealing import PARTS
from cryosamu.files import write_text
from cryosamu.pairs import Pair, write_pairs
from cryosamu.provenance import source_commit
from cryosamu.shards import shard_name, shard_of, write_work
from cryosamu.tables import CATALOGUE, DECISIONS, FETCHES, PAIRS, REPAIRED, SPLIT, write_table

REPOSITORY = Path(__file__).parents[1]
SPLITS = ["train"] * 13 + ["validation"] * 3 + ["test"] * 4


def write_finished_curation(folder: Path, count: int, dealt: ShardSettings) -> None:
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
    shards = dealt.candidates
    models = [{"pdb_id": pdb_id} for _, pdb_id in entries]
    write_work(results / "curate/lists", models, shards, by="pdb_id")
    write_fetches(results / "fetch/models", [pdb_id for _, pdb_id in entries], shards)
    write_table(results / "curate/models.parquet", kept, DECISIONS)
    write_text(results / "curate/clusters.parquet", "")
    maps = [emdb_id for emdb_id, _ in entries]
    write_work(results / "curate/work", [{"emdb_id": emdb_id} for emdb_id in maps], shards)
    write_fetches(results / "fetch/maps", maps, shards)
    for number in range(shards):
        write_text(results / f"curate/measurements/{shard_name(number, shards)}.parquet", "")
    write_table(results / "curate/decisions.parquet", kept, DECISIONS)
    pairs = pd.DataFrame(entries, columns=["emdb_id", "pdb_id"]).reindex(columns=PAIRS.names)
    write_table(results / "curate/pairs.parquet", pairs, PAIRS)
    none = pd.DataFrame(columns=REPAIRED.names)
    write_table(results / "curate/repaired.parquet", none, REPAIRED)
    pairs["repaired"] = False
    split = pairs.assign(split=[SPLITS[row % len(SPLITS)] for row in range(count)])
    write_table(results / "split/split.parquet", split, SPLIT)
    # The fetched files do not exist, so these lists are written as `cryosamu deal` would.
    work = [made_up_pair(*entry, one) for entry, one in zip(entries, split["split"], strict=True)]
    for part, splits in PARTS.items():
        chosen = (pair for pair in work if pair.split in splits)
        write_pairs(results / "split" / part, chosen, dealt.pairs)


def made_up_pair(emdb_id: str, pdb_id: str, split: str) -> Pair:
    """Return a pair whose files are named and do not exist."""
    sums = dict.fromkeys(("map_sha256", "model_sha256", "deposited_sha256"), "0" * 64)
    files = {"map": f"store/{emdb_id}", "model": f"store/{pdb_id}"}
    return Pair(
        emdb_id=emdb_id,
        pdb_id=pdb_id,
        split=split,
        resolution=5.0,
        contour_level=None,
        simulated=False,
        repaired=False,
        deposited_model=files["model"],
        **files,
        **sums,
    )


def write_fetches(folder: Path, identifiers: list[str], shards: int) -> None:
    """Write a table a shard of files that are all there."""
    for number in range(shards):
        members = [one for one in identifiers if shard_of(one, shards) == number]
        fetched = pd.DataFrame({"id": members}).reindex(columns=FETCHES.names)
        fetched["status"] = "ok"
        fetched["path"] = [f"store/{one}" for one in members]
        write_table(folder / f"{shard_name(number, shards)}.parquet", fetched, FETCHES)


def snakemake(folder: Path, *options: str) -> tuple[str, dict[str, float]]:
    """Run Snakemake over a folder as a user does; return what it prints and what it took."""
    command = [
        *(sys.executable, "-m", "snakemake", "--snakefile", str(REPOSITORY / "Snakefile")),
        *("--workflow-profile", str(REPOSITORY / "workflow" / "profiles" / "default")),
        *("--directory", str(folder), "--configfile", str(folder / "shards.yaml")),
        *("--cores", "1", *options),
    ]
    start = time.perf_counter()
    with tempfile.TemporaryFile("w+") as printed:
        process = subprocess.Popen(command, stdout=printed, stderr=subprocess.STDOUT)
        # The memory of this very process: what a parent is told of its children is their maximum.
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.perf_counter() - start
        printed.seek(0)
        text = printed.read()
    if process.returncode:
        raise SystemExit(f"snakemake {' '.join(options)}: {text[-3000:]}")
    cpu, peak = used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e6
    return text, {"wall_s": wall, "cpu_s": cpu, "peak_mb": peak}


def finish(folder: Path) -> None:
    """Make an empty file of every output that is missing, and record all as Snakemake does."""
    rows = snakemake(folder, "--summary")[0].splitlines()
    first = next(number for number, row in enumerate(rows) if row.startswith("output_file"))
    for row in rows[first + 1 :]:
        path = folder / row.split("\t")[0]
        if not path.exists():
            write_text(path, "")
    snakemake(folder, "--touch", "--quiet", "all")


def timed_dry_run(folder: Path, runs: int) -> dict[str, float]:
    """Return the medians of wall and CPU seconds, peak memory and jobs of dry runs."""
    measured = []
    for _ in range(runs):
        printed, row = snakemake(folder, "--dry-run", "--quiet", "rules")
        totals = [line.split() for line in printed.splitlines() if line.startswith("total")]
        measured.append({**row, "jobs": int(totals[-1][1]) if totals else 0})
    return {key: round(statistics.median(row[key] for row in measured), 2) for key in measured[0]}


def moments(folder: Path, count: int, shards: ShardSettings) -> Iterator[str]:
    """Bring a folder to each moment in turn."""
    write_text(folder / "shards.yaml", json.dumps({"shards": shards.model_dump()}))
    yield "first call"
    write_finished_curation(folder, count, shards)
    yield "data set known"
    finish(folder)
    yield "all made"
    write_finished_curation(folder, count + 1, shards)
    yield "one entry joined"


def main() -> None:
    """Time dry runs for each count at each moment and write the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("counts", nargs="+", type=int)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--candidates", type=int, default=ShardSettings().candidates)
    parser.add_argument("--pairs", type=int, default=ShardSettings().pairs)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    shards = ShardSettings(candidates=options.candidates, pairs=options.pairs)
    rows = []
    for count in options.counts:
        with tempfile.TemporaryDirectory() as name:
            for moment in moments(Path(name), count, shards):
                row = {"entries": count, **shards.model_dump(), "moment": moment}
                rows.append({**row, **timed_dry_run(Path(name), options.runs)})
                print(rows[-1], flush=True)
    if options.output:
        record: dict[str, object] = {"date": time.strftime("%Y-%m-%d"), "commit": source_commit()}
        record |= {"cores": os.cpu_count(), "rows": rows}
        write_text(options.output, json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
