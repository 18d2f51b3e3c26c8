"""What a call of the training has to do: begin, resume, continue with new pairs, or nothing.

A run is known by the digest of its recipe (settings, code, how the inputs were made) and of its
data (every pair's content). STATE/{digest} holds its state while it is unfinished, and then its
checkpoint, its history and run.json; STATE/latest.json names the run that finished last.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from cryosamu.config import NetworkSettings, TrainingSettings
from cryosamu.errors import CheckpointError
from cryosamu.files import sha256_of, write_text
from cryosamu.provenance import code_digest, digest_of
from cryosamu.training.pairs import TrainingData

_CODE = ("cryosamu.network", "cryosamu.training")
_DIGEST_LENGTH = 16


@dataclass(frozen=True)
class RunFolder:
    """Where a run keeps what it needs and what it made."""

    path: Path

    @property
    def state(self) -> Path:
        """The state of an unfinished run."""
        return self.path / "state.safetensors"

    @property
    def checkpoint(self) -> Path:
        """The finished network."""
        return self.path / "checkpoint.safetensors"

    @property
    def history(self) -> Path:
        """The finished training curves."""
        return self.path / "history.parquet"

    @property
    def record(self) -> Path:
        """What the run was; written last, so that a run with a record is a finished one."""
        return self.path / "run.json"

    def clear_leftovers(self) -> None:
        """Remove what a kill in the middle of writing left behind under temporary names."""
        for leftover in self.path.glob(".part-*"):
            leftover.unlink()


@dataclass(frozen=True)
class Plan:
    """What is to be done.

    Attributes
    ----------
    action
        `scratch`, `resume` (the state in `folder`), `continue` (from `parent`) or `finished`.
    folder
        Of this run.
    recipe, data
        Digests of the settings and code, and of the pairs.
    steps
        Of the whole run, if it begins now.
    parent
        The finished run that is continued.
    lineage
        As `TrainingSummary.lineage`, if it begins now.
    sentence
        Says the same to a person.
    """

    action: Literal["scratch", "resume", "continue", "finished"]
    folder: RunFolder
    recipe: str
    data: str
    steps: int
    parent: RunFolder | None
    lineage: tuple[dict[str, Any], ...]
    sentence: str


def make_plan(
    state: Path, data: TrainingData, network: NetworkSettings, training: TrainingSettings
) -> Plan:
    """Return what a call with these data and settings has to do.

    Raises
    ------
    CheckpointError
        When the folder of states is damaged.
    """
    recipe = recipe_digest(data, network, training)
    pairs = data_digest(data)
    folder = RunFolder(state / digest_of([recipe, pairs])[:_DIGEST_LENGTH])
    scratch = Plan(
        "scratch", folder, recipe, pairs, training.steps, None, (), "training from scratch"
    )
    if folder.record.is_file():
        _verified(folder)
        return replace(
            scratch, action="finished", sentence="this training is finished: nothing to train"
        )
    if folder.state.is_file():
        return replace(scratch, action="resume", sentence="resuming")
    return _continuation(scratch, state, data, training) or scratch


def _continuation(
    scratch: Plan, state: Path, data: TrainingData, training: TrainingSettings
) -> Plan | None:
    """Return the plan to continue the latest run, if it had the same recipe and fewer pairs."""
    latest = state / "latest.json"
    if not latest.is_file():
        return None
    parent = RunFolder(state / _read_json(latest)["digest"])
    record = _verified(parent)
    known = record["train"]
    # What was once learnt from cannot judge the network any more.
    if record["recipe"] != scratch.recipe or data.held_out & known.keys():
        return None
    pairs = {pair.emdb_id: pair.digest for pair in data.train}
    new = sum(known.get(emdb_id) != digest for emdb_id, digest in pairs.items())
    gone = len(known.keys() - pairs.keys())
    without = f" and without {gone} former ones" if gone else ""
    ancestor = {
        "checkpoint": record["checkpoint"],
        "steps": record["steps"],
        "training_pairs": len(known),
    }
    return replace(
        scratch,
        action="continue",
        sentence=f"continuing from checkpoint {record['checkpoint'][:12]} with {new} new pairs"
        + without,
        steps=training.update_steps,
        parent=parent,
        lineage=(*record["lineage"], ancestor),
    )


def recipe_digest(data: TrainingData, network: NetworkSettings, training: TrainingSettings) -> str:
    """Return a digest of all that shapes a run but the pairs; its name and device do not."""
    return digest_of(
        {
            "network": network.model_dump(mode="json"),
            "training": training.model_dump(mode="json", exclude={"run", "device"}),
            "embedding": data.embedding.model_dump(mode="json"),
            "embedding_width": data.embedding_width,
            "weights": data.weights_fingerprint,
            "preparation": data.preparation.model_dump(mode="json"),
            "code": code_digest(_CODE),
        }
    )


def data_digest(data: TrainingData) -> str:
    """Return a digest of the content of every pair and of its role."""
    return digest_of(
        {
            "train": {pair.emdb_id: pair.digest for pair in data.train},
            "validation": {pair.emdb_id: pair.digest for pair in data.validation},
        }
    )


def mark_finished(
    plan: Plan, state: Path, data: TrainingData, steps: int, lineage: list[dict[str, Any]]
) -> None:
    """Record that the run in `plan.folder` is finished, and forget its state."""
    record = {
        "recipe": plan.recipe,
        "data": plan.data,
        "train": {pair.emdb_id: pair.digest for pair in data.train},
        "steps": steps,
        "lineage": lineage,
        "checkpoint": sha256_of(plan.folder.checkpoint),
    }
    write_text(plan.folder.record, json.dumps(record, indent=2, sort_keys=True) + "\n")
    name_latest(plan, state)
    plan.folder.state.unlink(missing_ok=True)


def name_latest(plan: Plan, state: Path) -> None:
    """Make this finished run the one that new pairs continue from."""
    checkpoint = plan.folder.checkpoint.relative_to(state)
    latest = {"digest": plan.folder.path.name, "checkpoint": str(checkpoint)}
    write_text(state / "latest.json", json.dumps(latest, indent=2) + "\n")


def _verified(folder: RunFolder) -> dict[str, Any]:
    """Return a finished run's record, after a look at whether its checkpoint is still the same."""
    record = _read_json(folder.record)
    if not folder.checkpoint.is_file() or sha256_of(folder.checkpoint) != record["checkpoint"]:
        raise CheckpointError(
            f"{folder.checkpoint}: is not the checkpoint that the training finished with; "
            f"remove the folder {folder.path} to train anew."
        )
    return record


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{path}: cannot be read ({error}); remove the folder {path.parent} to train anew."
        ) from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: is damaged; remove the folder {path.parent}.")
    return value
