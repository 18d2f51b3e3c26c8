"""What of a volume goes through the network: its box, its windows, its rotations."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cryosamu.config import EnhancementSettings
from cryosamu.enhancement.inference.forecast import Forecast, forecast_of, seconds_a_voxel
from cryosamu.enhancement.inference.memory import allowed_memory
from cryosamu.enhancement.inference.planning import (
    Limits,
    limits_of,
    planned,
    predicted,
    too_little_memory,
)
from cryosamu.enhancement.inference.predictor import DevicePredictor, Told, is_out_of_memory
from cryosamu.enhancement.inference.rotations import rotated, rotated_back, rotations
from cryosamu.enhancement.inference.solvent import Solvent
from cryosamu.network.interface import EnhancementNetwork
from cryosamu.volume.volume import FloatArray
from cryosamu.volume.windowed import windows_to_compute
from cryosamu.volume.windows import WindowPlan, smallest_window


class Passes:
    """The network's part of enhancing one map.

    Parameters
    ----------
    network
        Moved to the first device and made ready for inference there.
    solvent
        What need not be computed; None where all is.

    Attributes
    ----------
    box
        What of the volume is computed; known once `answer` was called, as is `record`.
    record
        Plain JSON values: windows, memory, solvent, precision, averaging.
    """

    def __init__(
        self,
        network: EnhancementNetwork,
        devices: Sequence[torch.device],
        dtype: torch.dtype,
        settings: EnhancementSettings,
        told: Told,
        solvent: Solvent | None,
    ) -> None:
        self.network, self.devices, self.dtype = network, devices, dtype
        self.settings, self.solvent = settings, solvent
        placed = {devices[0]: network.to(devices[0]).for_inference(dtype)}
        for device in devices[1:]:
            if device not in placed:
                placed[device] = copy.deepcopy(network).to(device).for_inference(dtype)
        self.predictors = [DevicePredictor(placed[one], one, dtype, told) for one in devices]
        self.box = (slice(None), slice(None), slice(None))
        self.record: dict[str, Any] = {}

    def answer(
        self, data: FloatArray, progress: bool, announce: Callable[[str], None] | None
    ) -> FloatArray:
        """Return the network's answer to the box, float32 [z, y, x]: a mean over rotations.

        Parameters
        ----------
        data
            float32 [nz, ny, nx], the whole volume.
        announce
            Is told the forecast first.
        """
        wanted: NDArray[np.bool_] | None = None
        if self.solvent is not None:
            self.box = self.solvent.box(self.settings.margin, self.network.stride)
            wanted = self.solvent.counting(self.box)
        seen = data[self.box]
        turns = rotations(self.settings.averaging)
        free = allowed_memory(self.settings, self.devices[0])
        limits = self._limits(seen, free)
        if announce is not None:
            announce(self._forecast(seen, limits, wanted, len(turns)).sentence)
        total = np.zeros((), np.float32)
        plans: list[tuple[WindowPlan, int]] = []
        for turn in turns:
            kept = None if wanted is None else rotated(wanted, turn)
            made, plan, limits = predicted(
                np.ascontiguousarray(rotated(seen, turn)), self.network, self.predictors,
                self.settings, limits, kept, progress,
            )  # fmt: skip
            plans.append((plan, len(windows_to_compute(plan, kept))))
            back = rotated_back(made, turn)
            total = back if turn == turns[0] else total + back
        self.record = {
            "windows": self._windows_record(plans, limits, data.size),
            "memory": {"allowed_bytes": free, "times_halved": limits.times_halved},
            "solvent": self._solvent_record(seen.shape),
            "precision": str(self.dtype).removeprefix("torch."),
            "averaging": len(turns),
        }
        return total if len(turns) == 1 else total / np.float32(len(turns))

    def answer_to_level(self, level: float) -> float:
        """Return the network's answer to a volume of one value in [0, 1], far from its faces.

        Raises
        ------
        CryosamuError
            When memory does not suffice for the smallest window.
        """
        stride = self.network.stride
        # What is exact where memory suffices, else as exact as the work itself.
        for margin in (self.network.margin, min(self.network.margin, self.settings.margin)):
            edge = smallest_window(margin, stride)
            window = np.full((1, edge, edge, edge), level, np.float32)
            middle = slice((edge - stride) // 2, (edge + stride) // 2)
            try:
                # Over a whole stride: an answer may repeat itself with the lattice.
                answer = self.predictors[0](window)[0, middle, middle, middle]
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                last = error
            else:
                return float(answer.mean(dtype=np.float64))
        raise too_little_memory((edge, edge, edge)) from last

    def _windows_record(
        self, plans: list[tuple[WindowPlan, int]], limits: Limits, voxels: int
    ) -> dict[str, Any]:
        """Return the windows of every rotation's plan, and how many of them were computed."""
        blended = not self.network.tile_consistent and any(plan.count > 1 for plan, _ in plans)
        seen = sum(computed * math.prod(plan.window) for plan, computed in plans)
        return {
            "count": sum(computed for _, computed in plans),
            "without_solvent_skipping": sum(plan.count for plan, _ in plans),
            "shape": list(plans[-1][0].window),
            "of_each_rotation": [[computed, list(plan.window)] for plan, computed in plans],
            "at_once": min(limits.batch, *(one.at_once for one in self.predictors)),
            "passes_per_voxel": round(seen / voxels, 4),
            "margin": self.settings.margin,
            "margin_for_equality": self.network.margin if not blended else None,
            "blended": blended,
        }

    def _limits(self, seen: FloatArray, free: int) -> Limits:
        nz, ny, nx = seen.shape
        return limits_of((nz, ny, nx), self.network, self.settings, self.devices, self.dtype, free)

    def _forecast(
        self,
        seen: FloatArray,
        limits: Limits,
        wanted: NDArray[np.bool_] | None,
        turns: int,
    ) -> Forecast:
        nz, ny, nx = seen.shape
        plan = planned((nz, ny, nx), self.network, self.settings, limits, wanted)
        fixed, each = self.network.memory(self.dtype, math.prod(plan.window[1:]))
        return forecast_of(
            plan,
            len(windows_to_compute(plan, wanted)),
            seconds_a_voxel(self.predictors[0], seen, self.network.stride),
            round(fixed + each * limits.batch * math.prod(plan.window)),
            rotations=turns,
            workers=len(self.devices),
            device=", ".join(map(str, self.devices)),
            precision=str(self.dtype).removeprefix("torch."),
        )

    def _solvent_record(self, seen: tuple[int, ...]) -> dict[str, Any] | None:
        if self.solvent is None:
            return None
        return {
            "told_by": self.solvent.source,
            "kept": round(self.solvent.kept, 4),
            "box": list(seen),
        }
