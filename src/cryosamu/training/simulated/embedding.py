"""Structure tokens of packed structures, kept in parts so that a kill loses little."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from tqdm import tqdm

from cryosamu.config import EmbeddingSettings
from cryosamu.embedding.embed import embed_chains, pool_embedding, tokens_header
from cryosamu.embedding.encoder import Encoder
from cryosamu.embedding.pooling import Pooled
from cryosamu.embedding.store import EmbeddingStore, Maker
from cryosamu.embedding.tokens import join_tokens, write_tokens
from cryosamu.provenance import digest_of
from cryosamu.training.simulated.library import AtomicStructure

_PART = 25
"""Structures of one part: what a kill loses at most."""


def embed_structures(
    structures: Sequence[AtomicStructure],
    encoder: Encoder,
    settings: EmbeddingSettings,
    output: Path,
) -> int:
    """Write the tokens of structures to one file; return how many a former call had kept.

    Every 25 structures are kept at once in OUTPUT.parts, under a name that follows from them and
    from all that shapes their tokens; the folder is removed when all are together. The same
    structures give the same bytes, however often the call was killed.

    Parameters
    ----------
    structures
        One and more, of different names.
    """
    parts = output.with_name(f"{output.name}.parts")
    store = EmbeddingStore(settings.store) if settings.store else None
    paths, kept = [], 0
    with tqdm(total=len(structures), desc="embedding", unit="structure", disable=None) as bar:
        for some in _in_parts(structures):
            path = parts / f"{_key(some, encoder, settings)}.safetensors"
            if path.is_file():
                kept += len(some)
            else:
                _write_part(path, some, encoder, settings, store)
            paths.append(path)
            bar.update(len(some))
    join_tokens(output, paths)
    shutil.rmtree(parts)
    return kept


def _in_parts(structures: Sequence[AtomicStructure]) -> Iterator[Sequence[AtomicStructure]]:
    for start in range(0, len(structures), _PART):
        yield structures[start : start + _PART]


def _key(
    structures: Sequence[AtomicStructure], encoder: Encoder, settings: EmbeddingSettings
) -> str:
    shaping = {
        "maker": asdict(Maker.of(encoder, settings.mode)),
        "copies": settings.copies,
        "pooling": settings.pooling.model_dump(mode="json"),
        "structures": [[one.name, one.digest] for one in structures],
    }
    return digest_of(shaping)[:32]


def _write_part(
    path: Path,
    structures: Sequence[AtomicStructure],
    encoder: Encoder,
    settings: EmbeddingSettings,
    store: EmbeddingStore | None,
) -> None:
    tokens: dict[str, Pooled] = {}
    for one in structures:
        found = embed_chains(one.name, one.protein_chains(), encoder, settings, store)
        tokens[one.name] = pool_embedding(found, settings.pooling)
    write_tokens(path, tokens, tokens_header(found, settings.pooling))
