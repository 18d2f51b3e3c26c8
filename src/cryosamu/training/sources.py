"""Where a step's crops come from: prepared pairs, maps simulated from structures, or both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from cryosamu.config import TrainingSettings
from cryosamu.training.crops import Batch, pair_batch
from cryosamu.training.pairs import TrainingPair
from cryosamu.training.parallel import Processes
from cryosamu.training.simulated.crops import SimulatedCrops

_ALONE = Processes()
_MIX = 24


@dataclass(frozen=True)
class CropSource:
    """What there is to learn from: pairs, simulated maps, or both."""

    pairs: Sequence[TrainingPair] = ()
    simulated: SimulatedCrops | None = None


def training_batch(
    source: CropSource,
    settings: TrainingSettings,
    step: int,
    processes: Processes = _ALONE,
) -> Batch:
    """Return this process's share of a step's crops; all shares together are the same for any size.

    Where there are pairs and structures, each place of the batch is simulated at random, with the
    odds of `settings.simulation.share`.
    """
    places = range(processes.rank, settings.batch_size, processes.size)
    if source.simulated is None:
        return pair_batch(source.pairs, settings, step, places)
    made = [place for place in places if not source.pairs or _is_simulated(settings, step, place)]
    cut = [place for place in places if place not in made]
    if not cut:
        return source.simulated.batch(step, made)
    if not made:
        return pair_batch(source.pairs, settings, step, cut)
    simulated = source.simulated.batch(step, made)
    real = pair_batch(source.pairs, settings, step, cut).to(simulated.density.device)
    order = torch.from_numpy(np.argsort([*made, *cut], kind="stable"))
    return _joined(simulated, real, order.to(simulated.density.device))


def _is_simulated(settings: TrainingSettings, step: int, place: int) -> bool:
    random = np.random.default_rng([settings.seed, _MIX, step, place])
    return bool(random.random() < settings.simulation.share)


def _joined(one: Batch, other: Batch, order: torch.Tensor) -> Batch:
    """Return two batches as one, its examples in the order given."""
    longest = max(batch.tokens.shape[1] for batch in (one, other))
    missing = [longest - batch.tokens.shape[1] for batch in (one, other)]
    tokens = [F.pad(b.tokens, (0, 0, 0, m)) for b, m in zip((one, other), missing, strict=True)]
    masks = [F.pad(b.token_mask, (0, m)) for b, m in zip((one, other), missing, strict=True)]
    return Batch(
        torch.cat((one.density, other.density))[order],
        torch.cat((one.target, other.target))[order],
        torch.cat(tokens)[order],
        torch.cat(masks)[order],
        torch.cat([_known(b.resolution, b) for b in (one, other)])[order],
        torch.cat([_known(b.detail, b) for b in (one, other)])[order],
    )


def _known(values: torch.Tensor | None, batch: Batch) -> torch.Tensor:
    return batch.density.new_full((len(batch.density),), torch.nan) if values is None else values
