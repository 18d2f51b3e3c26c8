"""The number format that an encoder's matrix products are computed in."""

from __future__ import annotations

import torch


def computing_in(precision: str, device: torch.device) -> torch.autocast:
    """Return a context in which matrix products take `float32` or `bfloat16` numbers.

    Weights, sums over neighbours and the output stay in float32.
    """
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16")
