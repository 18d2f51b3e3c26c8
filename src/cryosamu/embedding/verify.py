"""Whether the files of a store still are what was written, and what the encoder would say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from cryosamu.embedding.embed import encode
from cryosamu.embedding.encoder import Encoder
from cryosamu.embedding.store import (
    DamagedEntryError,
    EmbeddingStore,
    Entry,
    Maker,
    Vectors,
    read_entry,
)

# Of an element, relative to the root mean square of the vectors: another machine, or a GPU, adds
# in another order. A change that matters is a hundred times larger.
_TOLERANCE = {"float32": 1e-4, "bfloat16": 5e-2}


@dataclass(frozen=True)
class Fault:
    """A file of a store that should not be there as it is; `reason` completes "PATH: …"."""

    path: Path
    reason: str


@dataclass(frozen=True)
class StoreReport:
    """What a check of a store found.

    Attributes
    ----------
    entries
        Files whose content is what their name says.
    encoded_again
        How many of them were encoded again.
    faults
        Damaged and foreign files, in the order of their paths.
    """

    entries: int
    encoded_again: int
    faults: tuple[Fault, ...]


def verify_store(
    store: EmbeddingStore, encoder: Encoder | None = None, sample: int = 0
) -> StoreReport:
    """Read every file of a store and check it; encode some again.

    Parameters
    ----------
    encoder
        Needed for a sample; only entries that this encoder made are encoded again.
    sample
        How many, those of the lowest keys: the keys are hashes, so that they are drawn evenly.
    """
    sound: list[Path] = []
    again: list[Path] = []
    faults: list[Fault] = []
    for path in tqdm(list(_files(store)), unit="file", disable=None):
        try:
            entry, _ = read_entry(path)
        except DamagedEntryError as error:
            faults.append(Fault(path, str(error)))
            continue
        if path != store.path(entry):
            faults.append(Fault(path, "does not belong here: its name is not that of its content"))
            continue
        sound.append(path)
        if encoder is not None and entry.maker == Maker.of(encoder, entry.maker.mode):
            again.append(path)
    again = sorted(again, key=lambda path: path.name)[:sample]
    if encoder is not None:
        for path in tqdm(again, unit="structure", disable=None):
            entry, vectors = read_entry(path)
            if not _agree(entry, vectors, encode_again(entry, encoder)):
                faults.append(Fault(path, f"is not what {encoder.name} says of this structure"))
    faults.sort(key=lambda fault: fault.path)
    wrong = {fault.path for fault in faults}
    return StoreReport(sum(path not in wrong for path in sound), len(again), tuple(faults))


def _files(store: EmbeddingStore) -> Iterator[Path]:
    """Yield the files of a store; one that is being written is none of them yet."""
    for path in sorted(store.root.rglob("*")):
        if path.is_file() and not path.name.startswith(".part-"):
            yield path


def encode_again(entry: Entry, encoder: Encoder) -> Vectors:
    """Return what the encoder says now of what it was shown then."""
    return encode([chain.as_chain() for chain in entry.chains], encoder, entry.maker.mode)


def _agree(entry: Entry, stored: Sequence[np.ndarray], now: Sequence[np.ndarray]) -> bool:
    for chain, old, new in zip(entry.chains, stored, now, strict=True):
        old, new = old[chain.visible], new[chain.visible]
        if old.shape != new.shape:
            return False
        scale = float(np.sqrt(np.square(new).mean()))
        if np.abs(old - new).max() > _TOLERANCE[entry.maker.precision] * scale:
            return False
    return True
