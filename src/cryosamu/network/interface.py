"""What every network is to the rest of the software: a call and three facts about windows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self

import torch
from torch import Tensor, nn


class EnhancementNetwork(nn.Module, ABC):
    """A network that turns a normalised map, and structure tokens if there are any, into a map.

    Attributes
    ----------
    stride
        Window sizes, and the origins of windows in a map, are multiples of this, in voxels.
    margin
        Voxels from a window's edge beyond which its output equals the whole map's. For a network
        that is not `tile_consistent`, the overlap that its authors blend over.
    tile_consistent
        Whether the output at a voxel depends on its surroundings alone, not on the window.
    holds_in_bfloat16
        Whether answers in bfloat16 were shown to correlate with those in float32 by 0.9995 or more.
    multiplies_in_int8
        Whether it can compute with products of 8-bit numbers; how close they are depends on its
        weights.
    """

    stride: int
    margin: int
    tile_consistent: bool
    holds_in_bfloat16: bool = False
    multiplies_in_int8: bool = False

    @abstractmethod
    def forward(
        self,
        density: Tensor,
        tokens: Tensor | None = None,
        token_mask: Tensor | None = None,
        resolution: Tensor | None = None,
    ) -> Tensor:
        """Return the enhanced density.

        Parameters
        ----------
        density
            float [batch, 1, z, y, x] in [0, 1]; every edge a multiple of `stride`.
        tokens
            float [batch, tokens, width]: pooled structure embedding. None, or an example whose
            mask is empty, leaves the structure out.
        token_mask
            bool [batch, tokens], true for a real token; None where all are real.
        resolution
            float [batch]: reported resolution in Å, NaN where not known; None where none is. Used
            by networks that were built to be told it.

        Returns
        -------
        Tensor
            float [batch, 1, z, y, x], not limited to [0, 1].
        """

    def for_inference(self, dtype: torch.dtype = torch.float32) -> Self:  # noqa: ARG002
        """Return this network, changed in place to how it runs fastest; it learns no more.

        Its answers stay the same within rounding. It stays on its device, with its weights.

        Parameters
        ----------
        dtype
            Of the arithmetic. A network that does not hold its weights in it is run under
            autocast.
        """
        return self.eval()

    def memory(self, dtype: torch.dtype, plane: int = 0) -> tuple[int, float]:  # noqa: ARG002
        """Return the bytes that a pass takes at most: once, and for each voxel on top.

        Parameters
        ----------
        plane
            Voxels of a plane of z, at most.
        """
        return 200_000_000, 10_000.0

    def require_shape(self, density: Tensor) -> None:
        """Refuse an input that is not [batch, 1, z, y, x] with edges of whole strides.

        Raises
        ------
        ValueError
        """
        if density.ndim != 5 or density.shape[1] != 1:
            raise ValueError(f"density is [batch, 1, z, y, x], not {tuple(density.shape)}")
        if any(edge % self.stride for edge in density.shape[2:]):
            raise ValueError(
                f"edges {tuple(density.shape[2:])} are not multiples of the stride {self.stride}"
            )
