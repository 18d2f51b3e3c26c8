"""A whole call of the training: from prepared pairs to a checkpoint and its history."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from cryosamu.config import NetworkSettings, PreparationSettings, TrainingSettings
from cryosamu.errors import ConfigError
from cryosamu.files import require_file, sha256_of
from cryosamu.network import EnhancementNetwork, build_network
from cryosamu.network.checkpoint import (
    Configuration,
    load_checkpoint,
    require_configuration,
)
from cryosamu.training.crops import dropout_seed
from cryosamu.training.loop import train_to_end
from cryosamu.training.pairs import TrainingData, prepared_arrays, read_training_data
from cryosamu.training.parallel import Processes, joined_processes
from cryosamu.training.plan import Plan, make_plan, mark_finished, name_latest
from cryosamu.training.results import (
    draw_progress,
    hand_out,
    warnings_of,
    write_about,
    write_results,
)
from cryosamu.training.simulated.crops import SimulatedCrops
from cryosamu.training.simulated.data import with_structures
from cryosamu.training.sources import CropSource
from cryosamu.training.staging import Scratch, staged_pairs
from cryosamu.training.state import FORMER_VALIDATION, TrainingState, fresh_state, load_state
from cryosamu.training.validation import Validation


@dataclass(frozen=True)
class TrainingFiles:
    """What a call reads and writes.

    Attributes
    ----------
    split, prepared, tokens
        As `read_training_data`; no split where maps are simulated from structures alone.
    state
        Folder that outlives the call: unfinished and finished runs.
    checkpoint, history
        The outputs.
    start
        A checkpoint to begin with where nothing is resumed or continued.
    lock
        The data set's lock, whose digest the checkpoint is to bear.
    structures
        Files of packed structures to simulate maps from.
    scratch
        Where prepared pairs are copied to first; None reads them where they lie.
    """

    split: Path | None
    prepared: Path | None
    tokens: tuple[Path, ...]
    state: Path
    checkpoint: Path
    history: Path
    start: Path | None = None
    lock: Path | None = None
    structures: tuple[Path, ...] = ()
    scratch: Scratch | None = None


def run_training(
    files: TrainingFiles,
    network: NetworkSettings,
    training: TrainingSettings,
    announce: Callable[[str], None],
    preparation: PreparationSettings | None = None,
) -> None:
    """Train, resume, continue with new pairs, or write a finished run's outputs again.

    Started several times at once, as `launch` says, the processes train together.

    Parameters
    ----------
    announce
        Is told in sentences what is done and what should be known of it.
    preparation
        How simulated maps are brought to the network where no prepared pair says it.

    Raises
    ------
    CryosamuError
        When an input or the folder of states cannot be used.
    """
    lock_digest = None if files.lock is None else sha256_of(require_file(files.lock, "lock"))
    with (
        joined_processes(training.device) as (processes, device),
        _within_reach(files, processes) as near,
    ):
        data = _read(near, training, preparation or PreparationSettings())
        plan = make_plan(files.state, data, network, training, files.start)
        say = announce if processes.first else _silent
        if plan.action == "finished":
            say(plan.sentence)
        else:
            if processes.first:
                write_about(plan, data, network, training, lock_digest, processes, device)
            state = _train(plan, data, network, training, processes, device, say)
            if processes.first:
                write_results(plan, data, state, network, training, lock_digest)
                mark_finished(plan, files.state, data, state.lineage)
        if processes.first:
            name_latest(plan, files.state)
            hand_out(plan.folder, files.history, files.checkpoint)


@contextmanager
def _within_reach(files: TrainingFiles, processes: Processes) -> Iterator[TrainingFiles]:
    """Yield the files, the prepared pairs copied to the scratch disk if there is to be one."""
    if files.scratch is None or files.split is None or files.prepared is None:
        yield files
        return
    arrays = prepared_arrays(files.split, files.prepared)
    with staged_pairs(arrays, files.prepared, files.scratch, processes) as folder:
        yield replace(files, prepared=folder)


def _read(
    files: TrainingFiles, training: TrainingSettings, preparation: PreparationSettings
) -> TrainingData:
    """Open what is to be learnt from.

    Raises
    ------
    ConfigError
        When neither pairs nor structures are named, or pairs by half.
    """
    if (files.split is None) != (files.prepared is None):
        raise ConfigError(
            "--split and --prepared belong together; give both, or neither of them to train on "
            "--structures alone."
        )
    pairs = None
    if files.split is not None and files.prepared is not None:
        pairs = read_training_data(
            files.split, files.prepared, files.tokens, to_learn=not files.structures
        )
    if files.structures:
        return with_structures(pairs, files.structures, files.tokens, training, preparation)
    if pairs is None:
        raise ConfigError("nothing to learn from: give --split and --prepared, or --structures.")
    return pairs


def _silent(_sentence: str) -> None:
    """What all processes but the first say."""


def _train(
    plan: Plan,
    data: TrainingData,
    settings: NetworkSettings,
    training: TrainingSettings,
    processes: Processes,
    device: torch.device,
    say: Callable[[str], None],
) -> TrainingState:
    """Train to the end of the run and return its state."""
    network = _first_network(plan, data, settings, training).to(device)
    _require_shares(training, network, processes)
    if plan.action == "resume":
        state = load_state(plan.folder.state, network, training)
        say(f"resuming at step {state.step}")
    else:
        former = list(plan.former)
        state = fresh_state(network, training, plan.steps, list(plan.lineage), former)
        say(plan.sentence)
    # Also waits until every process has read what the first will soon write over.
    processes.require_agreement((plan.action, plan.folder.path.name, state.step), plan.folder.path)
    if processes.first:
        plan.folder.clear_leftovers()
    for warning in warnings_of(data):
        say(warning)
    simulated = None
    if data.simulated is not None:
        simulated = SimulatedCrops(data.simulated, training, device)
    source = CropSource(data.train, simulated)
    judges = data.validation or data.train
    validation = Validation(judges, training, device, processes, state.former)
    state.judges = validation.digest

    def observe(state: TrainingState) -> None:
        draw_progress(plan.folder, training.run, state, validation.slices)

    train_to_end(state, source, validation, training, plan.folder.state, processes, observe)
    if state.former:
        say(_what_was_forgotten(state))
    return state


def _require_shares(
    training: TrainingSettings, network: EnhancementNetwork, processes: Processes
) -> None:
    if training.crop % network.stride:
        raise ConfigError(
            f"'training.crop' is {training.crop}; this network's stride asks for a multiple of "
            f"{network.stride}."
        )
    if training.batch_size < processes.size:
        raise ConfigError(
            f"'training.batch_size' is {training.batch_size}, and {processes.size} processes train "
            "together; each needs at least one crop a step."
        )


def _what_was_forgotten(state: TrainingState) -> str:
    """Return how the released weights do on the pairs that the former ones were chosen by."""
    losses = {row[0]: row[3] for row in state.history if row[1:3] == (FORMER_VALIDATION, "loss")}
    return (
        f"on the {len(state.former)} pairs of the former validation the loss went from "
        f"{losses[0]:.5f} to {losses[state.best_step]:.5f}"
    )


def _first_network(
    plan: Plan, data: TrainingData, settings: NetworkSettings, training: TrainingSettings
) -> EnhancementNetwork:
    """Return the network with the weights that the run begins with."""
    if plan.parent is not None:
        network, header = load_checkpoint(plan.parent)
        wanted = Configuration(
            settings,
            data.embedding_width,
            data.embedding,
            data.weights_fingerprint,
            data.preparation,
        )
        require_configuration(plan.parent, header, wanted)
        return network
    with torch.random.fork_rng():
        torch.manual_seed(dropout_seed(training, 0))
        return build_network(settings, data.embedding_width)
