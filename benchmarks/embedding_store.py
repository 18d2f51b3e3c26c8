"""How embeddings are kept: a file a structure, or Parquet a shard: size, times, number of files.

384 structures of ordinary size, 512 wide, then 40,000 of few and short rows, since what grows with
their number is files and look-ups, not bytes. Parquet has a row a chain, the vectors as one binary
value, uncompressed as float32 noise does not compress, 64 shards. CPU-seconds, the system's share
included, on a warm page cache. Reading a file of the store checks two checksums, Parquet none.

    python benchmarks/embedding_store.py --output benchmarks/results/embedding_store.json
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cryosamu.embedding.store import EmbeddingStore, Entry, Maker, ShownChain, Vectors
from cryosamu.files import atomic_path, write_text
from cryosamu.provenance import software_versions

MAKER = Maker("esm_if1", "0" * 64, "1", "float32", "per_chain")
SHARDS = 64
LOOK_UPS = 50
CASES = {
    "384 entries": {"entries": 384, "residues": 600, "width": 512},
    "40,000 entries": {"entries": 40_000, "residues": 12, "width": 16},
}


def structures(entries: int, residues: int, width: int) -> Iterator[tuple[Entry, Vectors]]:
    """Yield entries of one or two chains of random vectors."""
    random = np.random.default_rng(0)
    for _ in range(entries):
        total = int(random.integers(residues // 2, residues * 3 // 2))
        lengths = [total] if random.random() < 0.5 else [total // 2, total - total // 2]
        chains = tuple(
            ShownChain(
                tuple(str(number) for number in range(length)),
                random.normal(size=(length, 4, 3)).astype(np.float32),
                np.ones(length, np.bool_),
            )
            for length in lengths
        )
        vectors = [random.normal(size=(length, width)).astype(np.float32) for length in lengths]
        yield Entry(MAKER, chains), vectors


def table_of(items: list[tuple[Entry, Vectors]]) -> pa.Table:
    """Return a row a chain."""
    rows = [
        {
            "key": entry.key,
            "chain": number,
            "residue_ids": list(chain.residue_ids),
            "backbone": chain.backbone.tobytes(),
            "visible": chain.visible.tobytes(),
            "width": vectors[number].shape[1],
            "vectors": vectors[number].tobytes(),
        }
        for entry, vectors in items
        for number, chain in enumerate(entry.chains)
    ]
    return pa.Table.from_pylist(rows)


def shard_of(folder: Path, key: str) -> Path:
    """Return the file that an entry belongs to."""
    return folder / f"{int(key[:8], 16) % SHARDS:03d}.parquet"


def write_shard(path: Path, table: pa.Table) -> None:
    """Write a shard whole."""
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="none", row_group_size=16)


def read_row(path: Path, key: str) -> list[np.ndarray]:
    """Return one structure's vectors from its shard."""
    table = pq.read_table(path, filters=[("key", "==", key)], columns=["width", "vectors"])
    return [
        np.frombuffer(row["vectors"], np.float32).reshape(-1, row["width"])
        for row in table.to_pylist()
    ]


def seconds(work: Callable[[], object]) -> float:
    """Return the CPU-seconds that a piece of work takes."""
    start = time.process_time()
    work()
    return time.process_time() - start


def described(folder: Path) -> dict[str, float]:
    """Return the number of files and the bytes they take."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {
        "files": len(files),
        "megabytes": round(sum(path.stat().st_size for path in files) / 1e6, 1),
        "megabytes_on_disk": round(sum(path.stat().st_blocks * 512 for path in files) / 1e6, 1),
    }


def measure_npz(folder: Path, case: dict[str, int]) -> dict[str, float]:
    """Return the figures of a file a structure."""
    store = EmbeddingStore(folder)
    entries: list[Entry] = []
    writing = 0.0
    for entry, vectors in structures(**case):
        writing += seconds(lambda: store.put(entry, vectors))  # noqa: B023
        entries.append(entry)
    chosen = entries[:: max(1, len(entries) // LOOK_UPS)][:LOOK_UPS]
    new, rows = next(structures(1, case["residues"], case["width"] + 1))
    return {
        **described(folder),
        "write_all_seconds": round(writing, 2),
        "read_one_milliseconds": round(
            1000 * seconds(lambda: [store.get(entry) for entry in chosen]) / len(chosen), 2
        ),
        "read_all_seconds": round(seconds(lambda: [store.get(entry) for entry in entries]), 2),
        "add_one_milliseconds": round(1000 * seconds(lambda: store.put(new, rows)), 2),
    }


def measure_parquet(folder: Path, case: dict[str, int]) -> dict[str, float]:
    """Return the figures of a Parquet file a shard; adding one writes its shard anew."""
    shards: dict[Path, list[tuple[Entry, Vectors]]] = {}
    for entry, vectors in structures(**case):
        shards.setdefault(shard_of(folder, entry.key), []).append((entry, vectors))
    keys = [(path, items[0][0].key) for path, items in sorted(shards.items())][:LOOK_UPS]
    writing = seconds(
        lambda: [write_shard(path, table_of(items)) for path, items in shards.items()]
    )
    new = next(structures(1, case["residues"], case["width"]))

    def add() -> None:
        path = keys[0][0]
        write_shard(path, pa.concat_tables([pq.read_table(path), table_of([new])]))

    figures = {
        **described(folder),
        "write_all_seconds": round(writing, 2),
        "read_one_milliseconds": round(
            1000 * seconds(lambda: [read_row(*place) for place in keys]) / len(keys), 2
        ),
        "read_all_seconds": round(
            seconds(lambda: [pq.read_table(path).to_pylist() for path in shards]), 2
        ),
    }
    return {**figures, "add_one_milliseconds": round(1000 * seconds(add), 2)}


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    result: dict[str, object] = {
        "date": time.strftime("%Y-%m-%d"),
        "software": software_versions(),
    }
    for name, case in CASES.items():
        figures = {}
        for kind, measure in (("npz", measure_npz), ("parquet", measure_parquet)):
            folder = Path(tempfile.mkdtemp())
            figures[kind] = measure(folder, case)
            shutil.rmtree(folder)
        result[name] = {**case, **figures}
    text = json.dumps(result, indent=1)
    print(text)
    if given.output:
        write_text(given.output, text + "\n")


if __name__ == "__main__":
    main()
