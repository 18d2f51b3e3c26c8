"""A network over a volume: precision, devices, windows as large as memory allows, back-off."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cryosamu.config import EnhancementSettings
from cryosamu.errors import ConfigError, CryosamuError
from cryosamu.network.interface import EnhancementNetwork
from cryosamu.volume.volume import FloatArray
from cryosamu.volume.windowed import Predictor, predict_in_windows
from cryosamu.volume.windows import WindowPlan, plan_windows, smallest_window

BLENDED_WINDOW = 96
"""Largest window, by default, of networks that see what else is in a window."""

MOST_AT_ONCE = 16
"""Windows that a GPU is given at once at most: more fill it no better."""


def chosen_precision(wanted: str, device: torch.device, network: EnhancementNetwork) -> torch.dtype:
    """Return the numbers to compute with on a device.

    Raises
    ------
    ConfigError
        When bfloat16 is asked for by name of a processor without instructions for it.
    """
    if wanted == "float32":
        return torch.float32
    pays = _has_bfloat16(device)
    if wanted == "bfloat16":
        if device.type == "cpu" and not pays:
            raise ConfigError(
                "this processor has no instructions for bfloat16; set 'enhancement.precision' to "
                "auto or float32."
            )
        return torch.bfloat16
    return torch.bfloat16 if pays and network.tile_consistent else torch.float32


def _has_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    if device.type == "cpu":
        features = torch.cpu.get_capabilities()
        return bool(features.get("avx512_bf16") or features.get("amx_bf16"))
    return False


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
        and any(
            words in told
            for words in ("out of memory", "not enough memory", "can't allocate memory")
        )
    )


@dataclass(frozen=True)
class Limits:
    """How large windows may be, and how many are computed at once.

    Attributes
    ----------
    voxels
        Of one window, at most.
    workers
        Devices.
    batch
        Windows at once a device; None: as many as memory allows.
    """

    voxels: int
    workers: int
    batch: int

    def halved(self) -> Limits:
        """Return the same with windows of half the size."""
        return Limits(self.voxels // 2, self.workers, 1)


def limits_of(
    shape: tuple[int, int, int],
    network: EnhancementNetwork,
    settings: EnhancementSettings,
    devices: Sequence[torch.device],
    dtype: torch.dtype,
    free: int,
) -> Limits:
    """Return what memory and settings allow for a volume.

    Parameters
    ----------
    free
        Bytes that a device may use.

    Raises
    ------
    ConfigError
        When the windows asked for are smaller than the margin needs.
    """
    needed = smallest_window(settings.margin, network.stride)
    if settings.window is not None and settings.window < needed:
        raise ConfigError(
            f"'enhancement.window' is {settings.window}, and a margin of {settings.margin} with "
            f"this network's stride of {network.stride} needs windows of {needed} or more."
        )
    own = free
    if devices[0].type == "cpu":
        own //= len(devices)
    fixed, each = network.memory(dtype)
    voxels = max(math.floor((own - fixed) / each), 0)
    if settings.window is not None:
        voxels = min(voxels, settings.window**3)
    elif not network.tile_consistent:
        voxels = min(voxels, BLENDED_WINDOW**3)
    voxels = max(voxels, needed**3)
    batch = settings.batch
    if batch is None:
        plan = planned(shape, network, settings, Limits(voxels, len(devices), 1))
        fitting = int((own - fixed) / each / math.prod(plan.window))
        batch = 1 if devices[0].type == "cpu" else min(max(fitting, 1), MOST_AT_ONCE)
    return Limits(voxels, len(devices), batch)


def planned(
    shape: tuple[int, int, int],
    network: EnhancementNetwork,
    settings: EnhancementSettings,
    limits: Limits,
) -> WindowPlan:
    """Return the windows for a volume within limits."""
    needed = smallest_window(settings.margin, network.stride)
    # The cube root is of whole voxels: a limit of exactly n³ allows n.
    edge = max(round((limits.voxels + 0.5) ** (1 / 3) - 0.5 + 1e-9), needed)
    return plan_windows(shape, edge, settings.margin, network.stride, limits.workers)


def predicted(
    data: FloatArray,
    network: EnhancementNetwork,
    predictors: Sequence[Predictor],
    settings: EnhancementSettings,
    limits: Limits,
    wanted: NDArray[np.bool_] | None = None,
    progress: bool = False,
) -> tuple[FloatArray, WindowPlan]:
    """Return a network's answer to a volume, in ever smaller windows until memory suffices.

    Parameters
    ----------
    wanted
        bool in the data's shape: windows without any are left out, as zeros.

    Raises
    ------
    CryosamuError
        When memory does not suffice for the smallest window.
    """
    nz, ny, nx = data.shape
    smallest = smallest_window(settings.margin, network.stride) ** 3
    while True:
        plan = planned((nz, ny, nx), network, settings, limits)
        try:
            answer = predict_in_windows(
                data, predictors, plan, smooth=not network.tile_consistent, batch=limits.batch,
                wanted=wanted, progress=progress,
            )  # fmt: skip
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            limits = Limits(math.prod(plan.window), limits.workers, limits.batch).halved()
            if limits.voxels < smallest or math.prod(plan.window) <= smallest:
                raise CryosamuError(
                    f"the memory does not suffice for a window of {plan.window} voxels; close "
                    "other programs, or set 'enhancement.margin' to a smaller multiple of 8."
                ) from error
        else:
            return answer, plan
