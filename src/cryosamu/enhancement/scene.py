"""A scene for ChimeraX: input, enhanced map coloured by confidence, and model, contours matched.

Written from ChimeraX's documentation of `open`, `volume`, `color sample` and `cartoon` (1.3 and
newer). A .cxc file is a list of commands, so a file's name must not become one: names hold nothing
but letters, digits and a few signs that mean nothing to ChimeraX, or the file is left out.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

import gemmi
import numpy as np

from cryosamu.enhancement.api import Enhanced
from cryosamu.errors import CryosamuError, MapError
from cryosamu.structure.contour import equal_volume_levels, molecular_volume, outline_level
from cryosamu.structure.model import heavy_atoms
from cryosamu.volume.volume import Volume

_PLAIN_NAME = re.compile(r"[\w .,+=@()/-]+")
"""No quote, semicolon or newline, no wildcard (* ? [), variable ($) or database prefix (:)."""

_COMPRESSED = (".gz", ".bz2", ".xz")
_OPENED_COMPRESSED = (".pdb", ".ent")
_INPUT_COLOUR, _OUTPUT_COLOUR = "#99abc2", "#2999a3"
_PALETTE = "0,#b2182b:0.5,#f7f7f7:1,#2166ac"
"""Confidence 0 red, 0.5 white, 1 blue: told apart by colour-blind people too."""


def scene_of(
    enhanced: Enhanced,
    outputs: Mapping[str, Path],
    inputs: Mapping[str, Path],
) -> str:
    """Return the commands.

    Parameters
    ----------
    outputs, inputs
        Role to path; `scene` among the outputs is where the commands will lie.

    Raises
    ------
    CryosamuError
        As `require_openable`.
    """
    require_openable(outputs)
    folder = outputs["scene"].parent
    shown = {
        "input": inputs.get("map"),
        "enhanced": outputs["enhanced"],
        "confidence": outputs.get("confidence"),
        "model": inputs.get("model"),
    }
    lines = ["# CryoSAMU. Open this file in a new session of ChimeraX: it counts models from 1."]
    number: dict[str, int] = {}
    for role, path in shown.items():
        if path is None:
            continue
        name, fault = _name_in(folder, path)
        if fault is None:
            number[role] = len(number) + 1
            # By the names .map and .ccp4 ChimeraX would leave the origin words unread.
            kind = "" if role == "model" else " format mrc"
            lines.append(f'open "{name}"{kind}')
        else:
            lines.append(f"# The {role} is left out: {fault}.")
    return "\n".join([*lines, *_drawn(enhanced, number), "view", ""])


def require_openable(outputs: Mapping[str, Path]) -> None:
    """Refuse a scene of an enhanced map that ChimeraX could not open by its name.

    Raises
    ------
    CryosamuError
        Naming the map.
    """
    path = outputs["enhanced"]
    fault = _name_in(outputs["scene"].parent, path)[1]
    if fault is not None:
        raise CryosamuError(
            f"{path}: no scene can open it, as {fault}; choose another name, or --no-chimerax."
        )


def can_be_opened(path: Path) -> bool:
    """Return whether a scene beside the file can open it by its name."""
    return _name_in(path.parent, path)[1] is None


def _name_in(folder: Path, path: Path) -> tuple[str, str | None]:
    """Return a file's path from the scene's folder, and why it cannot be opened, if it cannot."""
    # Of a file that is a link the link's own name counts: what it leads to may have no ending.
    target = Path(os.path.realpath(path.parent)) / path.name
    # "./" keeps a name such as 1abc or emdb:1 from being fetched from a database.
    name = "./" + Path(os.path.relpath(target, os.path.realpath(folder))).as_posix()
    if path.suffix in _COMPRESSED and not path.stem.endswith(_OPENED_COMPRESSED):
        return name, "ChimeraX opens no compressed maps and mmCIF files"
    if not _PLAIN_NAME.fullmatch(name):
        return name, "its name or folder holds signs that ChimeraX takes for commands or patterns"
    return name, None


def _drawn(enhanced: Enhanced, number: Mapping[str, int]) -> list[str]:
    """Return the commands that draw what was opened."""
    lines = []
    levels = matched_levels(enhanced.given, enhanced.volume, enhanced.structure, enhanced.contour)
    look = {
        "input": f"color {_INPUT_COLOUR} transparency 0.7",
        "enhanced": f"color {_OUTPUT_COLOUR}",
    }
    for place, role in enumerate(look):
        if role in number:
            level = "" if levels is None else f"level {levels[place]:.6g} "
            lines.append(f"volume #{number[role]} style surface step 1 {level}{look[role]}")
    if "confidence" in number:
        made, confidence = number["enhanced"], number["confidence"]
        lines += [
            f"volume #{confidence} hide",
            f"color sample #{made} map #{confidence} palette {_PALETTE}",
        ]
    if "model" in number:
        lines += [f"hide #{number['model']} atoms", f"cartoon #{number['model']}"]
    return lines


def matched_levels(
    given: Volume, made: Volume, structure: gemmi.Structure | None, contour: float | None = None
) -> tuple[float, float, float] | None:
    """Return a level of each map at which both enclose one volume, and that volume in Å³.

    Parameters
    ----------
    given, made
        Maps on one grid.
    contour
        Level recommended for the input, in its units. Without one the surfaces enclose the volume
        that the model takes by its mass or, without a model, what Otsu's threshold tells apart.

    Returns
    -------
    None where a map has no positive voxel.
    """
    voxel = float(np.prod(given.voxel_size))
    if contour is None and structure is not None:
        enclosed = molecular_volume(heavy_atoms(structure))
    else:
        level = outline_level(given.data) if contour is None else contour
        enclosed = float((given.data >= level).sum()) * voxel
    try:
        (first, second), enclosed = equal_volume_levels([given, made], enclosed)
    except MapError:
        return None
    return first, second, enclosed
