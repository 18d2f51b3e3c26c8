"""What is done to the network's answer: what must not be lost is kept, symmetry put back."""

from __future__ import annotations

from typing import Any

from cryosamu.enhancement.sources import Sources
from cryosamu.enhancement.trust.keeping import kept
from cryosamu.errors import CryosamuError
from cryosamu.volume.symmetry import Symmetry, correlation_under, find_symmetry, symmetrised
from cryosamu.volume.volume import Volume


def symmetry_of(sources: Sources, name: str | None) -> Symmetry | None:
    """Return where the map has the point group; None where none is asked for.

    Raises
    ------
    CryosamuError
        When the group is not known, or the map does not have it.
    """
    if name is None:
        return None
    try:
        return find_symmetry(sources.volume, name)
    except CryosamuError as error:
        raise CryosamuError(f"{sources.map_name}: {error}") from error


def finished(
    answer: Volume, sources: Sources, keep: bool, group: Symmetry | None, resolution: float | None
) -> tuple[Volume, dict[str, Any]]:
    """Return the map that is handed out, and JSON values of what was done to it.

    The symmetry comes after the keeping, which follows a model that need not be symmetric.

    Parameters
    ----------
    keep
        Whether what the input clearly holds and the network lost, or the model does not explain,
        is blended back.
    group
        The symmetry that is put back; None for none.
    """
    result, keeping = answer, None
    if keep:
        back = kept(sources.volume, answer, sources.structure, resolution, sources.mask)
        result, keeping = back.volume, back.record
    if group is None:
        return result, {"keeping": keeping, "symmetry": None}
    symmetric = symmetrised(result, group)
    return symmetric, {
        "keeping": keeping,
        "symmetry": {
            "name": group.name,
            "centre": group.centre,
            "correlation_of_input": correlation_under(sources.volume, group),
            "correlation_before": correlation_under(result, group),
            "correlation": correlation_under(symmetric, group),
        },
    }
