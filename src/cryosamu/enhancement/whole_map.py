"""A whole map through a network and back to its own grid."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cryosamu.config import EnhancementSettings
from cryosamu.device import choose_device
from cryosamu.errors import CheckpointError, ConfigError, CryosamuError
from cryosamu.network.checkpoint import CheckpointHeader
from cryosamu.network.interface import EnhancementNetwork
from cryosamu.preparation import prepare_input
from cryosamu.volume.grid import resample
from cryosamu.volume.volume import FloatArray, Volume
from cryosamu.volume.windows import (
    Predictor,
    WindowPlan,
    plan_windows,
    predict_in_windows,
    smallest_window,
)


@dataclass(frozen=True)
class Enhanced:
    """An enhanced map and how it came about.

    Attributes
    ----------
    volume
        On the grid, in the frame and in the units of the map that was given.
    working
        The same on the network's own grid, of about 1 Å, in the same box.
    record
        Plain JSON values: working grid, windows, structure, device; times under `seconds`.
    """

    volume: Volume
    working: Volume
    record: dict[str, Any]


def enhance(
    volume: Volume,
    network: EnhancementNetwork,
    header: CheckpointHeader,
    tokens: Tensor | None = None,
    token_mask: Tensor | None = None,
    settings: EnhancementSettings | None = None,
    progress: bool = True,
    resolution: float | None = None,
) -> Enhanced:
    """Enhance a map.

    The map goes to the network's grid and scale as in training, through the network in one pass
    where it fits the largest window and in overlapping windows where not, and back: the network's
    answer is in units of the scale that the map was divided by, and band-limited interpolation in
    the same box undoes the change of grid.

    Parameters
    ----------
    volume
        The map as read from its file.
    network, header
        As `load_checkpoint` returns them. The network is moved to the device and made ready for
        inference: it can be used again, not trained on.
    tokens
        float [tokens, width], pooled structure embedding; None enhances from density alone.
    token_mask
        bool [tokens], true for a real token; None where all are.
    settings
        The recipe's where None.
    progress
        Shows a bar over the windows on a terminal's standard error.
    resolution
        As reported for the map, Å; used by networks that were trained to be told it.

    Raises
    ------
    CryosamuError
        When the map cannot be enhanced, the device is not there or its memory does not suffice.
    """
    settings = settings or EnhancementSettings()
    device = choose_device(settings.device)
    begun = time.perf_counter()
    prepared = prepare_input(volume, header.preparation)
    plan = _plan(prepared.data.shape, network, settings)
    ready = time.perf_counter()
    with _reproducible(), _memory_error(device, settings):
        network = network.to(device).for_inference()
        answer = predict_in_windows(
            prepared.data,
            _predictor(network, device, tokens, token_mask, resolution),
            plan,
            smooth=not network.tile_consistent,
            progress=progress,
        )
    computed = time.perf_counter()
    if not np.isfinite(answer).all():
        raise CheckpointError("the network answered with NaN or infinite values; retrain it.")
    working = prepared.grid.with_data(answer * np.float32(prepared.scale))
    enhanced = volume.with_data(resample(working, volume.shape).data)
    record = {
        "working_grid": {
            "shape": list(plan.shape),
            "voxel_size": list(prepared.grid.voxel_size),
            "scale": prepared.scale,
        },
        "windows": {
            "count": plan.count,
            "shape": list(plan.window),
            "passes_per_voxel": round(plan.passes_per_voxel, 4),
            "margin": settings.margin,
            "margin_for_equality": network.margin if network.tile_consistent else None,
            "blended": not network.tile_consistent and plan.count > 1,
        },
        "structure_tokens": 0 if tokens is None else _real_tokens(tokens, token_mask),
        "device": device.type,
        "seconds": {
            "prepare": round(ready - begun, 3),
            "network": round(computed - ready, 3),
            "back": round(time.perf_counter() - computed, 3),
        },
    }
    return Enhanced(enhanced, working, record)


def _plan(
    shape: tuple[int, ...], network: EnhancementNetwork, settings: EnhancementSettings
) -> WindowPlan:
    nz, ny, nx = shape
    needed = smallest_window(settings.margin, network.stride)
    if settings.window < needed:
        raise ConfigError(
            f"'enhancement.window' is {settings.window}, and a margin of {settings.margin} with "
            f"this network's stride of {network.stride} needs windows of {needed} or more."
        )
    return plan_windows((nz, ny, nx), settings.window, settings.margin, network.stride)


def _predictor(
    network: EnhancementNetwork,
    device: torch.device,
    tokens: Tensor | None,
    token_mask: Tensor | None,
    resolution: float | None,
) -> Predictor:
    """Return the network as a function of one window, its structure tokens already in place."""
    placed = None if tokens is None else tokens.to(device, torch.float32)[None]
    mask = None if tokens is None or token_mask is None else token_mask.to(device)[None]
    known = None if resolution is None else torch.tensor([resolution], device=device)

    def predict(window: FloatArray) -> FloatArray:
        density = torch.from_numpy(np.ascontiguousarray(window)).to(device)[None, None]
        answer: FloatArray = network(density, placed, mask, known)[0, 0].float().cpu().numpy()
        return answer

    return predict


def _real_tokens(tokens: Tensor, token_mask: Tensor | None) -> int:
    return len(tokens) if token_mask is None else int(token_mask.sum())


@contextmanager
def _reproducible() -> Iterator[None]:
    """Inference whose result depends on nothing but its input, on one kind of device."""
    with (
        torch.inference_mode(),
        torch.backends.cudnn.flags(
            enabled=True, benchmark=False, deterministic=True, allow_tf32=False
        ),
    ):
        yield


@contextmanager
def _memory_error(device: torch.device, settings: EnhancementSettings) -> Iterator[None]:
    """Turn the several ways in which torch runs out of memory into one sentence."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        told = str(error).lower()
        if isinstance(error, RuntimeError) and not (
            isinstance(error, torch.OutOfMemoryError)
            or "out of memory" in told
            or "not enough memory" in told
            or "can't allocate memory" in told
        ):
            raise
        raise CryosamuError(
            f"the memory of the device '{device}' does not suffice for windows of "
            f"{settings.window}³ voxels; set 'enhancement.window' to a smaller multiple of 8."
        ) from error
