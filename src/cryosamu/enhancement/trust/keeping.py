"""Keeping what the input clearly holds and the network may erase.

Networks trained on protein take ligands, glycans, lipids and nucleic acids for noise. Where the
input clearly holds density that the protein of the model does not explain and the enhanced map
dims, and where the enhanced map has erased what the input clearly holds, the enhanced map is
blended back towards the input.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gemmi
import numpy as np
import scipy.ndimage
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from cryosamu.enhancement.trust.clear_density import Solvent, blobs_in, clear_level
from cryosamu.enhancement.trust.gain import relative_gain, window_about
from cryosamu.evaluation.controls.kinds import kind_of
from cryosamu.volume.fourier import low_pass
from cryosamu.volume.volume import FloatArray, Volume

_ASSUMED_RESOLUTION = 6.0
"""Å, where none is told: the middle of what the networks are made for."""

_NYQUIST_MARGIN = 1.05
_EDGE = 0.2
"""Width of the low-pass filter's edge: a hard one rings."""
_REACH = 2.0
_REACH_RESOLUTIONS = 0.25
"""Protein explains density within 2 Å and a quarter of the resolution of its atoms."""

_COVERS = 0.5
"""Share of the clear density that no atom is near, above which the model is one of a part of the
map: what it does not reach may be protein, and is kept only where the network erased it."""

_ERASED = 0.5
"""Local gain of the enhanced map over the input, as a share of the median one, below which density
counts as erased."""

_DIMMED = 0.9
"""The same for what the protein does not explain: what stays as bright as the rest is left."""

_AT_ONCE = 1_000_000
"""Voxels whose nearest atoms are looked up at once."""

_PRIOR = 0.01
"""Weight of the whole map's scale against that of a place's surroundings."""

KINDS = ("protein", "unmodelled", "nucleic", "glycan", "ligand")


@dataclass(frozen=True)
class Kept:
    """An enhanced map with what it must not lose.

    Attributes
    ----------
    volume
        The very map that was given where nothing had to be kept.
    share
        Of the input's clear density, 0 to 1, that was blended back.
    record
        Plain JSON values; `sentence` says the same in words, lengths are in Å, the model's frame.
    """

    volume: Volume
    share: float
    record: dict[str, Any]


def kept(
    volume: Volume,
    enhanced: Volume,
    structure: gemmi.Structure | None = None,
    resolution: float | None = None,
    mask: Volume | None = None,
) -> Kept:
    """Blend an enhanced map back towards its input where that holds what must not be lost.

    Both maps are compared low-passed to the resolution. Clear is density above the contour and the
    solvent's noise, in blobs of the resolution's size (`clear_density`). Of it is kept, where the
    enhanced map shows it dimmer than the rest: what no protein atom is near (if the structure
    covers the map), and what lies nearer to other atoms than to protein. Kept too, whatever it is,
    is what the enhanced map has erased. The input comes back in the enhanced map's local scale,
    taken from the clear density round about that is not kept, and fades out over one resolution.

    Parameters
    ----------
    volume, enhanced
        On one grid.
    structure
        Fitted into the map, model frame; only erased density is kept without it.
    resolution
        Reported, Å. Where None, 6 Å are assumed and the input comes back with all its detail, else
        to this resolution.
    mask
        On the same grid, 0 to 1; nothing is kept outside, and less where it is below 1.
    """
    finest = 2 * _NYQUIST_MARGIN * max(volume.voxel_size)
    width = max(resolution or _ASSUMED_RESOLUTION, finest)
    before, after = (low_pass(one, width, _EDGE).data for one in (volume, enhanced))
    level, solvent = clear_level(volume, before, width)
    before = before - np.float32(solvent.mean)
    held, _ = blobs_in(before >= level - solvent.mean, volume, width)
    clear = held > 0
    if mask is not None:
        clear &= mask.data >= 0.5
    kinds = _kinds(clear, volume, structure, width)
    gain = relative_gain(before, after, clear, volume, width)
    lost = clear & (gain < _ERASED)
    foreign = (kinds > 0) & (gain < _DIMMED)
    unmodelled = kinds == KINDS.index("unmodelled")
    partial = structure is None or unmodelled.sum() > _COVERS * clear.sum()
    if partial:
        foreign &= ~unmodelled
    blobs, count = blobs_in(foreign | lost, volume, width)
    region = blobs > 0
    record = _record(volume, before, clear, blobs, count, kinds, solvent, level)
    if structure is not None and partial:
        record["sentence"] += " The model covers less than half of the map's density."
    if count == 0:
        return Kept(enhanced, 0.0, record)
    shown = before if resolution is not None else volume.data - np.float32(solvent.mean)
    weight, window = _weights(region, volume, width)
    if mask is not None:
        weight *= mask.data[window]
    scale = _local_scale(before, after, clear & ~region, volume, width, weight > 0, window)
    data = enhanced.data.copy()
    part = data[window]
    touched = weight > 0
    aim = scale * shown[window][touched]
    part[touched] += weight[touched] * (aim - part[touched])
    return Kept(enhanced.with_data(data), float(record["share_of_density"]), record)


