"""In which numbers the network is trained: mixed precision where the device gains by it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch.amp import GradScaler

_TYPES = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Precision:
    """The numbers of the forward and backward pass; weights and losses are float32 always.

    Attributes
    ----------
    lower
        The type that convolutions and matrix products run in; None for float32 throughout.
    """

    device: torch.device
    lower: torch.dtype | None

    def record(self) -> dict[str, str]:
        """Return the names of the device and of the numbers, as a checkpoint's header has them."""
        cuda = self.device.type == "cuda"
        name = torch.cuda.get_device_name(self.device) if cuda else self.device.type
        lower = "float32" if self.lower is None else str(self.lower).removeprefix("torch.")
        return {"device": name, "precision": lower}

    def autocast(self) -> AbstractContextManager[object]:
        """Return the context of the network's forward pass."""
        if self.lower is None:
            return nullcontext()
        return torch.autocast(self.device.type, self.lower)

    def scaler(self) -> GradScaler:
        """Return what keeps float16's small gradients from vanishing; idle for other types."""
        return GradScaler(self.device.type, enabled=self.lower is torch.float16)


def choose_precision(name: str, device: torch.device) -> Precision:
    """Return the precision of a name.

    Parameters
    ----------
    name
        `float32`, `bfloat16`, `float16`, or `auto`: on a CUDA device bfloat16 where its hardware
        has it, else float16; float32 elsewhere, so that a CPU's results are exact.
    """
    if name != "auto":
        return Precision(device, _TYPES[name])
    if device.type != "cuda":
        return Precision(device, None)
    native = torch.cuda.is_bf16_supported(including_emulation=False)
    return Precision(device, torch.bfloat16 if native else torch.float16)
