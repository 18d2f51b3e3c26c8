"""Crops of simulated maps; every random choice follows from seed, step and place in the batch."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from cryosamu.config import TrainingSettings
from cryosamu.errors import ConfigError
from cryosamu.training.crops import ANYWHERE, DENSE_SHARE, DENSE_VALUE, ROTATIONS, Batch
from cryosamu.training.simulated.maps import box_edge, make_maps
from cryosamu.training.simulated.scene import draw_scene
from cryosamu.training.simulated.structures import SimulatedStructures

_SCENE, _CROP = 21, 22
_CORNER_STEP = 4


@dataclass(frozen=True)
class _View:
    """A simulated map that crops are cut from.

    Attributes
    ----------
    maps
        float32 [2, view, view, view]: 0 the map, 1 the target.
    structure
        Number of the structure whose tokens belong to it.
    resolution
        That would be reported, Å.
    corners, dense
        int64 [corners, 3] in z, y, x: where a crop may begin; and those where it finds protein.
    """

    maps: Tensor
    structure: int
    resolution: float
    corners: Tensor
    dense: Tensor


class SimulatedCrops:
    """Cuts each step's crops from maps that are made when first needed.

    Place p of the batch cuts `reuse` crops, at consecutive steps, from one map; places change maps
    at different steps. A map follows from the seed, its number and the place alone, so that any
    process, or a run that is resumed, makes the same again.
    """

    def __init__(
        self, data: SimulatedStructures, settings: TrainingSettings, device: torch.device
    ) -> None:
        if settings.crop > settings.simulation.view:
            raise ConfigError(
                f"'training.simulation.view' is {settings.simulation.view}, less than "
                f"'training.crop' ({settings.crop}); crops are cut from it."
            )
        self._data = data
        self._settings = settings
        self._device = device
        self._views: OrderedDict[tuple[int, int], _View] = OrderedDict()
        self._lock = Lock()

    def batch(self, step: int, places: Sequence[int]) -> Batch:
        """Return the crops of some places of a step's batch, on the device."""
        cubes, tokens, masks, resolutions = [], [], [], []
        views = self._views_of(step, places)
        for place, view in zip(places, views, strict=True):
            random = np.random.default_rng([self._settings.seed, _CROP, step, place])
            told = random.random() >= self._settings.embedding_dropout
            cubes.append(_turned(self._cut(view, random), random))
            token, mask = self._data.tokens[self._data.train[view.structure].name]
            tokens.append(token.float())
            masks.append(mask & told)
            known = random.random() >= self._settings.embedding_dropout
            resolutions.append(view.resolution if known else math.nan)
        longest = max(map(len, tokens))
        stacked = torch.stack(cubes)
        return Batch(
            stacked[:, :1],
            stacked[:, 1:],
            torch.stack([F.pad(one, (0, 0, 0, longest - len(one))) for one in tokens]),
            torch.stack([F.pad(one, (0, longest - len(one))) for one in masks]),
            torch.tensor(resolutions),
            torch.tensor([view.resolution for view in views]) / self._data.preparation.voxel_size,
        ).to(self._device)

    def _cut(self, view: _View, random: np.random.Generator) -> Tensor:
        anywhere = random.random() < ANYWHERE
        corners = view.corners if anywhere or not len(view.dense) else view.dense
        z, y, x = corners[int(random.integers(len(corners)))].tolist()
        edge = self._settings.crop
        return view.maps[:, z : z + edge, y : y + edge, x : x + edge]

    def _views_of(self, step: int, places: Sequence[int]) -> list[_View]:
        """Return the maps that these places cut from, those that are new made all at once."""
        reuse = self._settings.simulation.reuse
        batch_size = self._settings.batch_size
        keys = [((step + place * reuse // batch_size) // reuse, place) for place in places]
        with self._lock:
            missing = [key for key in keys if key not in self._views]
            # One by one on a CPU, so that bits do not depend on which are made together.
            size = 1 if self._device.type == "cpu" else max(len(missing), 1)
            for start in range(0, len(missing), size):
                self._make(missing[start : start + size])
            found = [self._views[key] for key in keys]
            while len(self._views) > 3 * batch_size:
                self._views.popitem(last=False)
        return found

    def _make(self, keys: Sequence[tuple[int, int]]) -> None:
        simulation, data = self._settings.simulation, self._data
        scenes = []
        for number, place in keys:
            random = np.random.default_rng([self._settings.seed, _SCENE, number, place])
            chosen = int(random.integers(len(data.train)))
            scenes.append(
                draw_scene(
                    data.train, chosen, simulation, box_edge(simulation.view),
                    data.preparation.voxel_size, random,
                )
            )  # fmt: skip
        maps = make_maps(
            scenes, simulation.view, data.preparation.voxel_size, data.preparation.percentile,
            data.sigma, self._device,
        )  # fmt: skip
        shares = _shares(maps.target, self._settings.crop)
        for row, (key, scene) in enumerate(zip(keys, scenes, strict=True)):
            both = torch.stack((maps.density[row], maps.target[row]))
            corners = _CORNER_STEP * torch.ones_like(shares[row]).nonzero()
            dense = _CORNER_STEP * (shares[row] >= DENSE_SHARE).nonzero()
            self._views[key] = _View(
                both, scene.structure, scene.conditions.resolution, corners, dense
            )


def _shares(targets: Tensor, edge: int) -> Tensor:
    """Return on the CPU the dense share of the crops at every fourth corner [n, z, y, x]."""
    dense = (targets > DENSE_VALUE).float()[:, None]
    return F.avg_pool3d(dense, edge, _CORNER_STEP)[:, 0].cpu()


def _turned(cube: Tensor, random: np.random.Generator) -> Tensor:
    """Return a cube [2, z, y, x] in one of its 24 orientations."""
    order, reversed_axes = ROTATIONS[int(random.integers(len(ROTATIONS)))]
    turned = cube.permute(0, *(axis + 1 for axis in order))
    return turned.flip([axis + 1 for axis in reversed_axes])
