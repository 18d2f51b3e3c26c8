"""Time and memory of building a data set of tens of thousands of entries, without its downloads.

A synthetic catalogue goes through the metadata filters, the clustering of all sequences and the
split; nothing is fetched, so that every candidate with protein stands for a model that passed.

    python benchmarks/data_set.py --output benchmarks/results/data_set.json
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pandas as pd

from cryosamu.config import Config, CurationSettings
from cryosamu.curation.clustering import Membership, cluster_entries
from cryosamu.curation.entry import Entry, entries_of
from cryosamu.curation.split import split_pairs
from cryosamu.curation.stages import judge_metadata, survivors
from cryosamu.files import write_text
from cryosamu.provenance import source_commit
from cryosamu.tables import CATALOGUE, CLUSTERS, DECISIONS, PAIRS, read_table, write_table

Result = TypeVar("Result")
_GENERATOR = Path(__file__).with_name("synthetic_catalogue.py")


class Stopwatch:
    """Wall and CPU seconds of steps, programs that they start included, and peak memory."""

    def __init__(self) -> None:
        self.rows: list[dict[str, object]] = []

    def step(self, name: str, work: Callable[[], Result]) -> Result:
        """Do a piece of work and note what it took; memory is the highest up to then."""
        wall, processor = time.perf_counter(), _processor_seconds()
        result = work()
        row = {
            "step": name,
            "wall_s": round(time.perf_counter() - wall, 1),
            "cpu_s": round(_processor_seconds() - processor, 1),
            "peak_mb": _peak_megabytes(resource.RUSAGE_SELF),
            "peak_of_programs_mb": _peak_megabytes(resource.RUSAGE_CHILDREN),
        }
        self.rows.append(row)
        print(row, flush=True)
        return result


def _processor_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _peak_megabytes(who: int) -> int:
    return round(resource.getrusage(who).ru_maxrss * 1024 / 1e6)


def measure(count: int, settings: Config, threads: int, folder: Path) -> dict[str, object]:
    """Take a catalogue of `count` entries through the stages."""
    watch = Stopwatch()
    path = folder / "catalogue.parquet"
    subprocess.run([sys.executable, str(_GENERATOR), str(count), str(path)], check=True)
    catalogue = watch.step("read the catalogue", lambda: read_table(path, CATALOGUE))
    entries = watch.step("list its entries", lambda: entries_of(catalogue))
    decisions = watch.step(
        "metadata filters",
        lambda: judge_metadata(entries, settings.curation, settings.archive.maximum_map_gigabytes),
    )
    write_table(folder / "decisions.parquet", decisions, DECISIONS)
    passed = watch.step("list the survivors", lambda: survivors(entries, decisions))
    rows = zip(catalogue["emdb_id"], catalogue["sequences"], strict=True)
    sequences = {key: chains.split(";") for key, chains in rows if key in passed}
    members = watch.step(
        "clustering",
        lambda: cluster_entries(
            sequences,
            {key: entries[key].resolution or float("inf") for key in sequences},
            settings.curation.clustering,
            threads,
            folder,
        ),
    )
    clusters = pd.DataFrame(map(vars, members.values()), columns=CLUSTERS.names)
    pairs = _pairs(entries, members)
    assigned = watch.step("split", lambda: split_pairs(pairs, settings.split, None, clusters))
    return {
        "entries": count,
        "after the metadata filters": len(passed),
        "different sequences": len({text for chains in sequences.values() for text in chains}),
        "components": len(pairs),
        "largest component": int(clusters["size"].max()),
        "split": assigned.table["split"].value_counts().to_dict(),
        "threads": threads,
        "steps": watch.rows,
    }


def _pairs(entries: dict[str, Entry], members: dict[str, Membership]) -> pd.DataFrame:
    """Return a PAIRS table of the entries that stand for their components."""
    rows = [
        {
            "emdb_id": key,
            "pdb_id": entries[key].pdb_id,
            "resolution": entries[key].resolution,
            "cluster": member.cluster,
        }
        for key, member in members.items()
        if member.representative == key
    ]
    return pd.DataFrame(rows).reindex(columns=PAIRS.names)


def _settings(everything: bool) -> Config:
    """Return the recipe; with `everything`, filters that let all entries with protein through."""
    if not everything:
        return Config()
    curation = CurationSettings.model_validate(
        {
            "methods": ["singleParticle", "helical", "subtomogramAveraging", "tomography"],
            "resolution": {"minimum": 0.1, "maximum": 1000},
            "composition": {"protein_only": False},
        }
    )
    return Config(curation=curation)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=40_000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--everything", action="store_true", help="keep all resolutions, methods")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        settings = _settings(options.everything)
        found = measure(options.count, settings, options.threads, Path(name))
    record = {
        "date": time.strftime("%Y-%m-%d"),
        "cores": os.cpu_count(),
        "commit": source_commit(),
        "filters": "all entries with a model" if options.everything else "recipe",
        **found,
    }
    print(json.dumps(record, indent=2))
    if options.output:
        write_text(options.output, json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
