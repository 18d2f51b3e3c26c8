"""A whole call of the training: from prepared pairs to a checkpoint and its history."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch

from cryosamu.config import NetworkSettings, TrainingSettings
from cryosamu.device import choose_device
from cryosamu.errors import ConfigError
from cryosamu.files import atomic_path
from cryosamu.network import EnhancementNetwork, build_network
from cryosamu.network.checkpoint import (
    CheckpointHeader,
    TrainingSummary,
    load_checkpoint,
    require_network,
    save_checkpoint,
)
from cryosamu.provenance import provenance_record
from cryosamu.tables import HISTORY, write_table
from cryosamu.training.crops import dropout_seed
from cryosamu.training.loop import train_to_end
from cryosamu.training.pairs import TrainingData, read_training_data
from cryosamu.training.plan import Plan, make_plan, mark_finished, name_latest
from cryosamu.training.state import TrainingState, fresh_state, load_state
from cryosamu.training.validation import Validation


@dataclass(frozen=True)
class TrainingFiles:
    """What a call reads and writes.

    Attributes
    ----------
    split, prepared, tokens
        As `read_training_data`.
    state
        Folder that outlives the call: unfinished and finished runs.
    checkpoint, history
        The outputs.
    """

    split: Path
    prepared: Path
    tokens: tuple[Path, ...]
    state: Path
    checkpoint: Path
    history: Path


def run_training(
    files: TrainingFiles,
    network: NetworkSettings,
    training: TrainingSettings,
    announce: Callable[[str], None],
) -> None:
    """Train, resume, continue with new pairs, or write a finished run's outputs again.

    Parameters
    ----------
    announce
        Is told in sentences what is done and what should be known of it.

    Raises
    ------
    CryosamuError
        When an input or the folder of states cannot be used.
    """
    data = read_training_data(files.split, files.prepared, files.tokens)
    plan = make_plan(files.state, data, network, training)
    if plan.action == "finished":
        announce(plan.sentence)
        name_latest(plan, files.state)
    else:
        _train(plan, data, files.state, network, training, announce)
    for made, wanted in (
        (plan.folder.history, files.history),
        (plan.folder.checkpoint, files.checkpoint),
    ):
        with atomic_path(wanted) as temporary:
            shutil.copyfile(made, temporary)


def _train(
    plan: Plan,
    data: TrainingData,
    state_folder: Path,
    settings: NetworkSettings,
    training: TrainingSettings,
    announce: Callable[[str], None],
) -> None:
    plan.folder.clear_leftovers()
    device = choose_device(training.device)
    network = _first_network(plan, data, settings, training).to(device)
    if training.crop % network.stride:
        raise ConfigError(
            f"'training.crop' is {training.crop}; this network's stride asks for a multiple of "
            f"{network.stride}."
        )
    if plan.action == "resume":
        state = load_state(plan.folder.state, network, training)
        announce(f"resuming at step {state.step}")
    else:
        state = fresh_state(network, training, plan.steps, list(plan.lineage))
        announce(plan.sentence)
    if not data.validation:
        announce(_NO_VALIDATION)
    validation = Validation(data.validation or data.train, training, device)
    train_to_end(state, data.train, validation, training, plan.folder.state)
    _write_results(plan, data, state, settings, training)
    mark_finished(plan, state_folder, data, state.steps, state.lineage)


_NO_VALIDATION = (
    "No pair is in the validation split: the checkpoint was chosen on fixed crops of the "
    "training maps themselves, and its losses do not tell how it does on other maps."
)


def _first_network(
    plan: Plan, data: TrainingData, settings: NetworkSettings, training: TrainingSettings
) -> EnhancementNetwork:
    """Return the network with the weights that the run begins with."""
    if plan.parent is not None:
        path = plan.parent.checkpoint
        network, header = load_checkpoint(path)
        require_network(path, header, settings, data.embedding_width)
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
            steps=state.steps,
            best_step=state.best_step,
            data_digest=plan.data,
            training_pairs=tuple(pair.emdb_id for pair in data.train),
            validation_pairs=tuple(pair.emdb_id for pair in data.validation),
            lineage=tuple(state.lineage),
            metrics=state.best_metrics,
        ),
        provenance=provenance_record(training.model_dump(mode="json"), {}, training.seed),
        notes=tuple(_notes(data)),
    )
    save_checkpoint(plan.folder.checkpoint, state.network, header)


def _notes(data: TrainingData) -> Iterable[str]:
    simulated = sum(pair.simulated for pair in data.train)
    if simulated:
        yield f"{simulated} of the {len(data.train)} training maps were simulated from models."
    if not data.validation:
        yield _NO_VALIDATION
