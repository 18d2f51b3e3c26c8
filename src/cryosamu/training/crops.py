"""Crops of prepared pairs; every random choice follows from seed, step and place in the batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from itertools import permutations, product
from operator import itemgetter
from zlib import crc32

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from cryosamu.config import TrainingSettings
from cryosamu.training.augmentation import HalfArray, augmented
from cryosamu.training.pairs import TrainingPair

_TRIES = 16
ANYWHERE = 0.1
DENSE_VALUE, DENSE_SHARE = 0.1, 0.02
"""Nine in ten crops are looked for where so many voxels of the target are so dense."""

_DENSE_BITS = np.float16(DENSE_VALUE).view(np.int16)

_TRAIN, _DROPOUT, _VALIDATION = 1, 2, 3


@dataclass(frozen=True)
class Batch:
    """Examples for one step.

    Attributes
    ----------
    density, target
        float32 [batch, 1, z, y, x].
    tokens, token_mask
        float32 [batch, tokens, width] and bool [batch, tokens]; an empty mask is an example
        without structure.
    resolution
        float32 [batch]: reported resolutions in Å that the network may be told, NaN where it is
        not; None where it is told none.
    detail
        float32 [batch]: the maps' resolutions in voxels, which the loss knows whatever the network
        is told; NaN where not known, None where none is.
    """

    density: Tensor
    target: Tensor
    tokens: Tensor
    token_mask: Tensor
    resolution: Tensor | None = None
    detail: Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        """Return this batch on a device, without waiting for the copy."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pinned(self) -> Batch:
        """Return this batch in memory that a CUDA device copies from on its own, if not on it."""
        return self._each(lambda tensor: tensor if tensor.is_cuda else tensor.pin_memory())

    def parts(self, count: int) -> list[Batch]:
        """Return this batch in that many parts, or in one for each example if there are fewer."""
        size = -(-len(self.density) // count)
        starts = range(0, len(self.density), size)
        return [self._each(itemgetter(slice(start, start + size))) for start in starts]

    def _each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        parts = {part.name: getattr(self, part.name) for part in fields(self)}
        present = {name: change(part) for name, part in parts.items() if part is not None}
        return replace(self, **present)


def pair_batch(
    pairs: Sequence[TrainingPair], settings: TrainingSettings, step: int, places: Iterable[int]
) -> Batch:
    """Return the crops of some places of a step's batch.

    Pairs at random, each cube turned and changed as `settings.augmentation` says, some without
    structure.
    """
    chosen, cubes, told, with_resolution = [], [], [], []
    for place in places:
        random = np.random.default_rng([settings.seed, _TRAIN, step, place])
        pair = pairs[int(random.integers(len(pairs)))]
        told.append(random.random() >= settings.embedding_dropout)
        cube = _turned(random_crop(pair.voxels, settings.crop, random), random)
        if settings.augmentation.intensity or settings.augmentation.b_factor:
            density = augmented(cube[0], settings.augmentation, pair.voxel_size, random)
            cube = np.stack([density, cube[1]])
        chosen.append(pair)
        cubes.append(cube)
        with_resolution.append(random.random() >= settings.embedding_dropout)
    return make_batch(cubes, chosen, np.array(told), np.array(with_resolution))


def validation_crops(pair: TrainingPair, settings: TrainingSettings, count: int) -> list[HalfArray]:
    """Return crops that depend on the seed and the pair alone: other pairs may come and go."""
    random = np.random.default_rng([settings.seed, _VALIDATION, crc32(pair.emdb_id.encode())])
    return [random_crop(pair.voxels, settings.crop, random) for _ in range(count)]


def dropout_seed(settings: TrainingSettings, step: int, rank: int = 0) -> int:
    """Return the seed of torch's generator for a step; step 0 draws the first weights."""
    sequence = np.random.SeedSequence([settings.seed, _DROPOUT, step, rank])
    return int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))


def random_crop(voxels: HalfArray, edge: int, random: np.random.Generator) -> HalfArray:
    """Return a cube [2, edge, edge, edge] at random, zero where it reaches beyond the map.

    Nine in ten are looked for where the target has density: most of a map is solvent.
    """
    anywhere = random.random() < ANYWHERE
    for _ in range(_TRIES):
        corner = [random.integers(max(length - edge, 0) + 1) for length in voxels.shape[1:]]
        window = (slice(None), *(slice(start, start + edge) for start in corner))
        part = voxels[window]
        if anywhere or _dense_share(part[1]) >= DENSE_SHARE:
            break
    if min(part.shape[1:]) == edge:
        return part
    missing = [(0, 0), *((0, edge - length) for length in part.shape[1:])]
    cube: HalfArray = np.pad(part, missing)
    return cube


def _dense_share(target: HalfArray) -> float:
    """Return the share of every second voxel along each axis that is dense."""
    # Bits of float16 as whole numbers have the same order, above 0, and compare ten times faster.
    some = target[::2, ::2, ::2].view(np.int16)
    return float(np.count_nonzero(some > _DENSE_BITS)) / some.size


def _rotations() -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Return the 24 rotations of a cube as an order of the axes and the axes to reverse."""
    found = []
    for order, signs in product(permutations(range(3)), product((1, -1), repeat=3)):
        matrix = np.eye(3)[list(order)] * np.array(signs)[:, None]
        if np.linalg.det(matrix) > 0:
            found.append((order, tuple(axis for axis in range(3) if signs[axis] < 0)))
    return found


# Proteins are chiral, so cubes are turned but never mirrored.
ROTATIONS = _rotations()


def _turned(cube: HalfArray, random: np.random.Generator) -> HalfArray:
    order, reversed_axes = ROTATIONS[random.integers(len(ROTATIONS))]
    turned = cube.transpose(0, *(axis + 1 for axis in order))
    return np.flip(turned, tuple(axis + 1 for axis in reversed_axes))


def make_batch(
    cubes: Sequence[HalfArray],
    pairs: Sequence[TrainingPair],
    with_structure: NDArray[np.bool_],
    with_resolution: NDArray[np.bool_] | None = None,
) -> Batch:
    """Stack cubes [2, z, y, x] and the tokens of their pairs.

    Parameters
    ----------
    with_structure, with_resolution
        bool [batch]: whether the network is told the structure, and the map's resolution; None
        for no resolution at all.
    """
    stacked = torch.from_numpy(np.stack(cubes)).float()
    longest = max(len(pair.tokens) for pair in pairs)
    tokens = [F.pad(pair.tokens, (0, 0, 0, longest - len(pair.tokens))) for pair in pairs]
    masks = [F.pad(pair.token_mask, (0, longest - len(pair.token_mask))) for pair in pairs]
    visible = torch.stack(masks) & torch.from_numpy(with_structure)[:, None]
    known = torch.tensor([pair.resolution for pair in pairs], dtype=torch.float32)
    resolution = None
    if with_resolution is not None:
        resolution = known.where(torch.from_numpy(with_resolution), torch.nan)
    detail = known / torch.tensor([pair.voxel_size for pair in pairs])
    return Batch(stacked[:, :1], stacked[:, 1:], torch.stack(tokens), visible, resolution, detail)
