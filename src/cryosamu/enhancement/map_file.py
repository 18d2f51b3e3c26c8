"""An enhancement's files: maps, scene, page and record, all of them or none."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryosamu.enhancement.api import Enhanced
from cryosamu.enhancement.outputs import Wanted, output_paths, require_apart
from cryosamu.enhancement.scene import require_openable, scene_of
from cryosamu.errors import CryosamuError
from cryosamu.files import atomic_paths, require_file, sha256_of, writing_failed
from cryosamu.provenance import provenance_record
from cryosamu.volume.io import write_map
from cryosamu.volume.volume import Volume

Page = Callable[[Enhanced, Mapping[str, Path], Mapping[str, str]], str]
"""Makes the HTML of a report from what was enhanced, the inputs' paths and their SHA-256."""

_LABEL_GAVE_WAY = (
    "the header held ten labels, as many as there is room for: the oldest, '{}', gave way to ours."
)


def enhance_to_files(
    enhance: Callable[[], Enhanced],
    output: Path,
    inputs: Mapping[str, Path],
    wanted: Wanted,
    page: Page,
) -> dict[str, Any]:
    """Enhance, and write the map, what belongs beside it and the record.

    Parameters
    ----------
    enhance
        Does the work; called once the outputs are known to have a place.
    output
        Of the enhanced map, written in the frame of the map that was given: grid, cell, origin,
        nstart, axis order; labels kept and one added. The same inputs give the same bytes.
    inputs
        Role (map, half_map_1, half_map_2, model, mask, checkpoint, config) to path.
    page
        Called where `wanted.report` names a file.

    Returns
    -------
    The record.

    Raises
    ------
    CryosamuError
        When an input cannot be used or an output not be written; nothing is left then, nor after
        an interrupt.
    """
    paths = output_paths(output, wanted)
    require_apart(paths, inputs.values())
    if "scene" in paths:
        require_openable(paths)
    # Of the inputs as they are read now: during the work they may be changed.
    provenance = _provenance(inputs)
    # Entered before the work is done: a folder that cannot be written to is told at once.
    with atomic_paths(list(paths.values())) as temporaries:
        places = dict(zip(paths, temporaries, strict=True))
        enhanced = enhance()
        begun = time.perf_counter()
        dropped = {}
        for role, volume in _maps(enhanced, paths).items():
            with _named(paths[role]):
                dropped[role] = write_map(places[role], volume, _label_of(role, enhanced))
        if "scene" in paths:
            with _named(paths["scene"]):
                scene = scene_of(enhanced, paths, inputs)
                places["scene"].write_text(scene, encoding="utf-8")
        if "report" in paths:
            with _named(paths["report"]):
                checksums = {role: one["sha256"] for role, one in provenance["inputs"].items()}
                html = page(enhanced, inputs, checksums)
                # A file's name may hold bytes that are no text.
                places["report"].write_text(html, encoding="utf-8", errors="backslashreplace")
        provenance["settings"] = enhanced.settings
        record = _record(enhanced, paths, places, provenance, time.perf_counter() - begun)
        if (label := dropped["enhanced"]) is not None:
            record["notes"] = [*record["notes"], _LABEL_GAVE_WAY.format(label)]
        with _named(paths["record"]):
            places["record"].write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return record


def told_of(record: Mapping[str, Any]) -> list[str]:
    """Return what whoever uses the map must know, from its record; what weighs most first."""
    parts = [record["half_maps"], record["keeping"]]
    confidence = record["confidence"] or {"notes": []}
    sentences = [part["sentence"] for part in parts if part is not None]
    return [*sentences, *confidence["notes"], *record["notes"]]


def _provenance(inputs: Mapping[str, Path]) -> dict[str, Any]:
    """Return the provenance, the settings still to come."""
    for role, path in inputs.items():
        require_file(path, _WORDS.get(role, role))
    try:
        return provenance_record({}, inputs)
    except OSError as error:
        raise CryosamuError(
            f"{error.filename}: could not be read ({error.strerror}); check the file."
        ) from error


_WORDS = {"half_map_1": "half map", "half_map_2": "half map", "config": "configuration"}


def _maps(enhanced: Enhanced, paths: Mapping[str, Path]) -> dict[str, Volume]:
    """Return the maps that are written, by role."""
    made = {
        "enhanced": enhanced.volume,
        "working": enhanced.working,
        "confidence": enhanced.confidence,
        "low_passed": enhanced.low_passed if "low_passed" in paths else None,
    }
    return {role: volume for role, volume in made.items() if role in paths and volume is not None}


def _label_of(role: str, enhanced: Enhanced) -> str:
    if role == "low_passed":
        return f"{enhanced.label}, low-pass {enhanced.resolution:g} A"
    if role == "confidence":
        return "CryoSAMU: confidence of an enhanced map, 0 to 1"
    return f"{enhanced.label}, 1 A grid" if role == "working" else enhanced.label


@contextmanager
def _named(destination: Path) -> Iterator[None]:
    """Name the output and not its temporary file where it cannot be written."""
    try:
        yield
    except CryosamuError as error:
        if isinstance(error.__cause__, OSError):
            raise writing_failed(destination, error.__cause__) from error
        raise
    except OSError as error:
        raise writing_failed(destination, error) from error


def _record(
    enhanced: Enhanced,
    paths: Mapping[str, Path],
    places: Mapping[str, Path],
    provenance: Mapping[str, Any],
    writing: float,
) -> dict[str, Any]:
    outputs = {
        role: {"name": path.name, "sha256": sha256_of(places[role])}
        for role, path in paths.items()
        if role != "record"
    }
    return {
        "sha256": outputs["enhanced"]["sha256"],
        "outputs": outputs,
        **enhanced.record,
        "seconds": {**enhanced.record["seconds"], "write": round(writing, 3)},
        "provenance": provenance,
    }
