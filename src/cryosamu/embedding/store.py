"""Where embeddings are kept: one file a structure, named by all that shapes its vectors.

A file is `ROOT/{backend}/{key[:2]}/{key}.npz`; the key is the SHA-256 of the encoder (weights,
code, options) and of what it was shown of each distinct chain. So a file is never out of date, a
model under another name is found again, and writers that meet write the same bytes. The file
holds what the encoder was shown beside what it said, so that it can be checked, and made again,
by itself.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cryosamu.embedding.encoder import Encoder
from cryosamu.files import atomic_path
from cryosamu.structure.model import ProteinChain

_FORMAT = 2
Vectors = list[NDArray[np.float32]]


@dataclass(frozen=True)
class Maker:
    """The encoder and the options that shape vectors.

    Attributes
    ----------
    backend, fingerprint, code_version, precision
        As in `Encoder`.
    mode
        `per_chain` or `complex`.
    """

    backend: str
    fingerprint: str
    code_version: str
    precision: str
    mode: str

    @classmethod
    def of(cls, encoder: Encoder, mode: str) -> Maker:
        """Return what is to be known of an encoder."""
        return cls(encoder.name, encoder.fingerprint, encoder.code_version, encoder.precision, mode)


@dataclass(frozen=True)
class ShownChain:
    """What an encoder is shown of a chain.

    Attributes
    ----------
    residue_ids, backbone
        As in `ProteinChain`.
    visible
        bool [residues]: has all the atoms that the encoder needs.
    """

    residue_ids: tuple[str, ...]
    backbone: NDArray[np.float32]
    visible: NDArray[np.bool_]

    @classmethod
    def of(cls, chain: ProteinChain, encoder: Encoder) -> ShownChain:
        """Return what this encoder is shown."""
        backbone = np.ascontiguousarray(chain.backbone, np.float32)
        return cls(chain.residue_ids, backbone, encoder.visible(chain))

    def as_chain(self) -> ProteinChain:
        """Return a chain without names that any encoder takes."""
        return ProteinChain(
            author_id="",
            label_id="",
            entity_id="",
            sequence="X" * len(self.residue_ids),
            entity_sequence="",
            residue_ids=self.residue_ids,
            residue_names=("UNK",) * len(self.residue_ids),
            backbone=self.backbone,
            observed=np.asarray(np.isfinite(self.backbone[:, :3]).all((1, 2)), np.bool_),
        )


@dataclass(frozen=True)
class Entry:
    """What a file of the store answers to: an encoder and the chains that it was shown."""

    maker: Maker
    chains: tuple[ShownChain, ...]

    @cached_property
    def key(self) -> str:
        """SHA-256 of everything that the vectors depend on."""
        described = [_FORMAT, asdict(self.maker), [chain.residue_ids for chain in self.chains]]
        digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
        for chain in self.chains:
            digest.update(chain.backbone.tobytes())
            digest.update(chain.visible.tobytes())
        return digest.hexdigest()


def entry_for(chains: Sequence[ProteinChain], encoder: Encoder, mode: str) -> Entry:
    """Return the entry of these chains, seen by this encoder."""
    shown = tuple(ShownChain.of(chain, encoder) for chain in chains)
    return Entry(Maker.of(encoder, mode), shown)


class EmbeddingStore:
    """A folder of embeddings, shared by any number of configurations and processes."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)

    def path(self, entry: Entry) -> Path:
        """Return where an entry belongs."""
        return self.root / entry.maker.backend / entry.key[:2] / f"{entry.key}.npz"

    def get(self, entry: Entry) -> Vectors | None:
        """Return the vectors of each chain, or None where they are absent or damaged."""
        path = self.path(entry)
        if not path.is_file():
            return None
        try:
            found, vectors = read_entry(path)
        except DamagedEntryError:
            return None
        return vectors if found.key == entry.key else None

    def put(self, entry: Entry, vectors: Sequence[NDArray[np.float32]]) -> None:
        """Keep the vectors of each chain; a file there already is replaced whole."""
        arrays: dict[str, NDArray[np.generic]] = {}
        for number, (chain, rows) in enumerate(zip(entry.chains, vectors, strict=True)):
            arrays[f"{number}.vectors"] = rows
            arrays[f"{number}.backbone"] = chain.backbone
            arrays[f"{number}.visible"] = chain.visible
            arrays[f"{number}.residue_ids"] = np.array(chain.residue_ids, np.str_)
        record = {
            "format": _FORMAT,
            "chains": len(entry.chains),
            "maker": asdict(entry.maker),
            "vectors_sha256": _digest(vectors),
        }
        arrays["record.json"] = np.array(json.dumps(record, sort_keys=True))
        with atomic_path(self.path(entry)) as temporary, open(temporary, "wb") as handle:
            np.savez(handle, allow_pickle=False, **arrays)


class DamagedEntryError(Exception):
    """A file of the store that cannot be trusted; the message says why, as a phrase."""


def read_entry(path: Path) -> tuple[Entry, Vectors]:
    """Return what a file of the store answers to, and the vectors of each chain.

    Raises
    ------
    DamagedEntryError
        When the file is not whole, or its vectors are not those that were written.
    """
    try:
        content = path.read_bytes()
        # Checksums before anything is parsed: a flipped bit must not be read as a number.
        if zipfile.ZipFile(io.BytesIO(content)).testzip() is not None:
            raise DamagedEntryError("is damaged")
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            record = json.loads(str(file["record.json"]))
            vectors = [file[f"{number}.vectors"] for number in range(record["chains"])]
            chains = tuple(
                ShownChain(
                    tuple(file[f"{number}.residue_ids"].tolist()),
                    file[f"{number}.backbone"],
                    file[f"{number}.visible"],
                )
                for number in range(record["chains"])
            )
            entry = Entry(Maker(**record["maker"]), chains)
    except DamagedEntryError:
        raise
    except Exception as error:  # a damaged zip file makes its reader raise almost anything
        raise DamagedEntryError("is damaged, or not of this version's format") from error
    if _digest(vectors) != record["vectors_sha256"] or not _fits(chains, vectors):
        raise DamagedEntryError("holds other vectors than were written")
    return entry, vectors


def _digest(vectors: Sequence[NDArray[np.float32]]) -> str:
    digest = hashlib.sha256()
    for rows in vectors:
        digest.update(f"{rows.dtype.str}{rows.shape}".encode())
        digest.update(np.ascontiguousarray(rows).tobytes())
    return digest.hexdigest()


def _fits(chains: Sequence[ShownChain], vectors: Vectors) -> bool:
    """Return whether there is a finite float32 row for each residue that was seen."""
    return all(
        rows.dtype == np.float32
        and rows.ndim == 2
        and len(rows) == len(chain.residue_ids) == len(chain.visible)
        and bool(np.isfinite(rows[chain.visible]).all())
        for chain, rows in zip(chains, vectors, strict=True)
    )
