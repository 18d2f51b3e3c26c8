"""Half the products, equal to rounding: Winograd's minimal filtering along z.

Lavin & Gray 2016 (CVPR, "Fast Algorithms for Convolutional Neural Networks"), section 4.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cryosamu.network.convolutions import PlaneConvolution, products


class FourPlanes(PlaneConvolution):
    """Four planes by six convolutions in the plane instead of twelve, in float32.

    F(4, 3) with the points 0, ±1, ±2 and infinity. Rows are taken a few at a time, so that all six
    stay in the cache.
    """

    step = 4
    dtype = torch.float32
    _FILTERS = (
        (1 / 4, 0, 0),
        (-1 / 6, -1 / 6, -1 / 6),
        (-1 / 6, 1 / 6, -1 / 6),
        (1 / 24, 1 / 12, 1 / 6),
        (1 / 24, -1 / 12, 1 / 6),
        (0, 0, 1),
    )
    bytes_at_once = 8_000_000

    def __init__(self, convolution: nn.Conv3d) -> None:
        weight = convolution.weight.detach()
        filters = torch.tensor(self._FILTERS, dtype=torch.float64, device=weight.device)
        turned = torch.einsum("ij,ocjyx->iocyx", filters, weight.double()).float()
        self.weights = [one.contiguous(memory_format=torch.channels_last) for one in turned]
        bias = convolution.bias
        # The point 1 adds the same to all four planes.
        self.biases = [bias.detach() if i == 1 and bias is not None else None for i in range(6)]

    def __call__(self, planes: Tensor) -> Tensor:
        """Return [1, out, z, y, x]; see `PlaneConvolution`."""
        _, channels, seen, height, width = planes.shape
        count, made = seen - 2, len(self.weights[0])
        rows = planes[0].movedim(0, -1)
        result = planes.new_empty((count, height, width, made))
        together = max(1, self.bytes_at_once // (6 * 4 * width * channels))
        for plane in range(0, count, self.step):
            six = rows[plane : plane + 6]
            if len(six) < 6:
                six = torch.cat((six, six.new_zeros((6 - len(six), *six.shape[1:]))))
            for start in range(0, height, together):
                stop = min(start + together, height)
                answers = self._in_the_plane(six, start, stop)
                _put_together(answers, result[plane : plane + 4, start:stop])
        return result.movedim(-1, 0)[None]

    def _in_the_plane(self, six: Tensor, start: int, stop: int) -> list[Tensor]:
        """Return six convolutions [rows, x, out] of rows `start` to `stop` of [6, y, x, in]."""
        first, last = max(start - 1, 0), min(stop + 1, six.shape[1])
        turned = six.new_empty((6, stop - start + 2, *six.shape[2:]))
        above, below = first - start + 1, stop + 1 - last
        turned[:, :above] = 0
        turned[:, turned.shape[1] - below :] = 0
        _turn(six[:, first:last], turned[:, above : turned.shape[1] - below])
        return [
            products(one.movedim(-1, 0)[None], weight, bias, (0, 1), (1, 1), (1, 1))[0].movedim(
                0, -1
            )
            for one, weight, bias in zip(turned, self.weights, self.biases, strict=True)
        ]


def _turn(planes: Tensor, turned: Tensor) -> None:
    """Write the six combinations of six planes that the filters of `FourPlanes` are for."""
    zero, one, two, three, four, five = planes
    outer, inner = torch.sub(four, two, alpha=4), torch.sub(three, one, alpha=4)
    torch.add(outer, inner, out=turned[1])
    torch.sub(outer, inner, out=turned[2])
    torch.sub(four, two, out=outer)
    torch.sub(three, one, out=inner)
    torch.add(outer, inner, alpha=2, out=turned[3])
    torch.sub(outer, inner, alpha=2, out=turned[4])
    torch.sub(four, two, alpha=5, out=turned[0]).add_(zero, alpha=4)
    torch.sub(five, three, alpha=5, out=turned[5]).add_(one, alpha=4)


def _put_together(answers: Sequence[Tensor], planes: Tensor) -> None:
    """Write the planes, four or fewer, that the six convolutions of `FourPlanes` stand for."""
    zero, one, two, three, four, five = answers
    inner, outer = one + two, three + four
    torch.add(inner, outer, out=planes[0]).add_(zero)
    if len(planes) > 2:
        torch.add(inner, outer, alpha=4, out=planes[2])
    inner, outer = torch.sub(one, two, out=inner), torch.sub(three, four, out=outer)
    if len(planes) > 1:
        torch.add(inner, outer, alpha=2, out=planes[1])
    if len(planes) > 3:
        torch.add(inner, outer, alpha=8, out=planes[3]).add_(five)