def _kinds(
    clear: NDArray[np.bool_], volume: Volume, structure: gemmi.Structure | None, width: float
) -> NDArray[np.int8]:
    """Return the index in KINDS of what each clear voxel belongs to, int8 [nz, ny, nx]."""
    found = np.zeros(volume.shape, np.int8)
    unmodelled = KINDS.index("unmodelled")
    if structure is None:
        found[clear] = unmodelled
        return found
    kinds, positions = _atoms(structure)
    reach = _REACH + _REACH_RESOLUTIONS * width
    tree = cKDTree(positions)
    places = np.argwhere(clear)
    # The tree answers with the number of atoms where none is within reach.
    kinds = np.append(kinds, np.int8(unmodelled))
    for start in range(0, len(places), _AT_ONCE):
        some = places[start : start + _AT_ONCE]
        asked = volume.to_model_frame(some[:, ::-1].astype(np.float64))
        nearest = np.asarray(tree.query(asked, distance_upper_bound=reach)[1])
        found[tuple(some.T)] = kinds[nearest]
    return found


def _atoms(structure: gemmi.Structure) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    """Return kinds (indices in KINDS) and positions (Å) of all heavy atoms but waters'."""
    rows = [
        (KINDS.index(kind_of(site.residue)), *site.atom.pos.tolist())
        for site in structure[0].all()
        if not site.atom.is_hydrogen() and not site.residue.is_water()
    ]
    table = np.array(rows, np.float64).reshape(-1, 4)
    return table[:, 0].astype(np.int8), table[:, 1:]


def _weights(
    region: NDArray[np.bool_], volume: Volume, width: float
) -> tuple[FloatArray, tuple[slice, ...]]:
    """Return weights that fall from 1 in the region to 0 at `width` Å from it, and their window."""
    window = window_about(region, [width / size for size in reversed(volume.voxel_size)])
    distance = scipy.ndimage.distance_transform_edt(
        ~region[window], sampling=volume.voxel_size[::-1]
    )
    weight = np.cos(np.pi / 2 * np.minimum(distance / width, 1)) ** 2
    # Rounding leaves 4e-33 where there is nothing to blend.
    weight[distance >= width] = 0
    return weight.astype(np.float32), window


def _local_scale(
    before: FloatArray,
    after: FloatArray,
    round_about: NDArray[np.bool_],
    volume: Volume,
    width: float,
    wanted: NDArray[np.bool_],
    window: tuple[slice, ...],
) -> FloatArray:
    """Return the factor from input to enhanced map at the wanted voxels, [wanted].

    It is the ratio of root mean squares in the clear density round about. Least squares would
    shrink it by the correlation of the two, though density that is not alike is no weaker. Squares
    are summed in blocks of one resolution's edge, spread by a Gaussian of two, and divided; where
    nothing is round about, the whole map's factor stands.
    """
    if not round_about.any():
        round_about = np.ones_like(round_about)
    edges = [max(1, round(width / size)) for size in reversed(volume.voxel_size)]
    above, below = (
        _block_sums(np.where(round_about, one, 0) ** 2, edges) for one in (after, before)
    )
    whole = float(above.sum() / max(below.sum(), np.finfo(np.float64).tiny))
    prior = _PRIOR * float(below.max())
    above, below = (scipy.ndimage.gaussian_filter(one, 2.0) for one in (above, below))
    factor = np.sqrt((above + prior * whole) / (below + prior))
    starts = np.array([part.start for part in window])
    places = (np.argwhere(wanted) + starts + 0.5) / edges - 0.5
    scale = scipy.ndimage.map_coordinates(factor, places.T, order=1, mode="nearest")
    return np.asarray(scale, np.float32)


def _block_sums(data: FloatArray, edges: list[int]) -> NDArray[np.float64]:
    sums = data.astype(np.float64)
    for axis, edge in enumerate(edges):
        sums = np.add.reduceat(sums, np.arange(0, data.shape[axis], edge), axis=axis)
    return sums


def _record(
    volume: Volume,
    before: FloatArray,
    clear: NDArray[np.bool_],
    blobs: NDArray[np.int32],
    count: int,
    kinds: NDArray[np.int8],
    solvent: Solvent,
    level: float,
) -> dict[str, Any]:
    region = blobs > 0
    total = max(float(before[clear].sum(dtype=np.float64)), np.finfo(np.float64).tiny)
    by_kind = np.bincount(kinds[region], before[region], len(KINDS)) / total
    record: dict[str, Any] = {
        "level": level,
        "solvent": {"mean": solvent.mean, "deviation": solvent.deviation},
        "share_of_density": float(by_kind.sum()),
        "share_of_voxels": float(region.sum() / max(clear.sum(), 1)),
        "kinds": {kind: float(share) for kind, share in zip(KINDS, by_kind, strict=True) if share},
        "blobs": count,
        "largest": None,
        "sentence": "Nothing that the input clearly holds had to be kept.",
    }
    if count == 0:
        return record
    held = np.bincount(blobs[region], before[region])
    largest = blobs == int(held.argmax())
    peak = np.unravel_index(np.where(largest, before, -np.inf).argmax(), volume.shape)
    kind = KINDS[int(np.bincount(kinds[largest]).argmax())]
    place = [round(float(value), 1) for value in volume.to_model_frame(np.array(peak[::-1]))]
    size = float(largest.sum() * np.prod(volume.voxel_size))
    record["largest"] = {
        "peak": place,
        "volume": round(size, 1),
        "share_of_density": float(held.max() / total),
        "kind": kind,
    }
    told = ", ".join(f"{share:.1%} {kind}" for kind, share in record["kinds"].items())
    record["sentence"] = (
        f"{record['share_of_density']:.1%} of the input's clear density was kept by blending back "
        f"towards the input ({told}), in {count} blobs; the largest, {size:.0f} Å³ of {kind} "
        f"density, peaks at {', '.join(f'{value:.1f}' for value in place)} Å."
    )
    return record
