"""Does the model lie in the map? Asked before a map is enhanced with it.

The model's density is correlated with the map over the voxels near the model, where it lies and
turned about its centre in many ways (`cryosamu.structure.pose`, as the data set's filter
`alignment` does): a model that is the map's stands far above its own turns, whatever the map's
quality; another protein's, or a turned one, is one among them. The bounds come from 23 parts of
real EMDB maps (`docs/keeping.md`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import gemmi
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from cryosamu.enhancement.checks.input_checks import Finding
from cryosamu.errors import MapError, ModelError
from cryosamu.preparation import MINIMUM_INSIDE, fraction_inside
from cryosamu.structure.model import Atoms, heavy_atoms
from cryosamu.structure.motion import RigidMotion
from cryosamu.structure.pose import Pose, PoseSearch, significance
from cryosamu.volume.io import read_map
from cryosamu.volume.volume import Volume

_ASSUMED_RESOLUTION = 6.0
"""Å, where none is told: the middle of what the networks are made for."""

_NYQUIST_MARGIN = 1.05

_STANDS_OUT = 6.0
"""Deviations above its own turns from which a model is the map's; the poorest right one has 9.9,
the best of the turned and foreign ones 3.9."""

_MISPLACED = 3.5
"""Å from its best place from which a model is refused; EMD-1044 was deposited 2.3 Å away."""

_WORTH_TELLING = 1.5
"""Å from which it is told."""

_SIGNIFICANT = 22.5
"""Bound of the likelihood ratio: chance passes it once in a thousand (χ², six degrees)."""

_TURN_ASIDE = Rotation.from_rotvec([0.35, 0.61, 0.83])
"""No turn of the icosahedral group is left at nothing, or on a coordinate axis."""

_NORMAL = 1.4826
"""Standard deviation over median absolute deviation, of normal values."""


@dataclass(frozen=True)
class _Misfit:
    """What is wrong with a model.

    Attributes
    ----------
    value
        What was measured: Å, or deviations above chance.
    what
        The end of a sentence that begins with the model's name.
    advice
        What to do about it.
    """

    value: float
    what: str
    advice: str
    refused: bool = True


def check_fit(
    volume: Volume,
    structure: gemmi.Structure,
    resolution: float | None,
    forced: bool,
    map_name: str,
    model_name: str,
) -> list[Finding]:
    """Refuse a model that does not fit the map, or say so where it is forced.

    Parameters
    ----------
    volume, structure
        In one frame, as the model's file says.
    resolution
        Reported, Å; 6 Å where None.
    forced
        Makes a warning of what would be refused.
    map_name, model_name
        For the sentences.

    Returns
    -------
    Nothing for a model that fits; else one finding of the kind `fit`, whose value is the distance
    in Å to where the model fits, or how many deviations it stands above chance, or the share of
    its atoms in the box.

    Raises
    ------
    MapError
        When the map is constant.
    ModelError
        When the model lies outside the box, elsewhere in the map, fits the map's mirror image, or
        fits no better than turned at random; unless forced.
    """
    atoms = heavy_atoms(structure)
    if len(atoms.positions) == 0:
        raise ModelError(f"{model_name}: has no atoms but hydrogens and waters.")
    try:
        misfit = _misfit(volume, atoms, resolution)
    except MapError as error:
        raise MapError(f"{map_name}: {error}") from error
    if misfit is None:
        return []
    sentence = f"{model_name}: {misfit.what.format(map=map_name)}; {misfit.advice}."
    if misfit.refused and not forced:
        raise ModelError(sentence)
    return [Finding("fit", misfit.value, sentence)]


def _misfit(volume: Volume, atoms: Atoms, resolution: float | None) -> _Misfit | None:
    if (inside := fraction_inside(atoms, volume)) < MINIMUM_INSIDE:
        centre, middle = (
            ", ".join(f"{value:.0f}" for value in place)
            for place in (atoms.positions.mean(axis=0), _middle(volume))
        )
        return _Misfit(
            inside,
            f"only {inside:.0%} of its atoms lie inside {{map}} (it is centred at {centre} Å, the "
            f"map at {middle} Å)",
            "fit the model into this map first",
        )
    finest = _NYQUIST_MARGIN * 2 * max(volume.voxel_size)
    search = PoseSearch(volume, atoms, max(resolution or _ASSUMED_RESOLUTION, finest))
    here = search.likeness.at(RigidMotion())
    turned = _turned(search)
    if (mirror := _mirror_image(search, volume, here, turned)) is not None:
        return mirror
    if _above_chance(here, turned) >= _STANDS_OUT:
        return _moved(search.nearest)
    there = RigidMotion.about(search.centre, np.eye(3), search.translation)
    seen = _above_chance(search.likeness.roughly(there), turned) >= _STANDS_OUT
    # A second climb costs a second, and from where nothing is to be seen leads nowhere.
    pose = search.best() if seen else search.nearest
    if pose.significance >= _SIGNIFICANT and (
        _above_chance(pose.correlation_best, turned) >= _STANDS_OUT
    ):
        return _moved(pose)
    return _Misfit(
        _above_chance(here, turned),
        f"does not fit {{map}} where it lies, nor near by: its correlation there of {here:.2f} is "
        f"what turning it at random gives ({np.median(turned):.2f} ± {_deviation(turned):.2f})",
        "give the model of this map, fitted into it, or leave the model out",
    )


def _turned(search: PoseSearch) -> NDArray[np.float64]:
    """Return the correlations after 60 turns about the centre, evenly spread, none of them small.

    Of a symmetric model a few may be turns onto itself; median and deviation do not mind.
    """
    turns = (_TURN_ASIDE * Rotation.create_group("I")).as_matrix()
    return np.array(
        [
            search.likeness.roughly(RigidMotion.about(search.centre, turn, np.zeros(3)))
            for turn in turns
        ]
    )


def _deviation(turned: NDArray[np.float64]) -> float:
    return _NORMAL * float(np.median(np.abs(turned - np.median(turned))))


def _above_chance(correlation: float, turned: NDArray[np.float64]) -> float:
    spread = max(_deviation(turned), np.finfo(np.float64).tiny)
    return (correlation - float(np.median(turned))) / spread


def _moved(pose: Pose) -> _Misfit | None:
    if pose.displacement < _WORTH_TELLING or pose.significance < _SIGNIFICANT:
        return None
    way = ", ".join(f"{part:.1f}" for part in pose.shift)
    return _Misfit(
        pose.displacement,
        f"lies {pose.displacement:.1f} Å from where it fits {{map}} best (correlation "
        f"{pose.correlation_deposited:.2f}, and {pose.correlation_best:.2f} after moving it by "
        f"{way} Å)",
        "fit it there first, for instance with ChimeraX's fitmap",
        refused=pose.displacement >= _MISPLACED,
    )


def _mirror_image(
    search: PoseSearch, volume: Volume, here: float, turned: NDArray[np.float64]
) -> _Misfit | None:
    """Try the model in the box's mirror images: a map of the wrong hand is flipped in its box."""
    middle = _middle(volume)
    flips = [np.diag(signs) for signs in ([-1, 1, 1], [1, -1, 1], [1, 1, -1], [-1, -1, -1])]
    best = max(
        search.likeness.roughly(RigidMotion.about(middle, np.asarray(flip, float), np.zeros(3)))
        for flip in flips
    )
    gain = significance(here, best, search.resolved_volumes)
    if gain < _SIGNIFICANT or _above_chance(best, turned) < _STANDS_OUT:
        return None
    return _Misfit(
        best,
        f"fits the mirror image of {{map}} (correlation {best:.2f}) and not the map itself "
        f"({here:.2f}): the map has the wrong hand",
        "flip the map along one axis",
    )


