"""Self-attention pooling of a structure's embeddings to a fixed number of tokens.

The six steps of the CryoSAMU poster, for C chains E_i of R_i residues and d numbers each:

1. chain embeddings: the mean over the observed residues of each chain, C × d;
2. their similarity S = Ē Ēᵀ (over √d where `scaled`), W = softmax over each row of S;
3. chain importance w. The poster writes w_i = (1/C) Σ_j W_ij, but each row of W sums to one, so
   that read literally w_i = 1/C for every chain and the attention does nothing (`literal`).
   The column mean w_i = (1/C) Σ_j W_ji is what carries importance (`column_mean`, the default);
4. the pooled embedding, row by row, Σ_i w_i E_i over the chains that have that row observed; a
   row is a residue's place in its chain's list. The poster's plain sum fades past the end of the
   shorter chains; by default w is renormalised over the chains that are there (`renormalised`);
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
# The logarithm of "no weight": finite, because the gradient of infinity is not a number.
_NOTHING = -1e30


@dataclass(frozen=True)
class Pooled:
    """A structure as L tokens; from `pool_batch`, each with the batch in front.

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
    residues
        int64: how many of the R rows some chain has observed.
    """

    tokens: Tensor
    mask: Tensor
    rows: Tensor
    chain_weights: Tensor
    residue_weights: Tensor
    residues: Tensor

    @property
    def chain_entropy(self) -> Tensor:
        """Entropy of w in nats, float64; ln C when the chains weigh the same."""
        return entropy(self.chain_weights)

    @property
    def residue_entropy(self) -> Tensor:
        """Entropy of α in nats, float64; ln R when the residues weigh the same."""
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
    batch = pool_batch([embeddings], [observed], settings)
    return Pooled(**{name: value[0] for name, value in vars(batch).items()})


def pool_batch(
    embeddings: Sequence[Sequence[Tensor]],
    observed: Sequence[Sequence[Tensor]],
    settings: PoolingSettings,
) -> Pooled:
    """Return the tokens of many structures of any numbers of chains and residues at once.

    Parameters
    ----------
    embeddings, observed
        As for `pool`, one list of chains a structure.

    Raises
    ------
    ValueError
        When nothing is observed in a structure.
    """
    values, mask = _padded(embeddings, observed)
    if not mask.any(2).any(1).all():
        raise ValueError("pooling needs at least one observed residue in every structure")

    chain_means = values.sum(2) / mask.sum(2, keepdim=True).clamp(min=1)
    chain_logs = log_importance(chain_means, mask.any(2), settings)

    shares = chain_logs[..., None].where(mask, _NOTHING)
    # From logarithms: weights that float32 rounds to zero still share out what is theirs alone.
    share = (torch.softmax(shares, dim=1) if settings.renormalised else shares.exp()) * mask
    pooled = torch.einsum("bcr,bcrd->brd", share, values)
    there = mask.any(1)
    residue_logs = log_importance(pooled, there, settings)

    rows = most_important(residue_logs, there, settings.tokens)
    real = rows >= 0
    kept = pooled.gather(1, rows.clamp(min=0)[..., None].expand(-1, -1, pooled.shape[-1]))
    return Pooled(
        tokens=F.layer_norm(kept, kept.shape[-1:]).where(real[..., None], 0),
        mask=real,
        rows=rows,
        chain_weights=chain_logs.exp(),
        residue_weights=residue_logs.exp(),
        residues=there.sum(1),
    )


def _padded(
    embeddings: Sequence[Sequence[Tensor]], observed: Sequence[Sequence[Tensor]]
) -> tuple[Tensor, Tensor]:
    """Return [structures, chains, residues, d], zero where not observed, and its bool mask."""
    masks = [pad_sequence(list(chains), batch_first=True) for chains in observed]
    values = [pad_sequence(list(chains), batch_first=True) for chains in embeddings]
    chains, residues = (max(mask.shape[axis] for mask in masks) for axis in (0, 1))
    missing = [(residues - mask.shape[1], chains - mask.shape[0]) for mask in masks]
    mask = torch.stack([F.pad(m, (0, r, 0, c)) for m, (r, c) in zip(masks, missing, strict=True)])
    value = torch.stack(
        [F.pad(v, (0, 0, 0, r, 0, c)) for v, (r, c) in zip(values, missing, strict=True)]
    )
    return value.where(mask[..., None], 0), mask


def log_importance(vectors: Tensor, mask: Tensor, settings: PoolingSettings) -> Tensor:
    """Return the logarithm of each vector's importance among those in the mask: steps 2 and 3.

    Parameters
    ----------
    vectors
        [batch, n, d].
    mask
        bool [batch, n]; the others get weight 0, so minus infinity.
    """
    count = mask.sum(1, keepdim=True)
    if settings.importance == "literal":
        # The mean of a row that sums to one, free of the rounding that would rank equal rows.
        return (mask.to(vectors.dtype) / count).log()
    scale = 1 / math.sqrt(vectors.shape[-1]) if settings.scaled else 1.0
    total = vectors.new_full(mask.shape, _NOTHING)
    for start in range(0, vectors.shape[1], _BLOCK_ROWS):
        queries = slice(start, start + _BLOCK_ROWS)
        scores = scale * (vectors[:, queries] @ vectors.transpose(1, 2))
        logs = torch.log_softmax(scores.where(mask[:, None], _NOTHING), dim=2)
        column = logs.where(mask[:, queries, None], _NOTHING).logsumexp(1)
        total = torch.logaddexp(total, column)
    return (total - count.to(total.dtype).log()).where(mask, -math.inf)


def most_important(importance: Tensor, mask: Tensor, count: int) -> Tensor:
    """Return the indices, int64 [batch, count], of the largest values in the mask, ascending.

    The earlier of two equal values goes first, so that the choice never depends on chance.
    Where fewer are in the mask, -1 follows.
    """
    length = importance.shape[1]
    ranked = importance.detach().where(mask, -math.inf)
    order = torch.sort(ranked, dim=1, descending=True, stable=True).indices[:, :count]
    beyond = torch.arange(order.shape[1], device=order.device) >= mask.sum(1, keepdim=True)
    # Sorting must leave what is beyond at the end.
    order = order.masked_fill(beyond, length).sort(dim=1).values
    rows = F.pad(order, (0, count - order.shape[1]), value=length)
    return rows.masked_fill(rows == length, -1)


def entropy(weights: Tensor) -> Tensor:
    """Return the Shannon entropy in nats, float64, of weights whose last axis adds up to one."""
    terms: Tensor = torch.special.entr(weights.detach().double())
    return terms.sum(-1)
