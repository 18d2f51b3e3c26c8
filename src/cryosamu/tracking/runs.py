"""Runs of the training found on disk, as rows of one table."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from cryosamu.config import OF_THE_MACHINE
from cryosamu.errors import CryosamuError
from cryosamu.provenance import digest_of
from cryosamu.tables import HISTORY, PACE, read_table
from cryosamu.tensors import read_tensors_header
from cryosamu.tracking.folder import RunFolder

_OF_A_RUN = {"about.json", "run.json", "state.safetensors"}
_ABSENT = "absent"
# Of runs that do not record by what they were judged: what decides it, beside their data.
_JUDGING = ("validate_by", "crop", "seed", "embedding_dropout")


@dataclass(frozen=True)
class Run:
    """One run, as far as it can be read.

    Attributes
    ----------
    name
        As `training.run` says, or the file's.
    status
        Broken runs have a `fault`, a sentence.
    step, steps
        Done, and of the whole run.
    best_step, metrics
        The step with the lowest loss on validation, and the metrics there; see `Validation`.
    loss_of_input
        Of the maps as they are: what a network must beat.
    seconds, crops_per_second
        Spent in all calls; the median over the run.
    pairs, validation_pairs, structures
        Numbers of what it learns from and is judged by.
    data, lock
        Digests; the lock's is None where none was given.
    judges
        Digest of the crops that it is judged by and of what the loss is: losses of the same
        compare. None in runs made before it was recorded.
    parents
        The checkpoints that it continues.
    settings
        Every setting that shapes it, under its dotted key.
    """

    path: Path
    name: str
    status: Literal["finished", "unfinished", "broken"]
    fault: str | None = None
    step: int | None = None
    steps: int | None = None
    best_step: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    loss_of_input: float | None = None
    seconds: float | None = None
    crops_per_second: float | None = None
    pairs: int | None = None
    validation_pairs: int | None = None
    structures: int | None = None
    data: str | None = None
    lock: str | None = None
    judges: str | None = None
    parents: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def judged_by(self) -> str | None:
        """What the loss is, and by what it was measured: losses compare where this is the same."""
        if not self.metrics:
            return None
        judges = self.judges
        if not judges:
            values = [self.settings.get(f"training.{name}") for name in _JUDGING]
            judges = digest_of([self.data, *values])
        return f"{self.settings.get('training.validate_by', 'loss')} {judges[:8]}"


def find_runs(places: Iterable[Path]) -> list[Run]:
    """Return the runs in some folders, at any depth, and those of single checkpoints.

    Of a folder without runs its checkpoints are taken. Runs that were judged by the same loss on
    the same crops stand together, the best first, the largest such group before the others; what
    cannot be read stands last.

    Raises
    ------
    CryosamuError
        When a place does not exist.
    """
    runs = []
    for place in places:
        if place.is_file():
            runs.append(_read_safely(place))
            continue
        if not place.is_dir():
            raise CryosamuError(f"{place}: does not exist; name folders of runs or checkpoints.")
        walked = sorted((Path(folder), files) for folder, _, files in os.walk(place))
        found = [folder for folder, files in walked if _OF_A_RUN.intersection(files)]
        runs += [_read_safely(path) for path in found or sorted(place.glob("*.safetensors"))]
    sizes = Counter(run.judged_by for run in runs)

    def rank(run: Run) -> tuple[bool, int, str, float, str]:
        group, loss = run.judged_by, run.metrics.get("loss", float("inf"))
        return group is None, -sizes[group], group or "", loss, str(run.path)

    return sorted(runs, key=rank)


def differing_settings(runs: Sequence[Run]) -> list[str]:
    """Return the keys whose values are not the same in all runs that can be read, sorted."""
    known = [run.settings for run in runs if run.settings]
    keys = sorted(set().union(*known)) if known else []
    return [key for key in keys if len({json.dumps(one.get(key, _ABSENT)) for one in known}) > 1]


def rows_of(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Return plain values for each run: its figures, then the settings that differ."""
    differing = differing_settings(runs)
    return [_row(run) | {key: run.settings.get(key) for key in differing} for run in runs]


