"""Structure tokens that are wrong on purpose: what a map must not depend on."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch

from cryosamu.archive.server import EMBEDDED
from cryosamu.config import EmbeddingSettings
from cryosamu.embedding.pooling import Pooled
from cryosamu.enhancement.structure import embed_and_pool
from cryosamu.network.checkpoint import CheckpointHeader

Control = Literal["permuted", "another"]

SEED = 2024

ANOTHER_PROTEIN = EMBEDDED / "files.rcsb.org" / "download" / "1AKE.cif.gz"
"""Adenylate kinase of E. coli: the unrelated protein where none is named."""


def permuted(pooled: Pooled, seed: int = SEED) -> Pooled:
    """Return tokens whose features are shuffled over the real tokens, each feature by itself.

    Every feature keeps its values, none its residue. Shuffling whole tokens would be no control:
    cross-attention does not know their order, and the output would be the same.
    """
    generator = torch.Generator().manual_seed(seed)
    tokens = pooled.tokens.clone()
    real = tokens[pooled.mask]
    order = torch.rand(real.shape, generator=generator).argsort(dim=0)
    mixed = real.gather(0, order)
    # As `pool` leaves them: each row of zero mean and unit variance.
    mixed = mixed - mixed.mean(dim=1, keepdim=True)
    mixed = mixed / mixed.std(dim=1, keepdim=True, correction=0).clamp_min(1e-6)
    tokens[pooled.mask] = mixed
    return replace(pooled, tokens=tokens)


def another(header: CheckpointHeader, settings: EmbeddingSettings) -> Pooled:
    """Return the tokens of the unrelated protein that comes with the software.

    Raises
    ------
    CheckpointError
        As `structure_tokens`.
    """
    return embed_and_pool(ANOTHER_PROTEIN, header, settings)
