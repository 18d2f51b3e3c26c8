"""A network over a volume in windows as large as memory allows, and smaller ones when it ends."""

from __future__ import annotations

import gc
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from cryosamu.config import EnhancementSettings
from cryosamu.enhancement.inference.predictor import MOST_AT_ONCE, is_out_of_memory
from cryosamu.errors import ConfigError, CryosamuError
from cryosamu.network.interface import EnhancementNetwork
from cryosamu.volume.volume import FloatArray
from cryosamu.volume.windowed import Predictor, predict_in_windows, windows_to_compute
from cryosamu.volume.windows import WindowPlan, plan_windows, smallest_window

BLENDED_WINDOW = 96
"""Largest window, by default, of networks that see what else is in a window."""

SMALLEST_SPARSE = 64
"""Edge of the windows below which solvent is not cut out any finer."""

WORTH = 0.9
"""Of the voxels to compute: what smaller windows must stay below to be taken for solvent's sake."""


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
        Windows at once a device.
    times_halved
        How often memory did not suffice for the windows before.
    """

    voxels: int
    workers: int
    batch: int
    times_halved: int = 0

    def below(self, plan: WindowPlan) -> Limits:
        """Return the same with windows of half the size of a plan's."""
        return Limits(math.prod(plan.window) // 2, self.workers, 1, self.times_halved + 1)


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
    fixed, each = network.memory(dtype, shape[1] * shape[2])
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
    wanted: NDArray[np.bool_] | None = None,
) -> WindowPlan:
    """Return the windows for a volume within limits.

    Parameters
    ----------
    wanted
        bool in the volume's shape: smaller windows are taken where they leave out so much of the
        rest that it is worth their margins.
    """
    needed = smallest_window(settings.margin, network.stride)
    size = max(limits.voxels, needed**3)
    best = plan_windows(shape, _edge(size), settings.margin, network.stride, limits.workers)
    if wanted is None or not network.tile_consistent:
        return best
    least = WORTH * computed_voxels(best, wanted)
    size = math.prod(best.window)
    while (size := size // 2) > max(needed, SMALLEST_SPARSE) ** 3:
        plan = plan_windows(shape, _edge(size), settings.margin, network.stride, limits.workers)
        if (voxels := computed_voxels(plan, wanted)) < least:
            best, least = plan, voxels
    return best


def computed_voxels(plan: WindowPlan, wanted: NDArray[np.bool_] | None) -> int:
    """Return how many voxels the network sees in those of a plan's windows that are computed."""
    return len(windows_to_compute(plan, wanted)) * math.prod(plan.window)


def _edge(voxels: int) -> int:
    """Return the edge of the largest cube of so many voxels."""
    edge = round(math.cbrt(voxels))
    return edge if edge**3 <= voxels else edge - 1


def predicted(
    data: FloatArray,
    network: EnhancementNetwork,
    predictors: Sequence[Predictor],
    settings: EnhancementSettings,
    limits: Limits,
    wanted: NDArray[np.bool_] | None = None,
    progress: bool = False,
) -> tuple[FloatArray, WindowPlan, Limits]:
    """Return a network's answer to a volume, in ever smaller windows until memory suffices.

    With it come the windows and the limits that sufficed, for what is computed next.

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
        plan = planned((nz, ny, nx), network, settings, limits, wanted)
        try:
            answer = predict_in_windows(
                data, predictors, plan, smooth=not network.tile_consistent, batch=limits.batch,
                wanted=wanted, progress=progress,
            )  # fmt: skip
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if math.prod(plan.window) <= smallest:
                raise too_little_memory(plan.window) from error
            limits = limits.below(plan)
            # What failed is held by its traceback, in cycles, and would be missed next.
            del error
            gc.collect()
        else:
            return answer, plan, limits


def too_little_memory(window: tuple[int, int, int]) -> CryosamuError:
    """Return what is raised when memory does not suffice for the smallest window."""
    return CryosamuError(
        f"the memory does not suffice for a window of {window} voxels; close other programs, or "
        "set 'enhancement.margin' to a smaller multiple of 4."
    )
