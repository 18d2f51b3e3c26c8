"""All that a run needs to go on as if it had never been stopped, in one file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from cryosamu.config import TrainingSettings
from cryosamu.errors import CheckpointError
from cryosamu.network import EnhancementNetwork
from cryosamu.tensors import read_tensors, write_tensors

HistoryRow = tuple[int, str, str, float, float]
"""step, split, metric, value, learning rate: a row of tables.HISTORY."""


@dataclass
class TrainingState:
    """A run between two steps.

    Attributes
    ----------
    network, optimizer, scheduler
        In training mode; the scheduler lowers the rate when validation makes no progress.
    steps
        How many the whole run has.
    lineage
        What the run continues; see `TrainingSummary.lineage`.
    step
        Steps done.
    losses
        Of the steps since the last validation.
    best, best_step, best_metrics
        Weights with the lowest loss on validation so far, their step and its metrics.
    history
        Rows of the training curves.
    """

    network: EnhancementNetwork
    optimizer: Optimizer
    scheduler: ReduceLROnPlateau
    steps: int
    lineage: list[dict[str, Any]]
    step: int = 0
    losses: list[float] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)
    best_step: int = 0
    best_metrics: dict[str, float] = field(default_factory=dict)
    history: list[HistoryRow] = field(default_factory=list)

    @property
    def learning_rate(self) -> float:
        """The rate of the coming step."""
        return float(self.optimizer.param_groups[0]["lr"])

    def keep_if_best(self, metrics: dict[str, float]) -> None:
        """Remember the present weights if their validation loss is the lowest so far."""
        if not self.best or metrics["loss"] < self.best_metrics["loss"]:
            weights = self.network.state_dict()
            self.best = {name: tensor.detach().cpu().clone() for name, tensor in weights.items()}
            self.best_step, self.best_metrics = self.step, metrics

    def record(self, split: str, metrics: dict[str, float]) -> None:
        """Add a row a metric to the history."""
        rate = self.learning_rate
        self.history += [(self.step, split, name, value, rate) for name, value in metrics.items()]


def fresh_state(
    network: EnhancementNetwork,
    settings: TrainingSettings,
    steps: int,
    lineage: list[dict[str, Any]],
) -> TrainingState:
    """Return the state before the first step of a network with the given weights."""
    optimizer = AdamW(
        network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    scheduler = ReduceLROnPlateau(
        optimizer, factor=settings.plateau_factor, patience=settings.plateau_patience
    )
    return TrainingState(network.train(), optimizer, scheduler, steps, lineage)


def save_state(path: Path, state: TrainingState) -> None:
    """Write the state under a temporary name, then rename it: a kill leaves the former one."""
    optimizer = state.optimizer.state_dict()
    tensors = {
        **_under("network", state.network.state_dict()),
        **_under("best", state.best),
        **{
            f"optimizer/{index}/{name}": tensor
            for index, moments in optimizer["state"].items()
            for name, tensor in moments.items()
        },
    }
    header = {
        "steps": state.steps,
        "lineage": state.lineage,
        "step": state.step,
        "losses": state.losses,
        "best_step": state.best_step,
        "best_metrics": state.best_metrics,
        "history": state.history,
    }
    write_tensors(path, tensors, header)


def load_state(
    path: Path, network: EnhancementNetwork, settings: TrainingSettings
) -> TrainingState:
    """Return the state that `save_state` wrote, its weights put into `network`.

    Raises
    ------
    CheckpointError
        When the file is damaged or is not the state of this network.
    """
    tensors, header = read_tensors(path)
    try:
        network.load_state_dict(_within("network", tensors))
        state = fresh_state(network, settings, header["steps"], header["lineage"])
        _restore_optimizer(state.optimizer, _within("optimizer", tensors))
        state.step, state.losses = header["step"], header["losses"]
        state.best, state.best_step = _within("best", tensors), header["best_step"]
        state.best_metrics = header["best_metrics"]
        state.history = [(row[0], row[1], row[2], row[3], row[4]) for row in header["history"]]
        _replay(state.scheduler, state.history)
    except (KeyError, ValueError, RuntimeError, IndexError) as error:
        raise CheckpointError(
            f"{path}: is not the state of this training; remove the folder {path.parent} to train "
            "anew."
        ) from error
    return state


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}/{name}": tensor for name, tensor in tensors.items()}


def _within(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    start = f"{prefix}/"
    return {
        name.removeprefix(start): tensor
        for name, tensor in tensors.items()
        if name.startswith(start)
    }


def _restore_optimizer(optimizer: Optimizer, tensors: dict[str, Tensor]) -> None:
    moments: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, _, kind = name.partition("/")
        moments.setdefault(int(index), {})[kind] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": moments, "param_groups": groups})


def _replay(scheduler: ReduceLROnPlateau, history: list[HistoryRow]) -> None:
    """Bring the learning rate to where the validations so far have brought it."""
    for _, split, metric, value, _ in history:
        if (split, metric) == ("validation", "loss"):
            scheduler.step(value)