def _row(run: Run) -> dict[str, Any]:
    return {
        "run": run.name,
        "status": run.status,
        "step": run.step,
        "steps": run.steps,
        "best_step": run.best_step,
        "judged_by": run.judged_by,
        "loss": run.metrics.get("loss"),
        "with_structure": run.metrics.get("loss_with_structure"),
        "without_structure": run.metrics.get("loss_without_structure"),
        "of_input": run.loss_of_input,
        "hours": None if run.seconds is None else round(run.seconds / 3600, 6),
        "crops_per_second": run.crops_per_second,
        "pairs": run.pairs,
        "validation_pairs": run.validation_pairs,
        "structures": run.structures,
        "data": None if run.data is None else run.data[:12],
        "lock": None if run.lock is None else run.lock[:12],
        "parents": run.parents,
        "path": str(run.path),
        "fault": run.fault,
    }


def _read_safely(path: Path) -> Run:
    try:
        return _read_checkpoint(path) if path.is_file() else _read_folder(RunFolder(path))
    except CryosamuError as error:
        return Run(path, path.stem, "broken", fault=str(error))


def _read_folder(folder: RunFolder) -> Run:
    about = _read_json(folder.about)
    try:
        known = {
            "name": str(about["name"]),
            "pairs": int(about["pairs"]["train"]),
            "validation_pairs": int(about["pairs"]["validation"]),
            "structures": int(about["structures"]),
            "data": about["data"],
            "lock": about["lock"],
            "settings": flattened(about["settings"]),
        }
        if folder.record.is_file():
            return _finished(folder, known)
        return _unfinished(folder, known)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise CryosamuError(f"{folder.path}: its files are of another kind of run.") from error


def _finished(folder: RunFolder, known: Mapping[str, Any]) -> Run:
    summary = read_tensors_header(folder.checkpoint)["training"]
    history = read_table(folder.history, HISTORY)
    pace = read_table(folder.pace, PACE)
    return Run(
        path=folder.path,
        status="finished",
        step=summary["steps"],
        steps=summary["steps"],
        best_step=summary["best_step"],
        metrics=summary["metrics"],
        loss_of_input=_first(history.loc[history["metric"] == "loss_of_input", "value"]),
        seconds=_last(pace["seconds"]),
        judges=summary.get("judges"),
        crops_per_second=_middle(pace["crops_per_second"]),
        parents=len(summary["lineage"]),
        **known,
    )


def _unfinished(folder: RunFolder, known: Mapping[str, Any]) -> Run:
    if not folder.state.is_file():
        return Run(path=folder.path, status="unfinished", step=0, **known)
    state = read_tensors_header(folder.state)
    pace = pd.DataFrame(state["pace"], columns=PACE.names)
    of_input = [row[3] for row in state["history"] if row[2] == "loss_of_input"]
    return Run(
        path=folder.path,
        status="unfinished",
        step=state["step"],
        steps=state["steps"],
        best_step=state["best_step"],
        metrics=state["best_metrics"],
        loss_of_input=of_input[0] if of_input else None,
        seconds=state["seconds"],
        judges=state.get("judges"),
        crops_per_second=_middle(pace["crops_per_second"]),
        parents=len(state["lineage"]),
        **known,
    )


def _read_checkpoint(path: Path) -> Run:
    header = read_tensors_header(path)
    try:
        summary = header["training"]
        settings = {key: header[key] for key in ("network", "embedding", "preparation")}
        training = {
            key: value
            for key, value in header["provenance"].get("settings", {}).items()
            if key not in OF_THE_MACHINE
        }
        return Run(
            path=path,
            name=path.stem,
            status="finished",
            step=summary["steps"],
            steps=summary["steps"],
            best_step=summary["best_step"],
            metrics=summary["metrics"],
            pairs=len(summary["training_pairs"]),
            validation_pairs=len(summary["validation_pairs"]),
            structures=len(summary["structures"].get("structures", ())),
            data=summary["data_digest"],
            lock=summary["lock_digest"],
            judges=summary.get("judges"),
            parents=len(summary["lineage"]),
            settings=flattened({**settings, "training": training}),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise CryosamuError(f"{path}: is no checkpoint of a training.") from error


def flattened(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested values under dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= flattened(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CryosamuError(f"{path}: is missing or damaged, so the run is not known.") from error
    if not isinstance(value, dict):
        raise CryosamuError(f"{path}: is damaged, so the run is not known.")
    return value


def _first(values: pd.Series[float]) -> float | None:
    return float(values.iloc[0]) if len(values) else None


def _last(values: pd.Series[float]) -> float | None:
    return float(values.iloc[-1]) if len(values) else None


def _middle(values: pd.Series[float]) -> float | None:
    return round(float(values.median()), 3) if len(values) else None
