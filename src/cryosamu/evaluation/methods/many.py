"""One method's maps of many pairs, one after the other, so that time and memory are its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryosamu.config import EvaluationSettings
from cryosamu.evaluation.methods.making import ENHANCED, MethodRun, Request, make_method
from cryosamu.evaluation.methods.record import read_run, write_record
from cryosamu.files import require_file, sha256_of
from cryosamu.pairs import Pair
from cryosamu.provenance import stage_digest
from cryosamu.shards import Made, Task, make_tasks, member_folder


@dataclass(frozen=True)
class Maker:
    """A method and all that shapes its maps beside the pair.

    Attributes
    ----------
    enhance_options
        As in `Request`.
    shaped_by
        Plain JSON values that `cryosamu enhance` takes from its configuration.
    """

    method: str
    settings: EvaluationSettings
    checkpoint: Path | None = None
    enhance_options: tuple[str, ...] = ()
    shaped_by: Mapping[str, Any] | None = None

    def follows_from(self) -> dict[str, Any]:
        """Return what every map follows from."""
        if self.method in ENHANCED:
            checkpoint = self.checkpoint and sha256_of(require_file(self.checkpoint, "checkpoint"))
            shared = {"checkpoint": checkpoint, "enhancement": dict(self.shaped_by or {})}
            return {**shared, "code": stage_digest("enhance")}
        outside = self.settings.outside_of(self.method).model_dump(mode="json")
        sharpening = self.settings.sharpening_b_factor
        return {"outside": outside, "sharpening": sharpening, "code": stage_digest("methods")}

    def other_input(self, emdb_id: str) -> str | None:
        """Return the checksum of a finished map or predicted model, where the method takes one."""
        pattern = self.settings.outside_of(self.method).finished
        if self.method == "enhanced_predicted":
            pattern = self.settings.predicted_models
        path = None if pattern is None else Path(pattern.format(emdb_id=emdb_id))
        return None if path is None or not path.is_file() else sha256_of(path)


def make_maps(maker: Maker, pairs: Sequence[Pair], folder: Path) -> Made:
    """Make a method's map of each pair that has none yet, or one made from something else.

    One at a time, in a process of its own. A method that fails is a result, which is tried again by
    the next call: its program may be installed by then. One that is killed is none.

    Parameters
    ----------
    folder
        Of the maps and their records, each in a sub-folder by its id.
    """
    shared = maker.follows_from()
    tasks = [
        Task(
            pair.emdb_id,
            (maker, pair, record_path(folder, pair.emdb_id)),
            {
                **shared,
                "method": maker.method,
                "map": pair.map_sha256,
                "model": pair.model_sha256,
                "resolution": pair.resolution,
                "contour": pair.contour_level,
                "other": maker.other_input(pair.emdb_id),
            },
            (record_path(folder, pair.emdb_id),),
            (record_path(folder, pair.emdb_id).with_suffix(".mrc"),),
        )
        for pair in pairs
    ]
    for task in tasks:
        if task.is_made() and read_run(task.outputs[0]).status != "ok":
            task.stamp.unlink()
    return make_tasks(tasks, _make, f"made by {maker.method}")


def _make(given: tuple[Maker, Pair, Path]) -> None:
    maker, pair, record = given
    request = Request(
        map=pair.arrived_map(),
        resolution=pair.resolution,
        emdb_id=pair.emdb_id,
        model=pair.arrived_model(),
        contour=pair.contour_level,
        enhance_options=maker.enhance_options,
    )
    output = record.with_suffix(".mrc")
    run = make_method(maker.method, request, maker.settings, output)
    write_record(output, run, request, maker.checkpoint)


def record_path(folder: Path, emdb_id: str) -> Path:
    """Return where the record of a pair's map lies in a method's folder."""
    return member_folder(folder, emdb_id) / f"{emdb_id}.json"


def runs_of(pairs: Sequence[Pair], folder: Path) -> list[MethodRun]:
    """Return what became of each pair's map."""
    return [read_run(record_path(folder, pair.emdb_id)) for pair in pairs]
