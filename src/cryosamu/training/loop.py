"""The training loop: one step after the other, validation and state at regular intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path
from typing import NoReturn

import torch
from torch.nn.utils import clip_grad_norm_
from tqdm import tqdm

from cryosamu.config import TrainingSettings
from cryosamu.errors import CryosamuError
from cryosamu.training.crops import Batch, dropout_seed
from cryosamu.training.interruption import StoppedError, StopRequest, stop_requests
from cryosamu.training.loader import prefetched
from cryosamu.training.losses import training_loss
from cryosamu.training.pace import Pace
from cryosamu.training.parallel import LostProcessError, Processes
from cryosamu.training.precision import choose_precision
from cryosamu.training.sources import CropSource, training_batch
from cryosamu.training.state import VALIDATION, TrainingState, save_state
from cryosamu.training.validation import Validation


def train_to_end(
    state: TrainingState,
    source: CropSource,
    validation: Validation,
    settings: TrainingSettings,
    state_path: Path,
    processes: Processes,
    observe: Callable[[TrainingState], None],
) -> None:
    """Take the steps that are left, saving the state at every validation.

    Each step's crops, their turns, the examples without structure and the network's dropout are
    functions of the seed and the step, so that on a CPU, with as many threads, a run that was
    stopped at any moment ends, once resumed, in the same bits as one that was not.

    Parameters
    ----------
    observe
        Called by the first process after each validation, the state saved.

    Raises
    ------
    KeyboardInterrupt
        After Ctrl-C or SIGTERM, the state saved.
    CryosamuError
        When the loss is no longer finite, or another process has ended, the state saved.
    """

    def save() -> None:
        if processes.first:
            save_state(state_path, state)

    def observed() -> None:
        save()
        if processes.first:
            observe(state)

    with (
        torch.random.fork_rng(),
        stop_requests(save) as stop,
        _progress(state, processes) as bar,
        closing(_batches(state, source, settings, processes)) as batches,
    ):
        pace = Pace(settings.batch_size)
        try:
            _validate_if_due(state, validation, settings, stop, pace, observed)
            while not _finished(state, settings):
                batch = next(batches)
                torch.manual_seed(dropout_seed(settings, state.step + 1, processes.rank))
                stopped = take_step(state, batch, settings, processes, stop)
                pace.count_step(state)
                bar.update()
                if stopped:
                    raise StoppedError
                bar.set_postfix_str(_figures(state, pace), refresh=False)
                _validate_if_due(state, validation, settings, stop, pace, observed)
        except StoppedError:
            save()
            raise KeyboardInterrupt from None
        except LostProcessError:
            save()
            raise


def take_step(
    state: TrainingState,
    batch: Batch,
    settings: TrainingSettings,
    processes: Processes,
    stop: StopRequest,
) -> bool:
    """Take one optimiser step; return whether any process was asked to stop.

    Parameters
    ----------
    batch
        This process's share of the step's crops. The loss and its gradient are means over all
        shares, which one after the other and all at once differ by rounding alone.

    Raises
    ------
    StoppedError
        When a stop is asked for before the step is done, in a process that trains alone.
    """
    network, scaler = state.network, state.scaler
    precision = choose_precision(settings.precision, batch.density.device)
    for group in state.optimizer.param_groups:
        group["lr"] = state.schedule.rate(state.step)
    state.optimizer.zero_grad(set_to_none=True)
    totals = torch.zeros(2, device=batch.density.device)
    for part in batch.parts(settings.accumulation):
        if processes.size == 1:
            stop.heed()
        with precision.autocast():
            answer = network(part.density, part.tokens, part.token_mask, part.resolution)
        share = len(part.density) / settings.batch_size
        loss = training_loss(answer, part.target, settings.losses, part.detail) * share
        scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        totals[0] += loss.detach()
    totals[1] = float(stop.made)
    value, stops = processes.sum(totals).tolist()
    processes.sum_gradients(network)
    scaler.unscale_(state.optimizer)
    norm = clip_grad_norm_(network.parameters(), settings.gradient_norm)
    # The scaler leaves out a step whose float16 gradients ran over, and scales less.
    if not math.isfinite(value) or not (norm.isfinite() or scaler.is_enabled()):
        raise CryosamuError(
            f"the loss is {value:g} at step {state.step} and its gradient {norm.item():g}: the "
            f"training diverged; lower 'training.learning_rate' ({settings.learning_rate:g})."
        )
    with state.changing:
        scaler.step(state.optimizer)
        scaler.update()
        state.update_average(settings.averaging)
        state.finish_step(value, float(norm))
    return bool(stops > 0)


def _batches(
    state: TrainingState,
    source: CropSource,
    settings: TrainingSettings,
    processes: Processes,
) -> Generator[Batch]:
    """Yield this process's share of the steps that are left, on the network's device."""
    device = next(state.network.parameters()).device

    def make(step: int) -> Batch:
        batch = training_batch(source, settings, step, processes)
        return batch.pinned() if device.type == "cuda" else batch

    batches = prefetched(make, range(state.step, state.steps), settings.workers)
    with closing(batches):
        for batch in batches:
            yield batch.to(device)


def _progress(state: TrainingState, processes: Processes) -> tqdm[NoReturn]:
    """Return the bar over all steps; of several processes the first one's is shown."""
    return tqdm(
        total=state.steps,
        initial=state.step,
        desc="train",
        unit="step",
        disable=None if processes.first else True,
    )


def _finished(state: TrainingState, settings: TrainingSettings) -> bool:
    """Whether all steps are taken, or validation has made no progress for long enough."""
    if state.step >= state.steps or not settings.early_stopping:
        return state.step >= state.steps
    without_progress = sum(step > state.best_step for step, _ in state.validation_losses)
    return without_progress >= settings.early_stopping


def _validate_if_due(
    state: TrainingState,
    validation: Validation,
    settings: TrainingSettings,
    stop: StopRequest,
    pace: Pace,
    observed: Callable[[], None],
) -> None:
    """Validate, at the start, regularly and at the end, what has not been; keep what came out."""
    if state.step % settings.validate_every and state.step != state.steps:
        return
    if [step for step, _ in state.validation_losses][-1:] == [state.step]:
        return
    measured = validation.measure(state.judged, stop)
    baseline = {} if state.history else validation.measure_input()
    with state.changing:
        state.record(VALIDATION, baseline)
        if state.losses:
            state.record("train", _means(state))
            state.losses, state.norms = [], []
        for split, metrics in measured.items():
            state.record(split, metrics)
        state.keep_if_best(measured[VALIDATION])
        state.schedule.note(measured[VALIDATION]["loss"])
        pace.end_interval(state)
    observed()


def _means(state: TrainingState) -> dict[str, float]:
    """Return the mean loss and gradient norm of the steps since the last validation."""
    sums = {"loss": state.losses, "gradient_norm": state.norms}
    return {name: math.fsum(values) / len(values) for name, values in sums.items() if values}


def _figures(state: TrainingState, pace: Pace) -> str:
    """Return what the bar says beside the steps."""
    rate = f"{state.schedule.rate(state.step):.2e}"
    best = f"{state.best_metrics['loss']:.5f}"
    return (
        f"loss={state.losses[-1]:.5f}, best validation={best}, rate={rate}, "
        f"{pace.crops_per_second:.2f} crops/s"
    )
