"""From a model file to the embeddings of its chains, by way of the store."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from cryosamu.config import EmbeddingSettings, PoolingSettings
from cryosamu.embedding.encoder import Encoder
from cryosamu.embedding.pooling import Pooled, pool
from cryosamu.embedding.store import EmbeddingStore, TokensHeader, embedding_key
from cryosamu.errors import ModelError
from cryosamu.files import atomic_path
from cryosamu.structure.model import ProteinChain, protein_chains, read_model


@dataclass(frozen=True)
class ChainEmbedding:
    """One chain's vectors, a row a residue present in the file.

    Attributes
    ----------
    author_id, label_id, entity_id, residue_ids
        As in `ProteinChain`.
    observed
        bool [residues]: the encoder saw the residue; other rows mean nothing.
    vectors
        float32 [residues, width].
    """

    author_id: str
    label_id: str
    entity_id: str
    residue_ids: tuple[str, ...]
    observed: NDArray[np.bool_]
    vectors: NDArray[np.float32]


@dataclass(frozen=True)
class StructureEmbedding:
    """What an encoder says about a model, chain by chain.

    Attributes
    ----------
    model_id
        Upper-case file name without suffixes, such as 5NI1.
    backend, fingerprint, width, mode
        The encoder's name, the SHA-256 of its weights, the length of its vectors, and whether
        chains were seen one by one (`per_chain`) or all at once (`complex`).
    from_store
        Whether the vectors were found rather than computed.
    """

    model_id: str
    backend: str
    fingerprint: str
    width: int
    mode: str
    chains: tuple[ChainEmbedding, ...]
    from_store: bool

    @property
    def residues(self) -> int:
        """Number of residues in all chains."""
        return sum(len(chain.residue_ids) for chain in self.chains)


def model_id_of(path: Path | str) -> str:
    """Return the name that a model goes by: its file name, upper case, without suffixes."""
    return Path(path).name.partition(".")[0].upper()


def embed_model(
    path: Path | str,
    encoder: Encoder,
    settings: EmbeddingSettings,
    store: EmbeddingStore | None = None,
) -> StructureEmbedding:
    """Embed the protein chains of a model file.

    Parameters
    ----------
    store
        Where the vectors are looked for first, and kept.

    Raises
    ------
    ModelError
        When the file is no model, has no protein, or has a chain without backbone.
    """
    chains = protein_chains(read_model(path))
    _check(chains, encoder, path)
    key = embedding_key(chains, encoder, settings.mode)
    shapes = [(len(chain.residue_ids), encoder.width) for chain in chains]
    vectors = store.get(encoder.name, key, shapes) if store else None
    from_store = vectors is not None
    if vectors is None:
        vectors = _encode(chains, encoder, settings)
        if store:
            store.put(encoder.name, key, vectors)
    return StructureEmbedding(
        model_id=model_id_of(path),
        backend=encoder.name,
        fingerprint=encoder.fingerprint,
        width=encoder.width,
        mode=settings.mode,
        chains=tuple(
            ChainEmbedding(
                chain.author_id,
                chain.label_id,
                chain.entity_id,
                chain.residue_ids,
                encoder.visible(chain),
                rows,
            )
            for chain, rows in zip(chains, vectors, strict=True)
        ),
        from_store=from_store,
    )


def _check(chains: Sequence[ProteinChain], encoder: Encoder, path: Path | str) -> None:
    if not chains:
        raise ModelError(f"{path}: has no protein chain, so there is nothing to embed.")
    for chain in chains:
        if not encoder.visible(chain).any():
            raise ModelError(
                f"{path}: chain {chain.author_id} has no residue with the backbone atoms that "
                f"{encoder.name} needs; rebuild its backbone or leave the chain out."
            )


def _encode(
    chains: Sequence[ProteinChain], encoder: Encoder, settings: EmbeddingSettings
) -> list[NDArray[np.float32]]:
    if settings.mode == "complex":
        return encoder.encode(chains)
    return [encoder.encode([chain])[0] for chain in chains]


def pool_embedding(embedding: StructureEmbedding, settings: PoolingSettings) -> Pooled:
    """Return a structure's tokens, as `pool` makes them, on the CPU."""
    return pool(
        [torch.from_numpy(chain.vectors) for chain in embedding.chains],
        [torch.from_numpy(chain.observed) for chain in embedding.chains],
        settings,
    )


def tokens_header(embedding: StructureEmbedding, settings: PoolingSettings) -> TokensHeader:
    """Return what a file of tokens says about how they were made."""
    return TokensHeader(
        backend=embedding.backend,
        fingerprint=embedding.fingerprint,
        width=embedding.width,
        mode=embedding.mode,
        pooling=settings.model_dump(mode="json"),
    )


def write_embedding(path: Path | str, embedding: StructureEmbedding) -> None:
    """Write an .npz file that numpy reads without pickle.

    For each chain, named by its label id: `A` float32 [residues, width], `A.observed` bool and
    `A.residue_ids`; and `metadata.json`, one string, that tells the rest.
    """
    arrays: dict[str, NDArray[np.generic]] = {}
    for chain in embedding.chains:
        arrays[chain.label_id] = chain.vectors
        arrays[f"{chain.label_id}.observed"] = chain.observed
        arrays[f"{chain.label_id}.residue_ids"] = np.array(chain.residue_ids)
    metadata = {
        "model_id": embedding.model_id,
        "backend": embedding.backend,
        "weights_sha256": embedding.fingerprint,
        "width": embedding.width,
        "mode": embedding.mode,
        "chains": [
            {name: getattr(chain, name) for name in ("label_id", "author_id", "entity_id")}
            for chain in embedding.chains
        ],
    }
    arrays["metadata.json"] = np.array(json.dumps(metadata, sort_keys=True))
    with atomic_path(path) as temporary, open(temporary, "wb") as handle:
        np.savez(handle, allow_pickle=False, **arrays)
