"""Many scenes' conditions as tensors that broadcast over their maps."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from cryosamu.training.simulated.conditions import Conditions
from cryosamu.training.simulated.scene import Scene


class ConditionColumns:
    """The scenes' conditions, float32 [scenes, 1, 1, 1]; names as in `Conditions`.

    Attributes
    ----------
    mean_local
        The mean B factor by which the atoms are worse than the best, Å².
    noise_square, nyquist
        noise_resolution^-2 in 1/Å², and the highest frequency of the depositors' grid in 1/Å.
    """

    def __init__(self, scenes: Sequence[Scene], device: torch.device) -> None:
        conditions = [scene.conditions for scene in scenes]

        def column(value: Callable[[Conditions], float]) -> Tensor:
            values = [value(one) for one in conditions]
            return torch.tensor(values, dtype=torch.float32, device=device).view(-1, 1, 1, 1)

        self.local = column(lambda one: one.local_b_factor)
        self.net = column(lambda one: one.net_b_factor)
        self.noise = column(lambda one: one.noise_b_factor)
        self.noise_square = column(lambda one: one.noise_resolution**-2)
        self.mismatch = column(lambda one: one.mismatch)
        self.volume = column(lambda one: one.noise_volume)
        self.outside = column(lambda one: one.noise_outside)
        self.anisotropy = column(lambda one: one.anisotropy)
        self.axis = [column(lambda one, place=place: one.axis[place]) for place in range(3)]  # type: ignore[misc]
        self.low_pass = column(lambda one: one.low_pass)
        self.low_pass_edge = column(lambda one: one.low_pass_edge)
        self.nyquist = column(lambda one: 0.5 / one.voxel_size)
        self.solvent = column(lambda one: one.solvent)
        self.halo = column(lambda one: one.halo)
        self.halo_length = column(lambda one: one.halo_length)
        self.offset = column(lambda one: one.offset)
        self.gain = column(lambda one: one.gain)
        means = [float(scene.mobility.mean()) if len(scene.mobility) else 0.0 for scene in scenes]
        self.mean_local = self.local * torch.tensor(means, device=device).view(-1, 1, 1, 1)
