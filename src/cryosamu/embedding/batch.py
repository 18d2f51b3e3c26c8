"""Many models, one after the other or several at a time, with the same result."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from functools import cache, partial
from pathlib import Path

from tqdm import tqdm

from cryosamu.config import EmbeddingSettings
from cryosamu.embedding.embed import (
    StructureEmbedding,
    embed_model,
    pool_embedding,
    tokens_header,
)
from cryosamu.embedding.encoder import Encoder, load_encoder, weights_sha256
from cryosamu.embedding.store import EmbeddingStore
from cryosamu.embedding.tokens import join_tokens, write_tokens
from cryosamu.pairs import Pair
from cryosamu.provenance import stage_digest
from cryosamu.shards import Made, Task, make_tasks, member_folder
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


def pool_models(
    pairs: Sequence[Pair],
    settings: EmbeddingSettings,
    folder: Path,
    pooled: Path,
    workers: int = 1,
) -> Made:
    """Embed and pool the deposited models of pairs, each once, and write all tokens to one file.

    Parameters
    ----------
    folder
        Of the tokens of single models: what is there, and follows from the same, is not made again.
    pooled
        The tokens of all, .safetensors; written when none failed.
    """
    models = {pair.pdb_id.upper(): pair for pair in pairs}
    paths = {name: member_folder(folder, name) / f"{name}.safetensors" for name in sorted(models)}
    text = settings.model_dump_json()
    shared = _shapes(settings)
    tasks = [
        Task(
            name,
            (text, models[name], path),
            {**shared, "model": models[name].deposited_sha256},
            (path,),
        )
        for name, path in paths.items()
    ]
    made = make_tasks(tasks, _pool, "embedded", workers)
    if not made.failed:
        join_tokens(pooled, paths.values())
    return made


def _shapes(settings: EmbeddingSettings) -> dict[str, object]:
    """Return what shapes tokens beside the model: not where things lie, nor the device."""
    values = settings.model_dump(mode="json", exclude={"weights", "cache", "store", "device"})
    return {
        "settings": values,
        "weights": weights_sha256(settings),
        "code": stage_digest("embed"),
    }


def _pool(given: tuple[str, Pair, Path]) -> None:
    text, pair, output = given
    name = pair.pdb_id.upper()
    embedding = _embed(text, pair.arrived_deposited_model())
    source = "found in the store" if embedding.from_store else "embedded"
    tqdm.write(f"{source} {name} ({embedding.residues} residues)", file=sys.stderr)
    for note in embedding.notes:
        tqdm.write(f"note: {name}: {note}", file=sys.stderr)
    pooling = EmbeddingSettings.model_validate_json(text).pooling
    refused = [chain.label_id for chain in embedding.refused]
    write_tokens(
        output,
        {name: pool_embedding(embedding, pooling)},
        tokens_header(embedding, pooling),
        {name: refused},
    )
