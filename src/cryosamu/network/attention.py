"""Attention: of voxels to structure tokens, and the linear kind among voxels."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class TokenCrossAttention(nn.Module):
    """Voxels ask the structure tokens; a pre-norm transformer block with residual sums.

    Query = voxels, key = value = tokens, each after LayerNorm; then a feed-forward layer four
    times as wide. The tokens are the same for every window of a map, so that this block does not
    make a voxel's output depend on its window.

    Parameters
    ----------
    channels
        Of the voxels, and of the attention; divided among `heads`.
    token_width
        Of the structure tokens.
    """

    def __init__(self, channels: int, token_width: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.voxel_norm = nn.LayerNorm(channels)
        self.token_norm = nn.LayerNorm(token_width)
        self.query = nn.Linear(channels, channels)
        self.key = nn.Linear(token_width, channels)
        self.value = nn.Linear(token_width, channels)
        self.output = nn.Linear(channels, channels)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(channels),
            nn.Linear(channels, 4 * channels),
            nn.SiLU(),
            nn.Linear(4 * channels, channels),
        )

    def forward(self, voxels: Tensor, tokens: Tensor, token_mask: Tensor | None) -> Tensor:
        """Return voxels [batch, channels, z, y, x] informed by tokens [batch, tokens, width].

        Parameters
        ----------
        token_mask
            bool [batch, tokens], true for a real token. Masked tokens have no influence at all;
            an example without any real token passes through unchanged.
        """
        rows = voxels.flatten(2).transpose(1, 2)
        visible, present = _visibility(token_mask)
        normed = self.token_norm(tokens)
        attended = F.scaled_dot_product_attention(
            self._heads(self.query(self.voxel_norm(rows))),
            self._heads(self.key(normed)),
            self._heads(self.value(normed)),
            attn_mask=visible,
        )
        informed: Tensor = rows + self.output(attended.transpose(1, 2).flatten(2))
        informed = informed + self.feed_forward(informed)
        if present is not None:
            informed = torch.where(present, informed, rows)
        return informed.transpose(1, 2).reshape(voxels.shape)

    def _heads(self, rows: Tensor) -> Tensor:
        batch, length, channels = rows.shape
        return rows.view(batch, length, self.heads, channels // self.heads).transpose(1, 2)


def _visibility(token_mask: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
    """Return the attention's mask [batch, 1, 1, tokens] and which examples have any token.

    An example without tokens sees them all for the sake of finite numbers; its result is dropped.
    """
    if token_mask is None:
        return None, None
    present = token_mask.any(dim=1)[:, None, None]
    return (token_mask[:, None, :] | ~present)[:, None], present


class LinearAttention(nn.Module):
    """Attention among the voxels of a window at linear cost, with learnt memory tokens.

    Softmax of the queries over features and of the keys over voxels (Shen et al. 2021, Efficient
    Attention); the memory tokens are keys and values that every window shares.
    """

    def __init__(self, channels: int, heads: int = 4, width: int = 32, memory: int = 4) -> None:
        super().__init__()
        self.heads, self.width = heads, width
        inner = heads * width
        self.norm = group_norm(channels)
        self.project = nn.Conv3d(channels, 3 * inner, 1, bias=False)
        self.memory = nn.Parameter(torch.randn(2, heads, width, memory))
        self.output = nn.Sequential(nn.Conv3d(inner, channels, 1), nn.GroupNorm(1, channels))

    def forward(self, voxels: Tensor) -> Tensor:
        """Return voxels [batch, channels, z, y, x] plus what they attended to."""
        batch, _, *edges = voxels.shape
        projected: Tensor = self.project(self.norm(voxels))
        projected = projected.view(batch, 3, self.heads, self.width, -1)
        query, key, value = projected.unbind(1)
        memory = self.memory[:, None].expand(-1, batch, -1, -1, -1)
        key = torch.cat((memory[0], key), dim=-1).softmax(dim=-1)
        value = torch.cat((memory[1], value), dim=-1)
        context = key @ value.transpose(-1, -2)
        attended = context.transpose(-1, -2) @ (query.softmax(dim=-2) * self.width**-0.5)
        informed: Tensor = voxels + self.output(attended.reshape(batch, -1, *edges))
        return informed


def group_norm(channels: int) -> nn.GroupNorm:
    """Return GroupNorm with 32 groups, or as many as divide a smaller number of channels."""
    groups = next(g for g in range(min(32, channels), 0, -1) if channels % g == 0)
    return nn.GroupNorm(groups, channels)
