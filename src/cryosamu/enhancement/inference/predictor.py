"""A network on one device as a function of windows, in the precision that pays there."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from cryosamu.device import has_bfloat16, has_int8
from cryosamu.errors import ConfigError
from cryosamu.network.interface import EnhancementNetwork
from cryosamu.volume.volume import FloatArray

_TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "int8": torch.int8}

_TRIED, _LEAST_CORRELATION = 24, 0.9995

MOST_AT_ONCE = 16
"""Windows that a GPU is given at once at most: more fill it no better."""


def chosen_precision(wanted: str, device: torch.device, network: EnhancementNetwork) -> torch.dtype:
    """Return the numbers to compute with on a device: by `auto` the fastest that are close enough.

    Raises
    ------
    ConfigError
        When numbers are asked for by name that the device or the network has no use for.
    """
    pays = {"int8": has_int8(device), "bfloat16": has_bfloat16(device)}
    if wanted == "bfloat16" and device.type == "cpu" and not pays[wanted]:
        raise ConfigError(
            "this processor has no instructions for bfloat16; set 'enhancement.precision' to "
            "auto or float32."
        )
    if wanted == "int8" and not (pays[wanted] and network.multiplies_in_int8):
        raise ConfigError(
            "products of 8-bit numbers need a processor with instructions for them and a compact "
            "network that norms channels and streams; set 'enhancement.precision' to auto."
        )
    if wanted != "auto":
        return _TYPES[wanted]
    if pays["int8"] and network.multiplies_in_int8 and _holds_in_int8(network):
        return torch.int8
    return torch.bfloat16 if pays["bfloat16"] and network.holds_in_bfloat16 else torch.float32


def _holds_in_int8(network: EnhancementNetwork) -> bool:
    """Tell whether 8-bit products and float32 agree on a made-up map of noise, the same always."""
    edge = math.ceil(_TRIED / network.stride) * network.stride
    rng = np.random.default_rng(0)
    noise = gaussian_filter(rng.normal(size=(edge,) * 3), 1.5, mode="wrap")
    density = torch.from_numpy(np.clip(noise / noise.std() / 4, 0, 1).astype(np.float32))
    with reproducible():
        exact, close = (
            network.for_inference(dtype)(density[None, None]).flatten().numpy()
            for dtype in (torch.float32, torch.int8)
        )
    return bool(np.corrcoef(exact, close)[0, 1] >= _LEAST_CORRELATION)


@dataclass(frozen=True)
class Told:
    """What a network is told beside the density.

    Attributes
    ----------
    tokens
        float [tokens, width] or None.
    token_mask
        bool [tokens], true for a real token; None where all are.
    resolution
        Å, or None.
    """

    tokens: Tensor | None = None
    token_mask: Tensor | None = None
    resolution: float | None = None


@dataclass
class DevicePredictor:
    """A network on one device as a function of windows; it halves what it is given at once.

    Attributes
    ----------
    network
        On the device, ready for inference.
    at_once
        Windows at once: as many as it is given, until memory did not suffice for them.
    """

    network: EnhancementNetwork
    device: torch.device
    dtype: torch.dtype
    told: Told = field(default_factory=Told)
    at_once: int = MOST_AT_ONCE

    def __call__(self, windows: FloatArray) -> FloatArray:
        """Return the answers, float32 [windows, z, y, x].

        Raises
        ------
        torch.OutOfMemoryError, RuntimeError, MemoryError
            When memory does not suffice for one window.
        """
        answers: list[FloatArray] = []
        while len(answers) < len(windows):
            part = windows[len(answers) : len(answers) + self.at_once]
            try:
                answers.extend(self._predict(part))
            except (RuntimeError, MemoryError) as error:
                if len(part) == 1 or not is_out_of_memory(error):
                    raise
                self.at_once = len(part) // 2
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
        return np.stack(answers) if len(answers) > 1 else answers[0][None]

    def _predict(self, windows: FloatArray) -> FloatArray:
        count = len(windows)
        tokens, mask = self.told.tokens, self.told.token_mask
        placed = shown = known = None
        if tokens is not None:
            placed = tokens.to(self.device, torch.float32).expand(count, -1, -1)
            shown = None if mask is None else mask.to(self.device).expand(count, -1)
        if self.told.resolution is not None:
            known = torch.full((count,), self.told.resolution, device=self.device)
        with (
            reproducible(),
            torch.autocast(self.device.type, torch.bfloat16, enabled=self.dtype is torch.bfloat16),
        ):
            density = torch.from_numpy(np.ascontiguousarray(windows)).to(self.device)
            answer: FloatArray = (
                self.network(density[:, None], placed, shown, known)[:, 0].float().cpu().numpy()
            )
        return answer


_WORDS_OF_SHORTAGE = (
    "out of memory",
    "not enough memory",
    "can't allocate memory",
    "cannot allocate memory",
    "bad_alloc",
    "_status_alloc_failed",
    # oneDNN's, which does not say why: nearly always its buffers.
    "could not create a memory",
    "could not create a primitive",
    "could not execute a primitive",
)

_OTHER_FAULTS = ("could not create a primitive descriptor",)
"""oneDNN's for what it cannot compute at all."""


@contextmanager
def reproducible() -> Iterator[None]:
    """Inference whose result depends on nothing but its input, on one kind of device."""
    with (
        torch.inference_mode(),
        torch.backends.cudnn.flags(
            enabled=True, benchmark=False, deterministic=True, allow_tf32=False
        ),
    ):
        yield


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether this is one of the several ways in which torch runs out of memory."""
    told = str(error).lower()
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError)
        and any(words in told for words in _WORDS_OF_SHORTAGE)
        and not any(words in told for words in _OTHER_FAULTS)
    )
