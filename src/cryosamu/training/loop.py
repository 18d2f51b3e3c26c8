"""The training loop: one step after the other, validation and state at regular intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch.nn.functional import smooth_l1_loss
from torch.nn.utils import clip_grad_norm_
from tqdm import tqdm

from cryosamu.config import TrainingSettings
from cryosamu.errors import CryosamuError
from cryosamu.training.crops import Batch, dropout_seed, training_batch
from cryosamu.training.interruption import stop_requests
from cryosamu.training.pairs import TrainingPair
from cryosamu.training.state import TrainingState, save_state
from cryosamu.training.validation import Validation

# One crop full of noise must not throw the weights; usual norms are far below.
_GRADIENT_NORM = 1.0


def train_to_end(
    state: TrainingState,
    pairs: Sequence[TrainingPair],
    validation: Validation,
    settings: TrainingSettings,
    state_path: Path,
) -> None:
    """Take the steps that are left, saving the state at every validation.

    Each step's crops, their turns, the examples without structure and the network's dropout are
    functions of the seed and the step, so that on a CPU, with as many threads, a run that was
    stopped at any moment ends, once resumed, in the same bits as one that was not.

    Raises
    ------
    KeyboardInterrupt
        After Ctrl-C or SIGTERM, the state saved.
    CryosamuError
        When the loss is no longer finite.
    """
    device = next(state.network.parameters()).device
    if not state.history:
        state.record("validation", validation.measure_input())
        _validate(state, validation, state_path)
    with (
        torch.random.fork_rng(),
        stop_requests() as stop,
        tqdm(total=state.steps, initial=state.step, desc="train", unit="step", disable=None) as bar,
    ):
        while state.step < state.steps:
            batch = training_batch(pairs, settings, state.step).to(device)
            torch.manual_seed(dropout_seed(settings, state.step + 1))
            state.losses.append(take_step(state, batch, settings))
            state.step += 1
            bar.update()
            if state.step % settings.validate_every == 0 or state.step == state.steps:
                _validate(state, validation, state_path)
                bar.set_postfix(loss=f"{state.best_metrics['loss']:.5f}")
            elif stop.made:
                save_state(state_path, state)
            if stop.made:
                raise KeyboardInterrupt


def take_step(state: TrainingState, batch: Batch, settings: TrainingSettings) -> float:
    """Take one optimiser step and return its loss."""
    state.optimizer.zero_grad(set_to_none=True)
    answer = state.network(batch.density, batch.tokens, batch.token_mask)
    loss = smooth_l1_loss(answer, batch.target)
    loss.backward()  # type: ignore[no-untyped-call]
    norm = clip_grad_norm_(state.network.parameters(), _GRADIENT_NORM)
    value = loss.item()
    if not math.isfinite(value) or not norm.isfinite():
        raise CryosamuError(
            f"the loss is {value:g} at step {state.step} and its gradient {norm.item():g}: the "
            f"training diverged; lower 'training.learning_rate' ({settings.learning_rate:g})."
        )
    state.optimizer.step()
    return value


def _validate(state: TrainingState, validation: Validation, state_path: Path) -> None:
    if state.losses:
        state.record("train", {"loss": math.fsum(state.losses) / len(state.losses)})
        state.losses = []
    metrics = validation.measure(state.network)
    state.record("validation", metrics)
    state.keep_if_best(metrics)
    state.scheduler.step(metrics["loss"])
    save_state(state_path, state)
