"""A whole call of the training: from prepared pairs to a checkpoint and its history."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import torch

from cryosamu.config import NetworkSettings, PreparationSettings, TrainingSettings
from cryosamu.errors import ConfigError
from cryosamu.files import atomic_path, require_file, sha256_of
from cryosamu.network import EnhancementNetwork, build_network
from cryosamu.network.checkpoint import (
    CheckpointHeader,
    Configuration,
    TrainingSummary,
    load_checkpoint,
    require_configuration,
    save_checkpoint,
)
from cryosamu.provenance import provenance_record
from cryosamu.tables import HISTORY, write_table
from cryosamu.training.crops import dropout_seed
from cryosamu.training.loop import train_to_end
from cryosamu.training.pairs import TrainingData, prepared_arrays, read_training_data
from cryosamu.training.parallel import Processes, joined_processes
from cryosamu.training.plan import Plan, make_plan, mark_finished, name_latest
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
            state = _train(plan, data, network, training, processes, device, say)
            if processes.first:
                _write_results(plan, data, state, network, training, lock_digest)
                mark_finished(plan, files.state, data, state.lineage)
        if processes.first:
            _hand_out(plan, files)


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
        When neither pairs nor structures are named.
    """
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


def _hand_out(plan: Plan, files: TrainingFiles) -> None:
    """Copy a finished run's results to where they are wanted."""
    name_latest(plan, files.state)
    for made, wanted in (
        (plan.folder.history, files.history),
        (plan.folder.checkpoint, files.checkpoint),
    ):
        with atomic_path(wanted) as temporary:
            shutil.copyfile(made, temporary)


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
    if not data.validation:
        say(_NO_VALIDATION)
    simulated = None
    if data.simulated is not None:
        simulated = SimulatedCrops(data.simulated, training, device)
    source = CropSource(data.train, simulated)
    judges = data.validation or data.train
    validation = Validation(judges, training, device, processes, state.former)
    train_to_end(state, source, validation, training, plan.folder.state, processes)
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


_NO_VALIDATION = (
    "No pair is in the validation split: the checkpoint was chosen on fixed crops of the "
    "training maps themselves, and its losses do not tell how it does on other maps."
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


def _write_results(
    plan: Plan,
    data: TrainingData,
    state: TrainingState,
    settings: NetworkSettings,
    training: TrainingSettings,
    lock_digest: str | None,
) -> None:
    """Write the best weights and the history into the run's folder."""
    frame = pd.DataFrame(state.history, columns=HISTORY.names)
    write_table(plan.folder.history, frame, HISTORY)
    state.network.load_state_dict(state.best)
    header = CheckpointHeader(
        network=settings,
        embedding_width=data.embedding_width,
        embedding=data.embedding,
        weights_fingerprint=data.weights_fingerprint,
        preparation=data.preparation,
        training=TrainingSummary(
            steps=state.step,
            best_step=state.best_step,
            data_digest=plan.data,
            lock_digest=lock_digest,
            training_pairs=tuple(pair.emdb_id for pair in data.train),
            validation_pairs=tuple(pair.emdb_id for pair in data.validation),
            lineage=tuple(state.lineage),
            metrics=state.best_metrics,
            structures={} if data.simulated is None else data.simulated.record(),
        ),
        provenance=provenance_record(training.model_dump(mode="json"), {}, training.seed),
        notes=tuple(_notes(data)),
    )
    save_checkpoint(plan.folder.checkpoint, state.network, header)


def _notes(data: TrainingData) -> Iterable[str]:
    simulated = sum(pair.simulated for pair in data.train)
    if simulated:
        yield f"{simulated} of the {len(data.train)} training maps were simulated from models."
    if data.simulated is not None:
        yield f"Trained on maps simulated from {len(data.simulated.train)} atomic structures."
    if not data.validation:
        yield _NO_VALIDATION
