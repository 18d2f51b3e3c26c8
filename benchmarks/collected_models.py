"""The collected models that the embedding is measured on; they are not in this repository."""

from __future__ import annotations

import hashlib
import json
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from cryosamu.structure.model import ProteinChain, protein_chains, read_model

DATA = Path(__file__).parents[2] / "shared" / "data"
Chains = list[ProteinChain]


def require_data() -> None:
    """End the program with a sentence where the collected models are not there."""
    if not DATA.is_dir():
        sys.exit(f"{DATA} is not there: this measurement needs the collected maps and structures.")


def map_models(largest: int) -> Iterator[tuple[str, Chains]]:
    """Yield the name and the protein chains of each model that belongs to a map."""
    for item in json.loads((DATA / "maps" / "index.json").read_text()):
        if item["residues"] > largest:
            continue
        chains = protein_chains(read_model(DATA / item["model"]))
        # A chain without backbone tells an encoder nothing.
        yield f"{item['emdb']} {item['part']}", [c for c in chains if c.observed.any()]


def proteins(count: int, smallest: int, largest: int) -> list[tuple[str, Chains]]:
    """Return proteins of the collected structures, drawn by the hash of their names."""
    found: list[tuple[str, bytes]] = []
    with tarfile.open(DATA / "structures" / "PDownB_2367_heavy.tar.gz") as archive:
        for member in archive:
            file = archive.extractfile(member) if member.name.endswith(".pdb") else None
            text = file.read() if file else b""
            if smallest <= text.count(b"  CA  ") <= largest:
                found.append((Path(member.name).stem, text))
    found.sort(key=lambda item: hashlib.sha256(item[0].encode()).digest())
    chosen = []
    with tempfile.TemporaryDirectory() as folder:
        for name, text in found[:count]:
            path = Path(folder) / f"{name}.pdb"
            path.write_bytes(text)
            chosen.append((name, [c for c in protein_chains(read_model(path)) if c.observed.any()]))
    return chosen
