"""Structure tokens that are wrong on purpose: what a map must not depend on."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch

from cryosamu.archive.server import EMBEDDED
from cryosamu.config import EmbeddingSettings
from cryosamu.embedding.pooling import Pooled
from cryosamu.enhancement.structure import Model, embed_and_pool, structure_of
from cryosamu.network.checkpoint import CheckpointHeader
from cryosamu.structure.model import protein_chains

Control = Literal["permuted", "another"]

SEED = 2024

_MODELS = EMBEDDED / "files.rcsb.org" / "download"
UNRELATED = (_MODELS / "1AKE.cif.gz", _MODELS / "3ENL.cif.gz")
"""Adenylate kinase of E. coli; enolase of yeast for those who look at adenylate kinases."""

_WORD = 8
"""Residues in common from which two proteins count as related here."""


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


def another(
    header: CheckpointHeader, settings: EmbeddingSettings, model: Model | None = None
) -> Pooled:
    """Return the tokens of a protein that comes with the software and is not the map's.

    Parameters
    ----------
    model
        The map's own model, which the protein must not resemble.

    Raises
    ------
    ModelError, CheckpointError
        As `structure_tokens`.
    """
    own = set() if model is None else _words(model)
    chosen = next((path for path in UNRELATED if not own & _words(path)), UNRELATED[-1])
    return embed_and_pool(chosen, header, settings)


def _words(model: Model) -> set[str]:
    """Return all stretches of eight residues in a model's protein chains."""
    sequences = {chain.sequence for chain in protein_chains(structure_of(model))}
    return {
        text[start : start + _WORD]
        for text in sequences
        for start in range(len(text) - _WORD + 1)
        if "X" not in text[start : start + _WORD]
    }
