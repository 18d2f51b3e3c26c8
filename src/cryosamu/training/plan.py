"""What a call of the training has to do: begin, resume, continue with new pairs, or nothing.

A run is known by the digest of its recipe (settings, code, how the inputs were made) and of its
data (every pair's content). STATE/{digest} is its `RunFolder`; STATE/latest.json names the run that
finished last.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from cryosamu.config import NetworkSettings, TrainingSettings
from cryosamu.errors import CheckpointError
from cryosamu.files import require_file, sha256_of, write_text
from cryosamu.network.checkpoint import CheckpointHeader, read_header
from cryosamu.provenance import digest_of
from cryosamu.tracking.folder import RunFolder
from cryosamu.training.identity import data_digest, pair_digests, recipe_of, why_not_resumed
from cryosamu.training.pairs import TrainingData

_DIGEST_LENGTH = 16
_NAMED = 3


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
    recipe_parts
        What the recipe's digest is of.
    steps
        Of the whole run, if it begins now.
    parent
        The checkpoint whose weights it begins with, None for fresh ones.
    lineage
        As `TrainingSummary.lineage`, if it begins now.
    former
        EMDB ids of the validation pairs that the parent was chosen by and that are still the same.
    sentence
        Says the same to a person.
    """

    action: Literal["scratch", "resume", "continue", "finished"]
    folder: RunFolder
    recipe: str
    recipe_parts: Mapping[str, Any]
    data: str
    steps: int
    parent: Path | None
    lineage: tuple[dict[str, Any], ...]
    former: tuple[str, ...]
    sentence: str


def make_plan(
    state: Path,
    data: TrainingData,
    network: NetworkSettings,
    training: TrainingSettings,
    start: Path | None = None,
) -> Plan:
    """Return what a call with these data and settings has to do.

    Parameters
    ----------
    start
        A checkpoint to begin with where there is no run to resume or to continue.

    Raises
    ------
    CheckpointError
        When the folder of states is damaged, or what this is to build upon, or has finished with,
        learnt from a pair that is held out.
    """
    started_from = None if start is None else sha256_of(require_file(start, "checkpoint"))
    parts = recipe_of(data, network, training, started_from)
    recipe, pairs = digest_of(parts), data_digest(data)
    folder = RunFolder(state / digest_of([recipe, pairs])[:_DIGEST_LENGTH])
    scratch = Plan(
        action="scratch",
        folder=folder,
        recipe=recipe,
        recipe_parts=parts,
        data=pairs,
        steps=training.steps,
        parent=None,
        lineage=(),
        former=(),
        sentence="training from scratch",
    )
    if folder.record.is_file():
        _verified(folder)
        _require_held_out(folder.checkpoint, read_header(folder.checkpoint), data)
        return replace(
            scratch, action="finished", sentence="this training is finished: nothing to train"
        )
    if folder.state.is_file():
        return replace(scratch, action="resume", sentence="resuming")
    continued, refusal = _continuation(scratch, state, data, training)
    if continued is not None:
        return continued
    reason = refusal or why_not_resumed(state, folder, parts)
    since = f"; {reason}" if reason else ""
    if start is None or started_from is None:
        return replace(scratch, sentence=scratch.sentence + since)
    header = read_header(start)
    _require_held_out(start, header, data)
    return replace(
        scratch,
        sentence=f"training from checkpoint {started_from[:12]}{since}",
        parent=start,
        lineage=(*header.training.lineage, _ancestor(started_from, header)),
        former=_still_there(data, header.training.validation_pairs),
    )


def _require_held_out(path: Path, header: CheckpointHeader, data: TrainingData) -> None:
    learnt = sorted(data.held_out & _ever_learnt(header))
    if learnt:
        raise CheckpointError(
            f"{path}: was trained on {', '.join(learnt)}, which the split holds out; "
            "split again, or begin anew: without it, or in another folder of states."
        )


def _learnt(header: CheckpointHeader) -> set[str]:
    return {*header.training.training_pairs, *header.training.structures.get("structures", ())}


def _ever_learnt(header: CheckpointHeader) -> set[str]:
    """Return what a checkpoint or one that it continues was trained on."""
    earlier = (part.get("learnt", ()) for part in header.training.lineage)
    return _learnt(header).union(*earlier)


def _ancestor(digest: str, header: CheckpointHeader) -> dict[str, Any]:
    return {
        "checkpoint": digest,
        "steps": header.training.steps,
        "best_step": header.training.best_step,
        "computed_on": list(header.training.computed_on),
        "metrics": header.training.metrics,
        "training_pairs": len(header.training.training_pairs),
        "learnt": sorted(_learnt(header)),
    }


def _still_there(data: TrainingData, emdb_ids: Iterable[str]) -> tuple[str, ...]:
    present = {pair.emdb_id for pair in data.validation}
    return tuple(sorted(present.intersection(emdb_ids)))


def _continuation(
    scratch: Plan, state: Path, data: TrainingData, training: TrainingSettings
) -> tuple[Plan | None, str | None]:
    """Return the plan to continue the latest run, if it had the same recipe and fewer pairs.

    Returns
    -------
    tuple
        The plan, or None and, where the pairs are why, the reason in words.
    """
    latest = state / "latest.json"
    if not latest.is_file():
        return None, None
    digest = _read_json(latest).get("digest")
    if not isinstance(digest, str):
        raise CheckpointError(f"{latest}: names no run; remove the folder {state} to train anew.")
    parent = RunFolder(state / digest)
    record = _verified(parent)
    known = record["train"]
    header = read_header(parent.checkpoint)
    # What was once learnt from cannot judge the network any more.
    if record["recipe"] != scratch.recipe:
        return None, None
    if lost := sorted(data.held_out & _ever_learnt(header)):
        few = ", ".join(lost[:_NAMED]) + (f" and {len(lost) - _NAMED} more" * (len(lost) > _NAMED))
        return None, f"the finished run {digest} learnt from {few}, now held out"
    pairs = data.learnt()
    new = sum(known.get(emdb_id) != digest for emdb_id, digest in pairs.items())
    gone = len(known.keys() - pairs.keys())
    without = f" and without {gone} former ones" if gone else ""
    unchanged = record["validation"].items() & pair_digests(data.validation).items()
    ancestor = _ancestor(record["checkpoint"], header)
    plan = replace(
        scratch,
        action="continue",
        sentence=f"continuing from checkpoint {record['checkpoint'][:12]} with {new} new pairs"
        + without,
        steps=training.update_steps,
        parent=parent.checkpoint,
        lineage=(*record["lineage"], ancestor),
        former=_still_there(data, [emdb_id for emdb_id, _ in unchanged]),
    )
    return plan, None


def mark_finished(
    plan: Plan, state: Path, data: TrainingData, lineage: list[dict[str, Any]]
) -> None:
    """Record that the run in `plan.folder` is finished, and forget its state."""
    record = {
        "recipe": plan.recipe,
        "data": plan.data,
        "train": data.learnt(),
        "validation": pair_digests(data.validation),
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
