"""How good a network is on fixed crops, with and without the structure."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from cryosamu.config import TrainingSettings
from cryosamu.network import EnhancementNetwork
from cryosamu.training.crops import Batch, make_batch, validation_crops
from cryosamu.training.interruption import StopRequest
from cryosamu.training.losses import low_pass_correlation
from cryosamu.training.pairs import TrainingPair
from cryosamu.training.parallel import Processes
from cryosamu.training.state import FORMER_VALIDATION, VALIDATION

Slice = NDArray[np.float32]

_CROPS_A_PAIR = 4
_PICTURED_PAIRS = 4
_ALONE = Processes()


class Validation:
    """Fixed crops of some pairs, the same at every call and in every run with the same seed.

    In float32 and with any number of processes: as the network will be used.

    Parameters
    ----------
    pairs
        Each gives the same number of crops, so that each counts the same.
    former
        EMDB ids of those that a continued checkpoint was validated on; also measured apart.

    Attributes
    ----------
    digest
        Of the crops, their tokens and what the loss is: losses of the same digest compare.
    slices
        Of the first crops of some pairs, as this process saw them last, by EMDB id: the middle
        slices of the map, of what the network made of it with and without structure, and of the
        target.
    """

    def __init__(
        self,
        pairs: Sequence[TrainingPair],
        settings: TrainingSettings,
        device: torch.device,
        processes: Processes = _ALONE,
        former: Collection[str] = (),
    ) -> None:
        self._settings = settings
        self._device = device
        self._processes = processes
        self._examples = [
            (pair, cube)
            for pair in pairs
            for cube in validation_crops(pair, settings, _CROPS_A_PAIR)
        ]
        self.digest = self._digest()
        self._former = np.array([pair.emdb_id in former for pair, _ in self._examples])
        self.slices: dict[str, dict[str, Slice]] = {}

    def _digest(self) -> str:
        settings = self._settings
        found = hashlib.sha256(f"{settings.validate_by} {settings.embedding_dropout:g}".encode())
        for pair, cube in self._examples:
            found.update(cube.tobytes() + f"{pair.resolution:g}".encode())
            found.update(pair.tokens.numpy().tobytes() + pair.token_mask.numpy().tobytes())
        return found.hexdigest()

    def measure(
        self, network: EnhancementNetwork, stop: StopRequest
    ) -> dict[str, dict[str, float]]:
        """Return the network's losses and correlations; leaves its mode as it was.

        The loss is smooth-L1, or 1 − Pearson's correlation, of the crops or of what they show at
        their maps' resolution, as `validate_by` says.

        Returns
        -------
        dict
            Under `validation`, and under `former_validation` if there are any:
            `loss_with_structure`, `loss_without_structure`, and `loss`, which weighs them as
            training does: what a checkpoint is chosen by. `correlation_with_structure` and
            `correlation_without_structure` are Pearson's, means over the crops.

        Raises
        ------
        StoppedError
            When a stop is asked for meanwhile.
        """
        mode = network.training
        network.eval()
        try:
            told = self._values(network, True, stop)
            untold = self._values(network, False, stop)
        finally:
            network.train(mode)
        found = {VALIDATION: self._metrics(told, untold)}
        if self._former.any():
            found[FORMER_VALIDATION] = self._metrics(told[self._former], untold[self._former])
        return found

    def measure_input(self) -> dict[str, float]:
        """Return the loss and the correlation of the maps as they are, the network's baseline."""
        loss, correlation = self._values(None, False, StopRequest()).mean(axis=0)
        return {"loss_of_input": float(loss), "correlation_of_input": float(correlation)}

    def _metrics(self, told: NDArray[np.float64], untold: NDArray[np.float64]) -> dict[str, float]:
        with_structure, without = told.mean(axis=0), untold.mean(axis=0)
        share = self._settings.embedding_dropout
        return {
            "loss": float((1 - share) * with_structure[0] + share * without[0]),
            "loss_with_structure": float(with_structure[0]),
            "loss_without_structure": float(without[0]),
            "correlation_with_structure": float(with_structure[1]),
            "correlation_without_structure": float(without[1]),
        }

    @torch.no_grad()
    def _values(
        self, network: EnhancementNetwork | None, with_structure: bool, stop: StopRequest
    ) -> NDArray[np.float64]:
        """Return loss and correlation of every crop [crops, 2], each process doing its share."""
        size, processes = self._settings.batch_size, self._processes
        starts = range(0, len(self._examples), size)
        own = []
        for start in starts[processes.rank :: processes.size]:
            if processes.size == 1:
                stop.heed()
            pairs, cubes = zip(*self._examples[start : start + size], strict=True)
            told = np.full(len(cubes), with_structure)
            known = np.full(len(cubes), True)
            batch = make_batch(cubes, pairs, told, known).to(self._device)
            answer = batch.density if network is None else _answer(network, batch, with_structure)
            self._keep_slices(start, batch, answer, network, with_structure)
            losses = self._losses(answer, batch)
            own += [
                (start + place, losses[place], _correlation(one, wanted))
                for place, (one, wanted) in enumerate(zip(answer, batch.target, strict=True))
            ]
        everyone = sorted(processes.gather(own))
        return np.array([values[1:] for values in everyone])

    def _losses(self, answer: Tensor, batch: Batch) -> list[float]:
        """Return the loss of each crop."""
        if self._settings.validate_by == "low_pass_correlation":
            similarity = low_pass_correlation(answer.float(), batch.target, batch.detail)
            return [1 - value for value in similarity.tolist()]
        pairs = zip(answer, batch.target, strict=True)
        if self._settings.validate_by == "correlation":
            return [1 - _correlation(one, wanted) for one, wanted in pairs]
        return [float(F.smooth_l1_loss(one, wanted)) for one, wanted in pairs]

    def _keep_slices(
        self,
        start: int,
        batch: Batch,
        answer: Tensor,
        network: EnhancementNetwork | None,
        with_structure: bool,
    ) -> None:
        """Keep the middle slices of the first crop of each pair, of so many pairs."""
        if network is None:
            return
        name = "with structure" if with_structure else "without structure"
        for place in range(-start % _CROPS_A_PAIR, len(answer), _CROPS_A_PAIR):
            emdb_id = self._examples[start + place][0].emdb_id
            if emdb_id not in self.slices and len(self.slices) == _PICTURED_PAIRS:
                return
            kept = self.slices.setdefault(emdb_id, {})
            for what, cubes in (("map", batch.density), (name, answer), ("target", batch.target)):
                middle = cubes[place, 0, cubes.shape[2] // 2]
                kept[what] = middle.float().cpu().numpy()


def _answer(network: EnhancementNetwork, batch: Batch, with_structure: bool) -> Tensor:
    if not with_structure:
        return torch.as_tensor(network(batch.density, resolution=batch.resolution))
    answer = network(batch.density, batch.tokens, batch.token_mask, batch.resolution)
    return torch.as_tensor(answer)


def _correlation(one: Tensor, other: Tensor) -> float:
    """Return Pearson's correlation of two cubes, 0 where one is constant."""
    a, b = (cube.double().flatten() - cube.double().mean() for cube in (one, other))
    norm = float(a.norm() * b.norm())
    return float(a @ b) / norm if norm > 0 else 0.0
