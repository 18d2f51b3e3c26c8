"""A small network whose output at a voxel does not know the window that the voxel was seen in.

A residual U-Net without statistics or attention over voxels: normalisation is over the channels
of one voxel, and what is global comes from the structure tokens alone, which are the same for all
windows of a map. Windows placed at multiples of the stride therefore equal the whole volume
beyond `margin` voxels from their edges, for any weights.

The full grid has only the first and the last convolution; residual blocks begin at half the grid,
where eight times fewer voxels make wide layers cheap. The last convolution's result is added to
the input and begins at zero: training starts from the map as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cryosamu.network.attention import TokenCrossAttention
from cryosamu.network.interface import EnhancementNetwork


class ChannelNorm(nn.Module):
    """Divide each voxel's channels by their root mean square (RMSNorm, Zhang & Sennrich 2019).

    The constant keeps empty solvent, where all channels are near zero, from being amplified.
    """

    _SMALL = 1e-4

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1, channels, 1, 1, 1))

    def forward(self, voxels: Tensor) -> Tensor:
        """Return voxels [batch, channels, z, y, x], each voxel at unit root mean square."""
        mean_square = voxels.square().mean(dim=1, keepdim=True)
        normed: Tensor = voxels * torch.rsqrt(mean_square + self._SMALL) * self.gain
        return normed


class ChannelNormBlock(nn.Module):
    """ChannelNorm → SiLU → dropout → 3³ convolution, twice, around a skip."""

    def __init__(self, channels: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *_normed_convolution(channels, channels, dropout),
            *_normed_convolution(channels, channels, dropout),
        )

    def forward(self, voxels: Tensor) -> Tensor:
        """Return [batch, channels, z, y, x]."""
        changed: Tensor = voxels + self.layers(voxels)
        return changed


def _normed_convolution(channels: int, channels_out: int, dropout: float) -> list[nn.Module]:
    return [
        ChannelNorm(channels),
        nn.SiLU(),
        nn.Dropout(dropout),
        nn.Conv3d(channels, channels_out, 3, padding=1),
    ]


class CompactNetwork(EnhancementNetwork):
    """Tile-consistent residual U-Net with cross-attention to structure tokens.

    Parameters
    ----------
    embedding_width
        Width of the structure tokens.
    base_channels, multipliers
        Channels a level: their product, at least two levels; each further level halves the grid.
    dropout
        Share of the values that training drops before the convolutions of the residual blocks.
    """

    tile_consistent = True

    def __init__(
        self, embedding_width: int, base_channels: int, multipliers: Sequence[int], dropout: float
    ) -> None:
        super().__init__()
        levels = [base_channels * multiplier for multiplier in multipliers]
        steps = list(pairwise(levels))
        self.stride = 2 ** len(steps)
        self.margin = -(-_reach(len(levels)) // self.stride) * self.stride
        self.entry = nn.Conv3d(1, levels[0], 3, padding=1)
        self.encoders = _blocks(levels, dropout)
        self.down = nn.ModuleList(nn.Conv3d(fine, coarse, 2, stride=2) for fine, coarse in steps)
        self.bottleneck = ChannelNormBlock(levels[-1], dropout)
        self.structure = TokenCrossAttention(levels[-1], embedding_width)
        self.up = nn.ModuleList(nn.Conv3d(coarse, fine, 1) for fine, coarse in steps)
        self.decoders = _blocks(levels, dropout)
        self.head = nn.Sequential(*_normed_convolution(levels[0], 1, dropout=0))
        for parameter in self.head[-1].parameters():
            nn.init.zeros_(parameter)

    def forward(
        self, density: Tensor, tokens: Tensor | None = None, token_mask: Tensor | None = None
    ) -> Tensor:
        """Return the enhanced density; see `EnhancementNetwork.forward`."""
        self.require_shape(density)
        voxels = self.entry(density)
        skips = []
        for encoder, down in zip(self.encoders, self.down, strict=True):
            voxels = encoder(voxels)
            skips.append(voxels)
            voxels = down(voxels)
        voxels = self.bottleneck(voxels)
        if tokens is not None:
            voxels = self.structure(voxels, tokens, token_mask)
        for up, decoder in zip(reversed(self.up), reversed(self.decoders), strict=True):
            voxels = skips.pop() + F.interpolate(up(voxels), scale_factor=2.0, mode="nearest")
            voxels = decoder(voxels)
        enhanced: Tensor = density + self.head(voxels)
        return enhanced


def _blocks(levels: Sequence[int], dropout: float) -> nn.ModuleList:
    """Return one block for each level above the bottleneck; the full grid's does nothing."""
    blocks = (ChannelNormBlock(width, dropout) for width in levels[1:-1])
    return nn.ModuleList([nn.Identity(), *blocks])


def _reach(levels: int) -> int:
    """Return how many voxels away the input can still change the output.

    A block of two convolutions reaches 2 cells. Seen from the next finer level, a reach of n
    coarse cells is one of 2n + 1 cells, whichever half of its coarse cell a fine one is.
    """
    reach = 2
    for _ in range(levels - 2):
        reach = 2 + (2 * reach + 1) + 2
    return 1 + (2 * reach + 1) + 1
