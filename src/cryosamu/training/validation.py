"""How good a network is on fixed crops, with and without the structure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from cryosamu.config import TrainingSettings
from cryosamu.network import EnhancementNetwork
from cryosamu.training.crops import Batch, make_batch, validation_crops
from cryosamu.training.pairs import TrainingPair

_CROPS_A_PAIR = 4


class Validation:
    """Fixed crops of some pairs, the same at every call and in every run with the same seed.

    Parameters
    ----------
    pairs
        Each gives the same number of crops, so that each counts the same.
    """

    def __init__(
        self, pairs: Sequence[TrainingPair], settings: TrainingSettings, device: torch.device
    ) -> None:
        self._settings = settings
        self._device = device
        self._examples = [
            (pair, cube)
            for pair in pairs
            for cube in validation_crops(pair, settings, _CROPS_A_PAIR)
        ]

    def measure(self, network: EnhancementNetwork) -> dict[str, float]:
        """Return the network's smooth-L1 losses and correlations; leaves it in training mode.

        Returns
        -------
        dict
            `loss_with_structure`, `loss_without_structure`, and `loss`, which weighs them as
            training does: what a checkpoint is chosen by. `correlation_with_structure` and
            `correlation_without_structure` are Pearson's, means over the crops.
        """
        network.eval()
        told = self._mean(network, with_structure=True)
        untold = self._mean(network, with_structure=False)
        network.train()
        share = self._settings.embedding_dropout
        return {
            "loss": (1 - share) * told[0] + share * untold[0],
            "loss_with_structure": told[0],
            "loss_without_structure": untold[0],
            "correlation_with_structure": told[1],
            "correlation_without_structure": untold[1],
        }

    def measure_input(self) -> dict[str, float]:
        """Return the loss and the correlation of the maps as they are, the network's baseline."""
        loss, correlation = self._mean(None, with_structure=False)
        return {"loss_of_input": loss, "correlation_of_input": correlation}

    @torch.no_grad()
    def _mean(
        self, network: EnhancementNetwork | None, with_structure: bool
    ) -> tuple[float, float]:
        values = []
        size = self._settings.batch_size
        for start in range(0, len(self._examples), size):
            pairs, cubes = zip(*self._examples[start : start + size], strict=True)
            told = np.full(len(cubes), with_structure)
            batch = make_batch(cubes, pairs, told).to(self._device)
            answer = batch.density if network is None else _answer(network, batch, with_structure)
            values += [
                (float(F.smooth_l1_loss(one, wanted)), _correlation(one, wanted))
                for one, wanted in zip(answer, batch.target, strict=True)
            ]
        loss, correlation = np.mean(values, axis=0)
        return float(loss), float(correlation)


def _answer(network: EnhancementNetwork, batch: Batch, with_structure: bool) -> Tensor:
    if not with_structure:
        return torch.as_tensor(network(batch.density))
    return torch.as_tensor(network(batch.density, batch.tokens, batch.token_mask))


def _correlation(one: Tensor, other: Tensor) -> float:
    """Return Pearson's correlation of two cubes, 0 where one is constant."""
    a, b = (cube.double().flatten() - cube.double().mean() for cube in (one, other))
    norm = float(a.norm() * b.norm())
    return float(a @ b) / norm if norm > 0 else 0.0