def _middle(volume: Volume) -> NDArray[np.float64]:
    return volume.to_model_frame((np.array(volume.shape[::-1]) - 1) / 2)


def read_mask(path: Path | str, volume: Volume) -> Volume:
    """Read a mask on the grid of its map: 1 where to enhance, 0 where not, soft edges between.

    Parameters
    ----------
    volume
        The map that the mask is of.

    Raises
    ------
    MapError
        When it cannot be read, lies on another grid, leaves 0 to 1, or is empty.
    """
    return check_mask(read_map(path), volume, str(path))


def check_mask(mask: Volume, volume: Volume, name: str) -> Volume:
    """Return a mask, 0 to 1, in the frame of its map.

    Parameters
    ----------
    name
        What the mask is called in a sentence.

    Raises
    ------
    MapError
        As `read_mask`.
    """
    if mask.shape != volume.shape:
        raise MapError(
            f"{name}: has {_by(mask)} voxels and the map {_by(volume)}; resample the mask on the "
            "map's grid."
        )
    edges = np.array(volume.voxel_size)
    # Half a voxel over the whole box, and a tenth at its corner: more shifts the mask visibly.
    off = np.abs(np.array(mask.box) - volume.box)
    away = np.abs(np.array(mask.origin) - volume.origin)
    if (off > edges / 2).any() or (away > edges / 10).any():
        raise MapError(
            f"{name}: has another voxel size or origin ({_frame(mask)}) than the map "
            f"({_frame(volume)}); resample the mask on the map's grid."
        )
    low, high = float(mask.data.min()), float(mask.data.max())
    if low < -_MASK_TOLERANCE or high > 1 + _MASK_TOLERANCE:
        raise MapError(
            f"{name}: holds values from {low:g} to {high:g}, and a mask goes from 0 to 1; is it "
            "a map?"
        )
    if high < 0.5:
        raise MapError(f"{name}: is empty, no voxel reaches 0.5; there is nothing to enhance.")
    return volume.with_data(np.clip(mask.data, 0, 1))


_MASK_TOLERANCE = 1e-3
"""By which interpolated masks overshoot."""


def _by(volume: Volume) -> str:
    return " x ".join(str(count) for count in reversed(volume.shape))


def _frame(volume: Volume) -> str:
    size, origin = (
        ", ".join(f"{value:.4g}" for value in values)
        for values in (volume.voxel_size, volume.origin)
    )
    return f"voxels of {size} Å from {origin} Å"
