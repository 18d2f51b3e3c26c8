"""A small network whose output at a voxel does not know the window that the voxel was seen in.

A residual U-Net without statistics or attention over voxels: what is global comes from the
structure tokens and the map's resolution alone, which are the same for all windows of a map.
Windows placed at multiples of the stride therefore equal the whole volume beyond `margin` voxels
from their edges, for any weights. Which of its forms is best was measured: docs/network.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any, Self, cast

import torch
from torch import Tensor, nn

from cryosamu.config import CompactSettings
from cryosamu.network.attention import TokenCrossAttention
from cryosamu.network.blocks import (
    Down,
    Level,
    ResidualBlock,
    ResolutionCondition,
    Up,
    channel_norm,
    folded,
    unfolded,
)
from cryosamu.network.interface import EnhancementNetwork
from cryosamu.network.streamed import Layers, Streamed, held_in

_PLANES_ON_THEIR_WAY = 28
"""Of the widest grid, at once, in a residual block whose slabs are no thicker than must be."""


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
    settings
        The form of each part.
    """

    tile_consistent = True

    def __init__(
        self,
        embedding_width: int,
        base_channels: int,
        multipliers: Sequence[int],
        dropout: float,
        settings: CompactSettings,
    ) -> None:
        super().__init__()
        levels = [base_channels * multiplier for multiplier in multipliers]
        steps = list(pairwise(levels))
        blocks = _blocks_a_level(len(levels), settings)
        smooth = settings.resampling == "smooth"

        def sides() -> nn.ModuleList:
            return nn.ModuleList(
                Level(width, dropout, settings, (1,) * count)
                for (width, _), count in zip(steps, blocks, strict=True)
            )

        self.output = settings.output
        self.cube = 2 if settings.full_grid == "folded" else 1
        self.stride = self.cube * 2 ** len(steps)
        self.margin = -(-_reach(len(levels), settings) // self.stride) * self.stride
        self.can_stream = settings.full_grid == "ends" and not smooth
        self.streamed: Streamed | None = None
        self.holds_in_bfloat16 = self.can_stream
        self.multiplies_in_int8 = self.can_stream and settings.norm == "channel"
        self.condition = ResolutionCondition() if settings.resolution else None
        self.entry = nn.Conv3d(self.cube**3, levels[0], 3, padding=1)
        self.encoders = sides()
        self.down = nn.ModuleList(Down(fine, coarse, smooth) for fine, coarse in steps)
        self.bottleneck = Level(levels[-1], dropout, settings, settings.dilations)
        self.structure = TokenCrossAttention(levels[-1], embedding_width)
        self.up = nn.ModuleList(Up(coarse, fine, smooth) for fine, coarse in steps)
        self.decoders = sides()
        answers = 2 if settings.output == "gated" else 1
        self.head = nn.Sequential(
            channel_norm(settings.norm, levels[0]),
            nn.SiLU(),
            nn.Conv3d(levels[0], answers * self.cube**3, 3, padding=1),
        )
        if settings.output != "plain":
            # Training starts from the map as it is.
            for parameter in self.head[-1].parameters():
                nn.init.zeros_(parameter)

    def forward(
        self,
        density: Tensor,
        tokens: Tensor | None = None,
        token_mask: Tensor | None = None,
        resolution: Tensor | None = None,
    ) -> Tensor:
        """Return the enhanced density; see `EnhancementNetwork.forward`."""
        self.require_shape(density)
        condition = self._condition(density, resolution)
        if self.streamed is not None:
            known = None if condition is None else condition.float()
            # What it computes in which numbers is arranged.
            with torch.autocast(density.device.type, enabled=False):
                return self._by_slabs(self.streamed, density, tokens, token_mask, known)
        voxels = self.entry(folded(density, self.cube))
        skips = []
        for encoder, down in zip(self.encoders, self.down, strict=True):
            voxels = encoder(voxels, condition)
            skips.append(voxels)
            voxels = down(voxels)
        voxels = self.bottleneck(voxels, condition)
        if tokens is not None:
            voxels = self.structure(voxels, tokens, token_mask)
        for up, decoder in zip(reversed(self.up), reversed(self.decoders), strict=True):
            voxels = decoder(skips.pop() + up(voxels), condition)
        return self._enhanced(density, unfolded(self.head(voxels), self.cube))

    def for_inference(self, dtype: torch.dtype = torch.float32) -> Self:
        """Fold norms of fixed statistics and compute by slabs; see `EnhancementNetwork`."""
        for module in self.eval().modules():
            if isinstance(module, ResidualBlock):
                module.fold()
        if self.can_stream:
            self.streamed = Streamed(self._layers(), dtype)
        return self

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what was arranged for one device: a copy may be for another."""
        return {**self.__dict__, "streamed": None}

    def memory(self, dtype: torch.dtype, plane: int = 0) -> tuple[int, float]:
        """Return the bytes of a pass, once and a voxel; see `EnhancementNetwork`.

        By slabs: input and output, each coarser grid's channels once, and some planes of its on
        their way through a block. Else what the finest grid holds at the pass's widest point.
        Measured: docs/enhancement_speed.md.
        """
        device = self.entry.weight.device
        size = held_in(dtype, device).itemsize
        if not self.can_stream:
            return 200_000_000, 8 + 12.0 * self.entry.out_channels * 4
        widths = [down.convolution.out_channels for down in self._layers().down]
        coarser = sum(width * size / 8**depth for depth, width in enumerate(widths, start=1))
        planes = max(width / 4**depth for depth, width in enumerate(widths, start=1))
        # Slabs are larger on other devices.
        slabs = 300_000_000 if device.type == "cpu" else 700_000_000
        once = slabs + _PLANES_ON_THEIR_WAY * size * planes * plane
        return round(once), 8 + 1.1 * coarser

    def _by_slabs(
        self,
        streamed: Streamed,
        density: Tensor,
        tokens: Tensor | None,
        token_mask: Tensor | None,
        condition: Tensor | None,
    ) -> Tensor:
        """Return what `forward` does, one example and a few planes at a time."""
        result = torch.empty_like(density)
        for example in range(len(density)):
            this = slice(example, example + 1)
            told, mask, known = (
                None if one is None else one[this] for one in (tokens, token_mask, condition)
            )
            structure = None
            if told is not None:
                structure = partial(self.structure, tokens=told, token_mask=mask)
            for planes, answer in streamed.answers(density[this], known, structure):
                result[this, :, planes] = self._enhanced(density[this, :, planes], answer)
        return result

    def _layers(self) -> Layers:
        norm, _, last = self.head
        return Layers(
            self.entry,
            cast("list[Down]", list(self.down)),
            cast("list[Level]", list(self.encoders)),
            self.bottleneck,
            cast("list[Up]", list(reversed(self.up))),
            cast("list[Level]", list(reversed(self.decoders))),
            norm,
            cast("nn.Conv3d", last),
        )

    def _condition(self, density: Tensor, resolution: Tensor | None) -> Tensor | None:
        if self.condition is None:
            return None
        if resolution is None:
            resolution = density.new_full((len(density),), torch.nan)
        condition: Tensor = self.condition(resolution)
        return condition

    def _enhanced(self, density: Tensor, answer: Tensor) -> Tensor:
        """Return the head's answer as a map: as it is, or what it corrects of the input."""
        match self.output:
            case "plain":
                return answer
            case "residual":
                return density + answer
            case "gated":
                correction, gate = answer.chunk(2, dim=1)
                return density + gate.sigmoid() * correction


def _blocks_a_level(levels: int, settings: CompactSettings) -> list[int]:
    """Return how many blocks each level above the bottleneck has, on its way down as on that up."""
    blocks = [settings.blocks] * (levels - 1)
    if settings.full_grid == "ends":
        blocks[0] = 0
    return blocks


def _reach(levels: int, settings: CompactSettings) -> int:
    """Return how many voxels away the input can still change the output.

    A block of two convolutions reaches 2 cells. Seen from the next finer grid, a reach of n
    coarse cells is one of 2n + 1 cells, whichever half of its coarse cell a fine one is; smooth
    ways down and up add a cell each.
    """
    smooth = 2 if settings.resampling == "smooth" else 0
    reach = 2 * sum(settings.dilations)
    for count in reversed(_blocks_a_level(levels, settings)):
        reach = (2 * reach + 1) + smooth + 4 * count
    reach += 2
    return 2 * reach + 1 if settings.full_grid == "folded" else reach
