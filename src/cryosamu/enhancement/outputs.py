"""The files that `cryosamu enhance` leaves: their names, and all of them or none."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cryosamu.errors import CryosamuError

SUFFIXES = (".mrc", ".map", ".ccp4")

_LONGEST_NAME = 255
"""Bytes: what the common file systems take."""


@dataclass(frozen=True)
class Wanted:
    """What is written beside the enhanced map and its record.

    Attributes
    ----------
    working
        The network's answer on its own grid of about 1 Å.
    low_passed
        The enhanced map without what is finer than the reported resolution.
    confidence
        How far each voxel is to be believed.
    scene
        Commands for ChimeraX.
    report
        A page of HTML; None for none.
    """

    working: bool = False
    low_passed: bool = False
    confidence: bool = True
    scene: bool = True
    report: Path | None = None


def output_paths(output: Path, wanted: Wanted) -> dict[str, Path]:
    """Return the path of each output by its role, in the order in which they are written.

    Raises
    ------
    CryosamuError
        When the output's name is not one of a map, two outputs would have one name, or a name is
        that of a folder or too long.
    """
    name = output.name.removesuffix(".gz")
    stem, suffix = Path(name).stem, Path(name).suffix
    if suffix not in SUFFIXES:
        raise CryosamuError(
            f"{output}: enhanced maps are MRC files; end the name in .mrc or .map, or with .gz."
        )
    ending = output.name.removeprefix(stem)
    paths = {"enhanced": output}
    if wanted.working:
        paths["working"] = output.with_name(f"{stem}_1A{ending}")
    if wanted.low_passed:
        paths["low_passed"] = output.with_name(f"{stem}_low_passed{ending}")
    if wanted.confidence:
        paths["confidence"] = output.with_name(f"{stem}_confidence{ending}")
    if wanted.scene:
        paths["scene"] = output.with_name(f"{stem}.cxc")
    if wanted.report is not None:
        paths["report"] = wanted.report
    paths["record"] = output.with_name(f"{stem}.json")
    # Resolved: one folder may have several names.
    if len({os.path.realpath(path) for path in paths.values()}) < len(paths):
        raise CryosamuError(f"{wanted.report}: is the name of another output; choose another one.")
    for path in paths.values():
        _require_file_name(path)
    return paths


def _require_file_name(path: Path) -> None:
    if len(os.fsencode(path.name)) > _LONGEST_NAME:
        raise CryosamuError(
            f"{path}: is a name of more than {_LONGEST_NAME} bytes; choose a shorter one."
        )
    if path.is_dir():
        raise CryosamuError(f"{path}: is a folder; name the file to be written.")


def require_apart(outputs: Mapping[str, Path], inputs: Iterable[Path]) -> None:
    """Refuse outputs that would overwrite an input, by whatever name.

    Raises
    ------
    CryosamuError
        Naming the two.
    """
    for path in inputs:
        for target in outputs.values():
            if path.exists() and target.exists() and path.samefile(target):
                raise CryosamuError(f"{target}: would overwrite {path}; choose another name.")
