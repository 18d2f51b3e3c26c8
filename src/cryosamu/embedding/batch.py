"""Many models, one after the other or several at a time, with the same result."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache, partial
from pathlib import Path

from cryosamu.config import EmbeddingSettings
from cryosamu.embedding.embed import StructureEmbedding, embed_model
from cryosamu.embedding.encoder import Encoder, load_encoder
from cryosamu.embedding.store import EmbeddingStore
from cryosamu.workers import in_processes


def embed_models(
    paths: Sequence[Path], settings: EmbeddingSettings, workers: int = 1
) -> Iterator[StructureEmbedding]:
    """Yield the embedding of each model in the order given, whatever the number of workers.

    Each worker is a process of its own with its own copy of the weights.

    Parameters
    ----------
    settings
        `store` is where vectors are looked for first, and kept.

    Raises
    ------
    CryosamuError
        When the encoder cannot be loaded or a model not be embedded; those before it are yielded.
    """
    return in_processes(partial(_embed, settings.model_dump_json()), paths, workers)


@cache
def _encoder(settings: str) -> Encoder:
    return load_encoder(EmbeddingSettings.model_validate_json(settings))


def _embed(settings: str, path: Path) -> StructureEmbedding:
    parsed = EmbeddingSettings.model_validate_json(settings)
    store = EmbeddingStore(parsed.store) if parsed.store else None
    return embed_model(path, _encoder(settings), parsed, store)
