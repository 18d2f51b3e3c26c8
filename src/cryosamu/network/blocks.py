"""The compact network's parts: norms, residual blocks, and the ways between two grids.

None takes statistics over a window once it is trained, so that what a voxel becomes depends on
its surroundings alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from cryosamu.config import CompactSettings

NormKind = Literal["channel", "batch", "none"]

_CONDITION_WIDTH = 16
# Å: resolutions of maps worth enhancing then lie about ±1.
_MIDDLE_RESOLUTION, _HALF_RANGE = 6.0, 2.0


class ChannelNorm(nn.Module):
    """Divide each voxel's channels by their root mean square (RMSNorm, Zhang & Sennrich 2019).

    The constant keeps empty solvent, where all channels are near zero, from being amplified.
    """

    SMALL = 1e-4

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1, channels, 1, 1, 1))

    def forward(self, voxels: Tensor) -> Tensor:
        """Return voxels [batch, channels, z, y, x], each voxel at unit root mean square."""
        mean_square = voxels.square().mean(dim=1, keepdim=True)
        normed: Tensor = voxels * torch.rsqrt(mean_square + self.SMALL) * self.gain
        return normed


def channel_norm(kind: NormKind, channels: int) -> nn.Module:
    """Return a norm of each voxel's channels, one of statistics fixed by training, or none."""
    match kind:
        case "channel":
            return ChannelNorm(channels)
        case "batch":
            return nn.BatchNorm3d(channels)
        case "none":
            return nn.Identity()


class ResidualBlock(nn.Module):
    """Two 3³ convolutions around a skip.

    `before`: norm → SiLU → convolution, twice (He et al. 2016). `between`: convolution → norm →
    SiLU → convolution (Lim et al. 2017, with a norm): half of the passes over memory. Dropout
    precedes a convolution that follows a SiLU. A known resolution scales and shifts the channels
    after the last norm (Perez et al. 2018).

    Parameters
    ----------
    dilation
        Of both convolutions, in cells.
    """

    def __init__(
        self,
        channels: int,
        dropout: float,
        settings: CompactSettings,
        dilation: int = 1,
    ) -> None:
        super().__init__()
        leading: list[nn.Module] = []
        if settings.block == "before":
            leading = [
                channel_norm(settings.norm, channels),
                nn.SiLU(),
                nn.Dropout(dropout),
            ]
        self.leading = nn.Sequential(*leading)
        self.first = _same_grid(channels, dilation)
        self.norm = channel_norm(settings.norm, channels)
        self.affine = None
        if settings.resolution:
            # Begins with no influence.
            self.affine = nn.Linear(_CONDITION_WIDTH, 2 * channels)
            nn.init.zeros_(self.affine.weight)
            nn.init.zeros_(self.affine.bias)
        self.activation = nn.Sequential(nn.SiLU(), nn.Dropout(dropout))
        self.second = _same_grid(channels, dilation)

    def forward(self, voxels: Tensor, condition: Tensor | None) -> Tensor:
        """Return [batch, channels, z, y, x].

        Parameters
        ----------
        condition
            [batch, 16], what is known of the whole map.
        """
        inner = self.norm(self.first(self.leading(voxels)))
        if self.affine is not None:
            scale, shift = self.affine(condition)[..., None, None, None].chunk(2, dim=1)
            inner = inner * (1 + scale) + shift
        changed: Tensor = voxels + self.second(self.activation(inner))
        return changed

    def fold(self) -> None:
        """Fold a norm of fixed statistics into the convolution before it; for inference alone."""
        if isinstance(self.norm, nn.BatchNorm3d):
            self.first = fuse_conv_bn_eval(self.first.eval(), self.norm.eval())
            self.norm = nn.Identity()


class Level(nn.Module):
    """Residual blocks on one grid, one after the other; there may be none."""

    def __init__(
        self,
        channels: int,
        dropout: float,
        settings: CompactSettings,
        dilations: Sequence[int],
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            ResidualBlock(channels, dropout, settings, dilation) for dilation in dilations
        )

    def forward(self, voxels: Tensor, condition: Tensor | None) -> Tensor:
        """Return [batch, channels, z, y, x]."""
        for block in self.blocks:
            voxels = block(voxels, condition)
        return voxels


class Down(nn.Module):
    """To half the grid: a convolution over 2³ cells, or a blur first (Zhang 2019)."""

    def __init__(self, fine: int, coarse: int, smooth: bool) -> None:
        super().__init__()
        self.smooth = smooth
        edge = 1 if smooth else 2
        self.convolution = nn.Conv3d(fine, coarse, edge, stride=edge)

    def forward(self, voxels: Tensor) -> Tensor:
        """Return [batch, coarse, z / 2, y / 2, x / 2]."""
        if self.smooth:
            voxels = _halved(voxels)
        coarse: Tensor = self.convolution(voxels)
        return coarse


def _halved(voxels: Tensor) -> Tensor:
    """Return each channel under a binomial blur, at every second cell."""
    # Made here: a buffer that no checkpoint holds would be lost in loading one.
    line = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=voxels.dtype, device=voxels.device) / 8
    channels = voxels.shape[1]
    kernel = (line[:, None, None] * line[:, None] * line).expand(channels, 1, 4, 4, 4)
    return F.conv3d(voxels, kernel, stride=2, padding=1, groups=channels)


class Up(nn.Module):
    """To twice the grid, each cell repeated or trilinear; channels change where cells are few."""

    def __init__(self, coarse: int, fine: int, smooth: bool) -> None:
        super().__init__()
        self.mode = "trilinear" if smooth else "nearest"
        self.convolution = nn.Conv3d(coarse, fine, 1)

    def forward(self, voxels: Tensor) -> Tensor:
        """Return [batch, fine, 2z, 2y, 2x]."""
        return F.interpolate(self.convolution(voxels), scale_factor=2.0, mode=self.mode)


class ResolutionCondition(nn.Module):
    """A map's reported resolution as 16 numbers; an unknown one is a value of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, _CONDITION_WIDTH), nn.SiLU())

    def forward(self, resolution: Tensor) -> Tensor:
        """Return [batch, 16] for resolutions [batch] in Å, NaN where not known."""
        known = resolution.isfinite()
        place = (resolution - _MIDDLE_RESOLUTION) / _HALF_RANGE
        features = torch.stack((place.where(known, 0.0), known.to(place.dtype)), dim=1)
        condition: Tensor = self.layers(features)
        return condition


def folded(voxels: Tensor, edge: int) -> Tensor:
    """Return each cube of edge³ voxels as channels: [batch, edge³, z/edge, y/edge, x/edge]."""
    for axis in (2, 3, 4):
        voxels = torch.unflatten(voxels, axis, (-1, edge)).movedim(axis + 1, 1).flatten(1, 2)
    return voxels


def unfolded(voxels: Tensor, edge: int) -> Tensor:
    """Undo `folded`: [batch, n·edge³, z, y, x] to [batch, n, edge·z, edge·y, edge·x]."""
    for axis in (4, 3, 2):
        voxels = torch.unflatten(voxels, 1, (edge, -1)).movedim(1, axis + 1).flatten(axis, axis + 1)
    return voxels


def _same_grid(channels: int, dilation: int) -> nn.Conv3d:
    return nn.Conv3d(channels, channels, 3, padding=dilation, dilation=dilation)
