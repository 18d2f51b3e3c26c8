"""From a model file to the embeddings of its chains, by way of the store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from cryosamu.config import EmbeddingSettings, PoolingSettings
from cryosamu.embedding.copies import originals
from cryosamu.embedding.encoder import Encoder
from cryosamu.embedding.pooling import Pooled, pool
from cryosamu.embedding.store import EmbeddingStore, Vectors, entry_for
from cryosamu.embedding.tokens import TokensHeader
from cryosamu.errors import ModelError
from cryosamu.structure.model import ProteinChain, protein_chains, read_model


@dataclass(frozen=True)
class ChainEmbedding:
    """One chain's vectors, a row a residue present in the file.

    Attributes
    ----------
    author_id, label_id, entity_id, residue_ids
        As in `ProteinChain`.
    copy_of
        Label id of the chain that was encoded for it; its own unless it is an exact copy.
    observed
        bool [residues]: the encoder saw the residue; other rows mean nothing.
    vectors
        float32 [residues, width].
    doubled
        As in `ProteinChain`.
    """

    author_id: str
    label_id: str
    entity_id: str
    copy_of: str
    residue_ids: tuple[str, ...]
    observed: NDArray[np.bool_]
    vectors: NDArray[np.float32]
    doubled: tuple[str, ...] = ()


@dataclass(frozen=True)
class RefusedChain:
    """A protein chain that has no residue with all the atoms that the encoder needs."""

    author_id: str
    label_id: str
    entity_id: str


@dataclass(frozen=True)
class StructureEmbedding:
    """What an encoder says about a model, chain by chain.

    Attributes
    ----------
    model_id
        Upper-case file name without suffixes, such as 5NI1.
    backend, fingerprint, code_version, width
        The encoder's name, the SHA-256 of its weights, the version of its code, and the length
        of its vectors.
    mode, precision, copies
        As in the settings.
    refused
        Chains without a backbone, left out.
    from_store
        Whether the vectors were found rather than computed.
    """

    model_id: str
    backend: str
    fingerprint: str
    code_version: str
    width: int
    mode: str
    precision: str
    copies: str
    chains: tuple[ChainEmbedding, ...]
    refused: tuple[RefusedChain, ...]
    from_store: bool

    @property
    def residues(self) -> int:
        """Number of residues in all embedded chains."""
        return sum(len(chain.residue_ids) for chain in self.chains)

    @property
    def notes(self) -> list[str]:
        """What whoever uses the embedding should know, a sentence each."""
        refused = [
            f"chain {chain.author_id} has no residue with the backbone atoms that {self.backend} "
            "needs and was left out."
            for chain in self.refused
        ]
        sparse = [
            f"chain {chain.author_id} has a backbone in only {int(chain.observed.sum())} of "
            f"{len(chain.observed)} residues."
            for chain in self.chains
            if 2 * chain.observed.sum() < len(chain.observed)
        ]
        doubled = [
            f"chain {chain.author_id} has two residues each under {', '.join(chain.doubled)}; the "
            "first was taken."
            for chain in self.chains
            if chain.doubled
        ]
        return refused + sparse + doubled


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
        When the file is no model, has no protein, or has no chain with a backbone.
    """
    return embed_chains(
        model_id_of(path), protein_chains(read_model(path)), encoder, settings, store, str(path)
    )


def embed_chains(
    model_id: str,
    found: Sequence[ProteinChain],
    encoder: Encoder,
    settings: EmbeddingSettings,
    store: EmbeddingStore | None = None,
    source: str | None = None,
) -> StructureEmbedding:
    """Embed protein chains, as `embed_model` does.

    Parameters
    ----------
    source
        Is named where the chains cannot be used; the model's id where None.

    Raises
    ------
    ModelError
        When there is no chain, or none with a backbone.
    """
    path = source or model_id
    chains = [chain for chain in found if encoder.visible(chain).any()]
    _require_some(found, chains, encoder, path)
    share = settings.mode == "per_chain" and settings.copies == "once"
    sources = originals(chains, encoder) if share else list(range(len(chains)))
    distinct = sorted(set(sources))
    vectors, from_store = _vectors([chains[i] for i in distinct], encoder, settings, store)
    rows_of = dict(zip(distinct, vectors, strict=True))
    return StructureEmbedding(
        model_id=model_id,
        backend=encoder.name,
        fingerprint=encoder.fingerprint,
        code_version=encoder.code_version,
        width=encoder.width,
        mode=settings.mode,
        precision=encoder.precision,
        copies=settings.copies,
        chains=tuple(
            ChainEmbedding(
                chain.author_id,
                chain.label_id,
                chain.entity_id,
                chains[source].label_id,
                chain.residue_ids,
                encoder.visible(chain),
                rows_of[source],
                chain.doubled,
            )
            for chain, source in zip(chains, sources, strict=True)
        ),
        refused=tuple(
            RefusedChain(chain.author_id, chain.label_id, chain.entity_id)
            for chain in found
            if not encoder.visible(chain).any()
        ),
        from_store=from_store,
    )


def _require_some(
    found: Sequence[ProteinChain],
    usable: Sequence[ProteinChain],
    encoder: Encoder,
    path: str,
) -> None:
    if not found:
        raise ModelError(f"{path}: has no protein chain, so there is nothing to embed.")
    if not usable:
        raise ModelError(
            f"{path}: no chain has a residue with the backbone atoms that {encoder.name} needs; "
            "rebuild the backbone from the CA trace first."
        )


def _vectors(
    chains: Sequence[ProteinChain],
    encoder: Encoder,
    settings: EmbeddingSettings,
    store: EmbeddingStore | None,
) -> tuple[Vectors, bool]:
    """Return each chain's vectors, and whether they were in the store."""
    entry = entry_for(chains, encoder, settings.mode)
    kept = store.get(entry) if store else None
    if kept is not None:
        return kept, True
    vectors = encode(chains, encoder, settings.mode)
    if store:
        store.put(entry, vectors)
    return vectors, False


def encode(chains: Sequence[ProteinChain], encoder: Encoder, mode: str) -> Vectors:
    """Return float32 [residues, width] a chain, seen alone or all at once."""
    if mode == "complex":
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
        precision=embedding.precision,
        copies=embedding.copies,
        pooling=settings.model_dump(mode="json"),
    )
