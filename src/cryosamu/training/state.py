"""All that a run needs to go on as if it had never been stopped, in one file."""

from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from threading import RLock
from typing import Any

import torch
from torch import Tensor
from torch.amp import GradScaler
from torch.optim import AdamW, Optimizer

from cryosamu.config import TrainingSettings
from cryosamu.errors import CheckpointError
from cryosamu.network import EnhancementNetwork
from cryosamu.tensors import read_tensors, write_tensors
from cryosamu.training.precision import choose_precision
from cryosamu.training.schedule import Schedule

HistoryRow = tuple[int, str, str, float, float]
"""step, split, metric, value, learning rate: a row of tables.HISTORY."""

PaceRow = tuple[int, float, float]
"""step, seconds, crops a second: a row of tables.PACE."""

VALIDATION = "validation"
FORMER_VALIDATION = "former_validation"


@dataclass
class TrainingState:
    """A run between two steps.

    A step computes its gradients without touching any of it, so that all the while it can be saved
    from another thread as it was after the last step.

    Attributes
    ----------
    network, optimizer, scaler
        In training mode; the scaler is idle unless float16 is used.
    average
        The running average of the weights, None where the settings ask for none.
    schedule
        Follows from settings and history.
    steps
        How many the whole run has.
    lineage
        What the run continues; see `TrainingSummary.lineage`.
    former
        EMDB ids of the validation pairs by which the continued checkpoint was chosen.
    computed_on
        As `TrainingSummary.computed_on`.
    judges
        Digest of what it is validated by; see `Validation`.
    step
        Steps done.
    losses, norms
        Of the steps since the last validation: the loss, and its gradient's length before it was
        cut.
    seconds
        Spent on the run so far, in all calls.
    pace
        Rows of tables.PACE, one a validation.
    best, best_step, best_metrics
        Weights with the lowest loss on validation so far, their step and its metrics.
    history
        Rows of the training curves.
    buffers
        What the network keeps beside its weights, after the last step: unlike them, a forward pass
        changes the network's own (running statistics of a batch norm).
    changing
        Held while a step or a validation enters the state, and while it is saved.
    """

    network: EnhancementNetwork
    optimizer: Optimizer
    scaler: GradScaler
    average: EnhancementNetwork | None
    schedule: Schedule
    steps: int
    lineage: list[dict[str, Any]]
    former: list[str]
    computed_on: list[dict[str, str]]
    judges: str = ""
    step: int = 0
    losses: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)
    seconds: float = 0.0
    pace: list[PaceRow] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)
    best_step: int = 0
    best_metrics: dict[str, float] = field(default_factory=dict)
    history: list[HistoryRow] = field(default_factory=list)
    buffers: dict[str, Tensor] = field(default_factory=dict)
    changing: RLock = field(default_factory=RLock)

    @property
    def judged(self) -> EnhancementNetwork:
        """The network that is validated and released: the average where there is one."""
        return self.network if self.average is None else self.average

    @property
    def validation_losses(self) -> list[tuple[int, float]]:
        """Step and loss of every validation so far."""
        return [(row[0], row[3]) for row in self.history if row[1:3] == (VALIDATION, "loss")]

    def update_average(self, decay: float) -> None:
        """Move the average towards the weights, at first faster, so that it forgets the start.

        The decay of the n-th step is (1 + n) / (10 + n) until that passes `decay`.
        """
        if self.average is None:
            return
        weight = 1 - min(decay, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for kept, new in zip(self.average.parameters(), self.network.parameters(), strict=True):
                kept.lerp_(new, weight)
            pairs = zip(self.average.buffers(), self.network.buffers(), strict=True)
            for kept_buffer, buffer in pairs:
                kept_buffer.copy_(buffer)

    def finish_step(self, loss: float, norm: float) -> None:
        """Count a step whose update is done."""
        self.losses.append(loss)
        # A float16 step that ran over has none.
        self.norms += [norm] if math.isfinite(norm) else []
        self.step += 1
        self.buffers = _buffers(self.network)

    def keep_if_best(self, metrics: dict[str, float]) -> None:
        """Remember the judged weights if their validation loss is the lowest so far."""
        if not self.best or metrics["loss"] < self.best_metrics["loss"]:
            weights = self.judged.state_dict()
            self.best = {name: tensor.detach().cpu().clone() for name, tensor in weights.items()}
            self.best_step, self.best_metrics = self.step, metrics

    def record(self, split: str, metrics: dict[str, float]) -> None:
        """Add a row a metric to the history."""
        rate = self.schedule.rate(self.step)
        self.history += [(self.step, split, name, value, rate) for name, value in metrics.items()]


def fresh_state(
    network: EnhancementNetwork,
    settings: TrainingSettings,
    steps: int,
    lineage: list[dict[str, Any]],
    former: list[str],
) -> TrainingState:
    """Return the state before the first step of a network with the given weights."""
    precision = choose_precision(settings.precision, next(network.parameters()).device)
    return TrainingState(
        buffers=_buffers(network),
        network=network.train(),
        optimizer=AdamW(
            network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        ),
        scaler=precision.scaler(),
        average=deepcopy(network).eval() if settings.averaging else None,
        schedule=Schedule(settings, steps),
        steps=steps,
        lineage=lineage,
        former=former,
        computed_on=[precision.record()],
    )


def save_state(path: Path, state: TrainingState) -> None:
    """Write the state under a temporary name, then rename it: a kill leaves the former one."""
    with state.changing:
        write_tensors(path, *_content(state))


def _content(state: TrainingState) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the state's tensors and the rest of it as JSON values."""
    optimizer = state.optimizer.state_dict()
    tensors = {
        **_under("network", {**state.network.state_dict(), **state.buffers}),
        **_under("average", state.average.state_dict() if state.average else {}),
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
        "former": state.former,
        "computed_on": state.computed_on,
        "judges": state.judges,
        "step": state.step,
        "losses": state.losses,
        "norms": state.norms,
        "seconds": state.seconds,
        "pace": state.pace,
        "scaler": state.scaler.state_dict(),
        "best_step": state.best_step,
        "best_metrics": state.best_metrics,
        "history": state.history,
    }
    return tensors, header


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
        state = fresh_state(network, settings, header["steps"], header["lineage"], header["former"])
        if state.average is not None:
            state.average.load_state_dict(_within("average", tensors))
        _restore_optimizer(state.optimizer, _within("optimizer", tensors))
        # Empty where the run was on a device without float16, or goes on there.
        if header["scaler"] and state.scaler.is_enabled():
            state.scaler.load_state_dict(header["scaler"])
        here = [one for one in state.computed_on if one not in header["computed_on"]]
        state.computed_on = header["computed_on"] + here
        state.step, state.losses = header["step"], header["losses"]
        state.norms, state.seconds = header["norms"], header["seconds"]
        state.pace = [(row[0], row[1], row[2]) for row in header["pace"]]
        state.best, state.best_step = _within("best", tensors), header["best_step"]
        state.best_metrics = header["best_metrics"]
        state.history = [(row[0], row[1], row[2], row[3], row[4]) for row in header["history"]]
        for _, loss in state.validation_losses:
            state.schedule.note(loss)
    except (KeyError, ValueError, RuntimeError, IndexError) as error:
        raise CheckpointError(
            f"{path}: is not the state of this training; remove the folder {path.parent} to train "
            "anew."
        ) from error
    return state


def _buffers(network: EnhancementNetwork) -> dict[str, Tensor]:
    weights = {name for name, _ in network.named_parameters()}
    content = network.state_dict()
    return {name: content[name].clone() for name in content.keys() - weights}


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
