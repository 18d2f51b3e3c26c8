"""Self-attention pooling of a structure's embeddings to a fixed number of tokens.

The six steps of the CryoSAMU poster, for C chains E_i of R_i residues and d numbers each:

1. chain embeddings: the mean over the observed residues of each chain, C × d;
2. their similarity S = Ē Ēᵀ (over √d where `scaled`), W = softmax over each row of S;
3. chain importance w. The poster writes w_i = (1/C) Σ_j W_ij, but each row of W sums to one, so
   that read literally w_i = 1/C for every chain and the attention does nothing (`literal`).
   The column mean w_i = (1/C) Σ_j W_ji is what carries importance (`column_mean`, the default);
4. the pooled embedding, row by row, Σ_i w_i E_i over the chains that have that row observed,
   with w renormalised over those chains; a row is a residue's place in its chain's list;
5. the same attention over the pooled rows gives each residue its importance α;
6. each row normalised to zero mean and unit variance, and the L rows of largest α kept in
   sequence order; fewer than L rows are padded with zeros and masked.

Why step 6 normalises each row by itself: encoders differ in scale by orders of magnitude, and so
do rows of one encoder; a token of length √d is what attention expects, and the cross-attention
that reads the tokens begins with the same normalisation, so that nothing it could use is lost.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from cryosamu.config import PoolingSettings

_BLOCK_ROWS = 1024


@dataclass(frozen=True)
class Pooled:
    """A structure as L tokens.

    Attributes
    ----------
    tokens
        [L, d]: rows of zero mean and unit variance in sequence order, then rows of zeros.
    mask
        bool [L]: True where the token is real.
    rows
        int64 [L]: the row of the pooled embedding that each token is, -1 where padded.
    chain_weights
        [C]: w, adds up to one; 0 for a chain with nothing observed.
    residue_weights
        [R]: α, adds up to one; 0 for a row that no chain has observed.
    """

    tokens: Tensor
    mask: Tensor
    rows: Tensor
    chain_weights: Tensor
    residue_weights: Tensor

    @property
    def chain_entropy(self) -> float:
        """Entropy of w in nats; ln C when the chains weigh the same."""
        return entropy(self.chain_weights)

    @property
    def residue_entropy(self) -> float:
        """Entropy of α in nats; ln R when the residues weigh the same."""
        return entropy(self.residue_weights)


def pool(
    embeddings: Sequence[Tensor], observed: Sequence[Tensor], settings: PoolingSettings
) -> Pooled:
    """Return the tokens of one structure; differentiable in the embeddings.

    Parameters
    ----------
    embeddings
        [residues, d] a chain; rows that are not observed may hold anything.
    observed
        bool [residues] a chain; at least one residue in all.

    Raises
    ------
    ValueError
        When nothing is observed.
    """
    if not any(bool(seen.any()) for seen in observed):
        raise ValueError("pooling needs at least one observed residue")
    mask = pad_sequence(list(observed), batch_first=True)
    values = pad_sequence(list(embeddings), batch_first=True).where(mask[..., None], 0)

    chain_means = values.sum(1) / mask.sum(1, keepdim=True).clamp(min=1)
    chain_weights = attention_weights(chain_means, mask.any(1), settings)

    share = chain_weights[:, None] * mask
    total = share.sum(0)
    there = mask.any(0)
    pooled = torch.einsum("cr,crd->rd", share, values) / total.where(there, 1)[:, None]
    residue_weights = attention_weights(pooled, there, settings)

    rows = most_important(residue_weights, there, settings.tokens)
    tokens = F.layer_norm(pooled[rows], pooled.shape[-1:])
    padding = settings.tokens - len(rows)
    return Pooled(
        tokens=F.pad(tokens, (0, 0, 0, padding)),
        mask=F.pad(torch.ones_like(rows, dtype=torch.bool), (0, padding)),
        rows=F.pad(rows, (0, padding), value=-1),
        chain_weights=chain_weights,
        residue_weights=residue_weights,
    )


def attention_weights(vectors: Tensor, mask: Tensor, settings: PoolingSettings) -> Tensor:
    """Return each vector's importance among those in the mask: steps 2 and 3.

    Parameters
    ----------
    vectors
        [n, d].
    mask
        bool [n]; the others get weight 0.
    """
    if settings.importance == "literal":
        # The mean of a row that sums to one, free of the rounding that would rank equal rows.
        return mask.to(vectors.dtype) / mask.sum()
    keys = vectors[mask]
    scale = 1 / math.sqrt(vectors.shape[-1]) if settings.scaled else 1.0
    weights = keys.new_zeros(len(keys))
    for queries in torch.split(keys, _BLOCK_ROWS):
        weights = weights + torch.softmax(scale * (queries @ keys.T), dim=-1).sum(0)
    return torch.zeros_like(vectors[:, 0]).masked_scatter(mask, weights / len(keys))


def most_important(weights: Tensor, mask: Tensor, count: int) -> Tensor:
    """Return the indices, ascending, of the `count` largest weights in the mask.

    The earlier of two equal weights goes first, so that the choice never depends on chance.
    """
    candidates = mask.nonzero()[:, 0]
    order = torch.sort(weights.detach()[candidates], descending=True, stable=True).indices
    return candidates[order[:count]].sort().values


def entropy(weights: Tensor) -> float:
    """Return the Shannon entropy in nats of weights that add up to one."""
    return float(torch.special.entr(weights.detach().double()).sum())
