"""What a run writes for others: what it is, how it goes, and the network that it made."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd
import torch

from cryosamu.config import OF_THE_MACHINE, NetworkSettings, TrainingSettings
from cryosamu.files import atomic_path, write_text
from cryosamu.network.checkpoint import CheckpointHeader, TrainingSummary, save_checkpoint
from cryosamu.provenance import provenance_record, software_versions
from cryosamu.tables import HISTORY, PACE, write_table
from cryosamu.tracking.folder import RunFolder
from cryosamu.tracking.page import write_page
from cryosamu.training.pairs import TrainingData
from cryosamu.training.parallel import Processes
from cryosamu.training.plan import Plan
from cryosamu.training.state import TrainingState
from cryosamu.training.validation import Slice

NO_VALIDATION = (
    "No pair is in the validation split: the checkpoint was chosen on fixed crops of the "
    "training maps themselves, and its losses do not tell how it does on other maps."
)

_UNCLUSTERED = (
    "{files}: tells no clusters, so the structures to validate on were held out by their names, "
    "and the network may have learnt from relatives of theirs, which flatters its losses; pack the "
    "structures again to hold out whole clusters."
)


def write_about(
    plan: Plan,
    data: TrainingData,
    network: NetworkSettings,
    training: TrainingSettings,
    lock_digest: str | None,
    processes: Processes,
    device: torch.device,
) -> None:
    """Write what the run is, so that it can be told from others before it is finished."""
    about = {
        "name": training.run,
        "recipe": plan.recipe,
        "recipe_parts": dict(plan.recipe_parts),
        "data": plan.data,
        "lock": lock_digest,
        "pairs": {"train": len(data.train), "validation": len(data.validation)},
        "structures": 0 if data.simulated is None else len(data.simulated.train),
        "settings": {
            "network": network.model_dump(mode="json"),
            "training": training.model_dump(mode="json", exclude=set(OF_THE_MACHINE)),
            "embedding": data.embedding.model_dump(mode="json"),
            "preparation": data.preparation.model_dump(mode="json"),
        },
        "software": software_versions(),
        "device": str(device),
        "processes": processes.size,
    }
    write_text(plan.folder.about, json.dumps(about, indent=2, sort_keys=True) + "\n")


def draw_progress(
    folder: RunFolder,
    name: str,
    state: TrainingState,
    slices: Mapping[str, Mapping[str, Slice]],
) -> None:
    """Draw the run's page as things stand."""
    sentence = (
        f"Step {state.step} of {state.steps}; the best validation loss is "
        f"{state.best_metrics['loss']:.5f}, of step {state.best_step}."
    )
    title = f"Training {name}, {folder.path.name}"
    write_page(folder.page, title, sentence, state.history, state.pace, slices)


def hand_out(folder: RunFolder, history: Path, checkpoint: Path) -> None:
    """Copy a finished run's results to where they are wanted."""
    for made, wanted in ((folder.history, history), (folder.checkpoint, checkpoint)):
        with atomic_path(wanted) as temporary:
            shutil.copyfile(made, temporary)


def write_results(
    plan: Plan,
    data: TrainingData,
    state: TrainingState,
    settings: NetworkSettings,
    training: TrainingSettings,
    lock_digest: str | None,
) -> None:
    """Write the best weights, the history and the pace into the run's folder."""
    frame = pd.DataFrame(state.history, columns=HISTORY.names)
    write_table(plan.folder.history, frame, HISTORY)
    write_table(plan.folder.pace, pd.DataFrame(state.pace, columns=PACE.names), PACE)
    state.network.load_state_dict(state.best)
    # How many processes and threads shared the work is no part of what it made.
    settings_of_run = training.model_dump(mode="json", exclude=set(OF_THE_MACHINE) - {"run"})
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
            computed_on=tuple(state.computed_on),
            judges=state.judges,
            structures={} if data.simulated is None else data.simulated.record(),
        ),
        provenance=provenance_record(settings_of_run, {}, training.seed),
        notes=tuple(_notes(data)),
    )
    save_checkpoint(plan.folder.checkpoint, state.network, header)


def _notes(data: TrainingData) -> Iterable[str]:
    simulated = sum(pair.simulated for pair in data.train)
    if simulated:
        yield f"{simulated} of the {len(data.train)} training maps were simulated from models."
    if data.simulated is not None:
        yield f"Trained on maps simulated from {len(data.simulated.train)} atomic structures."
    yield from warnings_of(data)


def warnings_of(data: TrainingData) -> Iterable[str]:
    """Yield what makes the losses on validation tell less than they should."""
    if data.simulated is not None and data.simulated.unclustered and _judged_by_structures(data):
        yield _UNCLUSTERED.format(files=", ".join(data.simulated.unclustered))
    if not data.validation:
        yield NO_VALIDATION


def _judged_by_structures(data: TrainingData) -> bool:
    held_out = {one.name for one in data.simulated.held_out} if data.simulated else set()
    return any(pair.emdb_id in held_out for pair in data.validation)
