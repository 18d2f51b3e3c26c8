"""The published network as its closest relative reveals it.

One reading of the recipe gives the published 12,220,225 parameters (512-wide embedding, 32 base
channels): skips from the first convolution, every residual block and every down-sampling; one
residual block more a level on the way up; linear attention after every residual block at
down-sampling 1, 2 and 4 and in the bottleneck.

Its GroupNorm and its attention among voxels take statistics over the window: what becomes of a
voxel depends on what else is in the window (`tile_consistent` is false).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cryosamu.network.attention import LinearAttention, TokenCrossAttention, group_norm
from cryosamu.network.interface import EnhancementNetwork

_BLOCKS = 2
_ATTENTION_AT = (1, 2, 4)


class ResidualBlock(nn.Module):
    """GroupNorm → SiLU → dropout → 3³ convolution, twice, around a skip."""

    def __init__(self, channels: int, channels_out: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *_activated_convolution(channels, channels_out, dropout),
            *_activated_convolution(channels_out, channels_out, dropout),
        )
        self.skip = nn.Conv3d(channels, channels_out, 1) if channels != channels_out else None

    def forward(self, voxels: Tensor) -> Tensor:
        """Return [batch, channels_out, z, y, x]."""
        skipped = voxels if self.skip is None else self.skip(voxels)
        changed: Tensor = skipped + self.layers(voxels)
        return changed


def _activated_convolution(channels: int, channels_out: int, dropout: float) -> list[nn.Module]:
    return [
        group_norm(channels),
        nn.SiLU(),
        nn.Dropout(dropout),
        nn.Conv3d(channels, channels_out, 3, padding=1),
    ]


class ReferenceNetwork(EnhancementNetwork):
    """3D residual U-Net with linear attention and cross-attention to structure tokens.

    Parameters
    ----------
    embedding_width
        Width of the structure tokens.
    base_channels, multipliers
        Channels a level: their product; each further level halves the grid.
    dropout
        Share of channels' voxels that training drops in every residual block.
    """

    tile_consistent = False
    margin = 16

    def __init__(
        self, embedding_width: int, base_channels: int, multipliers: Sequence[int], dropout: float
    ) -> None:
        super().__init__()
        levels = [base_channels * multiplier for multiplier in multipliers]
        self.stride = 2 ** (len(levels) - 1)
        self.entry = nn.Conv3d(1, base_channels, 3, padding=1)
        self.down, skips = _way_down(base_channels, levels, dropout)
        self.bottleneck_in = ResidualBlock(levels[-1], levels[-1], dropout)
        self.bottleneck_attention = LinearAttention(levels[-1])
        self.structure = TokenCrossAttention(levels[-1], embedding_width)
        self.bottleneck_out = ResidualBlock(levels[-1], levels[-1], dropout)
        self.up = _way_up(skips, levels, dropout)
        self.head = nn.Sequential(
            group_norm(levels[0]), nn.SiLU(), nn.Conv3d(levels[0], 1, 3, padding=1)
        )

    def forward(
        self,
        density: Tensor,
        tokens: Tensor | None = None,
        token_mask: Tensor | None = None,
        resolution: Tensor | None = None,  # noqa: ARG002
    ) -> Tensor:
        """Return the enhanced density at any resolution; see `EnhancementNetwork.forward`."""
        self.require_shape(density)
        voxels = self.entry(density)
        skips = [voxels]
        for step in self.down:
            voxels = step(voxels)
            skips.append(voxels)
        voxels = self.bottleneck_attention(self.bottleneck_in(voxels))
        if tokens is not None:
            voxels = self.structure(voxels, tokens, token_mask)
        voxels = self.bottleneck_out(voxels)
        for step in self.up:
            voxels = step(torch.cat((voxels, skips.pop()), dim=1))
        enhanced: Tensor = self.head(voxels)
        return enhanced


def _way_down(
    channels: int, levels: Sequence[int], dropout: float
) -> tuple[nn.ModuleList, list[int]]:
    """Return the steps down and the channels of each skip, the entry's first."""
    steps: list[nn.Module] = []
    skips = [channels]
    for depth, width in enumerate(levels):
        for _ in range(_BLOCKS):
            steps.append(_block(channels, width, depth, dropout))
            channels = width
            skips.append(channels)
        if depth < len(levels) - 1:
            steps.append(nn.Conv3d(channels, channels, 3, stride=2, padding=1))
            skips.append(channels)
    return nn.ModuleList(steps), skips


def _way_up(skips: Sequence[int], levels: Sequence[int], dropout: float) -> nn.ModuleList:
    """Return the steps up, each of which is given its input joined to the next skip."""
    waiting = list(skips)
    channels = levels[-1]
    steps: list[nn.Module] = []
    for depth in reversed(range(len(levels))):
        for block in range(_BLOCKS + 1):
            layers = [_block(channels + waiting.pop(), levels[depth], depth, dropout)]
            channels = levels[depth]
            if depth and block == _BLOCKS:
                layers += [
                    nn.Upsample(scale_factor=2, mode="nearest"),
                    nn.Conv3d(channels, channels, 3, padding=1),
                ]
            steps.append(nn.Sequential(*layers))
    return nn.ModuleList(steps)


def _block(channels: int, width: int, depth: int, dropout: float) -> nn.Module:
    block = ResidualBlock(channels, width, dropout)
    if 2**depth in _ATTENTION_AT:
        return nn.Sequential(block, LinearAttention(width))
    return block
