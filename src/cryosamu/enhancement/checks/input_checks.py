"""What can be seen in a map before it is enhanced, said in plain words.

Each check measures one thing and, where that is out of the ordinary, returns a sentence: what was
seen and what it means. None refuses a map. The bounds come from 23 parts of real EMDB maps
(`docs/input_checks.md`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import scipy.fft

from cryosamu.enhancement.checks.middle import density_of_middle
from cryosamu.structure.density import gaussian_sigma, simulate_density
from cryosamu.structure.model import Atoms
from cryosamu.volume.fourier import low_pass, spatial_frequency_squared
from cryosamu.volume.grid import grid_shape, resample
from cryosamu.volume.quantiles import percentile
from cryosamu.volume.volume import FloatArray, Volume

Kind = Literal[
    "resolution",
    "size",
    "contrast",
    "masked",
    "sharpened",
    "hollow",
    "voxel_size",
    "mass",
    "fit",
    "place",
    "unfiltered",
    "local_resolution",
]

MEANT_FOR = (4.0, 8.0)
"""Reported resolution that the networks are made for, Å."""

_EQUAL_SHARE = 0.3
_TAIL_RATIO = 1.5
_OVERSHARPENED = 0.0
_SMALLEST_EDGES = 4.0
_APART_VOXELS = 0.5
_HOLLOW_RATIO = 0.25
_SCALES = np.linspace(0.9, 1.1, 21)
_SCALE_OFF = 0.03
_SCALE_GAIN = 0.03
_ENOUGH_VOXELS = 200**3


@dataclass(frozen=True)
class Finding:
    """Something that was seen in the input.

    Attributes
    ----------
    kind
        Which check saw it.
    value
        What was measured; its meaning and unit are the check's.
    sentence
        What was seen and what it means, for the user.
    """

    kind: Kind
    value: float
    sentence: str


def check_input(
    volume: Volume,
    resolution: float | None = None,
    atoms: Atoms | None = None,
) -> list[Finding]:
    """Return what a user should know of a map before believing what is made of it.

    Parameters
    ----------
    volume
        The map as read.
    resolution
        Reported resolution, Å; what needs it is left out without it.
    atoms
        Of a model fitted into the map, in the model frame; what needs them is left out without.
    """
    if volume.data.min() == volume.data.max():
        return []
    thinned = _thinned(volume)
    findings = [_place(volume), _contrast(thinned), _masked(thinned), _hollow(thinned)]
    if resolution is not None:
        findings += [
            _resolution(resolution),
            _size(volume, resolution),
            _sharpened(volume, resolution),
        ]
        if atoms is not None and len(atoms.positions):
            findings.append(_voxel_size(volume, resolution, atoms))
    return [finding for finding in findings if finding is not None]


def _thinned(volume: Volume) -> Volume:
    """Return every nth voxel of a large map: its statistics need no more."""
    step = math.ceil((volume.data.size / _ENOUGH_VOXELS) ** (1 / 3))
    x, y, z = (step * size for size in volume.voxel_size)
    return Volume(volume.data[::step, ::step, ::step], (x, y, z), volume.origin)


def _middle(volume: Volume) -> Volume:
    """Return the middle of a large map, for its spectrum; the place in space is not kept."""
    edge = round(_ENOUGH_VOXELS ** (1 / 3))
    cut = tuple(slice(max((n - edge) // 2, 0), max((n + edge) // 2, edge)) for n in volume.shape)
    return Volume(np.ascontiguousarray(volume.data[cut]), volume.voxel_size)


def _place(volume: Volume) -> Finding | None:
    """Note a header whose origin words and nstart put the map in two places."""
    if volume.frame is None or volume.origin != volume.frame.origin:
        return None
    start = dict(zip(volume.frame.axis_order, volume.frame.nstart, strict=True))
    other = [start[axis] * size for axis, size in zip((1, 2, 3), volume.voxel_size, strict=True)]
    apart = float((np.abs(np.subtract(volume.origin, other)) / volume.voxel_size).max())
    if apart <= _APART_VOXELS:
        return None
    here, there = (
        ", ".join(f"{length:.1f}" for length in place) for place in (volume.origin, other)
    )
    return Finding(
        "place",
        apart,
        f"the header's origin places the map at {here} Å and its nstart at {there} Å: here, and in "
        "ChimeraX as .mrc, the origin counts, in ChimeraX as .map and in gemmi nstart, so that a "
        "model fitted in one may lie elsewhere in the other.",
    )


def _resolution(resolution: float) -> Finding | None:
    finest, coarsest = MEANT_FOR
    if finest <= resolution <= coarsest:
        return None
    meaning = (
        "such maps show more than the network knows of, and may lose detail"
        if resolution < finest
        else "such maps hold too little for it, and what it adds is guessed"
    )
    return Finding(
        "resolution",
        resolution,
        f"the reported resolution of {resolution:g} Å lies outside the {finest:g}-{coarsest:g} Å "
        f"that the network is made for: {meaning}.",
    )


def _size(volume: Volume, resolution: float) -> Finding | None:
    edges = min(volume.box) / resolution
    if edges >= _SMALLEST_EDGES:
        return None
    return Finding(
        "size",
        edges,
        f"the shortest edge of the box is {min(volume.box):.0f} Å, {edges:.1f} times the "
        "resolution: there is too little around each voxel for the network to judge by.",
    )


def _contrast(volume: Volume) -> Finding | None:
    """Protein is the bright tail of a map; the value is the dark tail over the bright one."""
    low, middle, high = (percentile(volume.data, share) for share in (0.1, 50, 99.9))
    ratio = (middle - low) / max(high - middle, float(np.finfo(np.float32).tiny))
    if ratio <= _TAIL_RATIO:
        return None
    return Finding(
        "contrast",
        ratio,
        f"the map's dark tail is {ratio:.1f} times as long as its bright one: the contrast looks "
        "inverted, and protein must be bright. Multiply the map by -1 if so.",
    )


def _masked(volume: Volume) -> Finding | None:
    """The value is the share of voxels that hold exactly the most frequent value."""
    values, counts = np.unique(volume.data, return_counts=True)
    most = int(counts.argmax())
    share = float(counts[most] / volume.data.size)
    if share < _EQUAL_SHARE:
        return None
    return Finding(
        "masked",
        share,
        f"{share:.0%} of the voxels hold exactly {values[most]:g}: the map was masked or boxed. "
        "Density outside the mask is lost, and figures over the whole box flatter such maps.",
    )


def _sharpened(volume: Volume, resolution: float) -> Finding | None:
    """The value is the B factor (Å²) of the map's own fall-off between 10 Å and the resolution.

    Amplitudes of a map that nobody sharpened fall off with a B of 100 Å² and more (Rosenthal &
    Henderson 2003, Guinier plot); a B below zero means that they rise.
    """
    finest = max(resolution, 2.1 * max(volume.voxel_size))
    if finest > 8:
        return None
    part = _middle(volume)
    squared = spatial_frequency_squared(part)
    intensity = np.abs(scipy.fft.rfftn(part.data)) ** 2
    shells = np.digitize(np.sqrt(squared), np.linspace(1 / 10, 1 / finest, 11))
    filled = [shell for shell in range(1, 11) if (shells == shell).any()]
    logarithms = [np.log(max(intensity[shells == shell].mean(), 1e-30)) for shell in filled]
    if len(filled) < 5:
        return None
    b_factor = -2 * float(
        np.polyfit([squared[shells == shell].mean() for shell in filled], logarithms, 1)[0]
    )
    if b_factor >= _OVERSHARPENED:
        return None
    return Finding(
        "sharpened",
        b_factor,
        f"amplitudes rise towards {resolution:g} Å (B = {b_factor:.0f} Å²): the map was sharpened "
        "more than its resolution carries, and noise is enhanced with it. Give the map as it was "
        "before sharpening.",
    )


def _hollow(volume: Volume) -> Finding | None:
    ratio = density_of_middle(volume)
    if ratio is None or ratio >= _HOLLOW_RATIO:
        return None
    return Finding(
        "hollow",
        ratio,
        f"the middle of the map holds {ratio:.0%} of the density of the shell around it: the "
        "particle is hollow, or its inside was masked away. The network knows full proteins; what "
        "it makes of faint density inside is not to be believed.",
    )


def _voxel_size(volume: Volume, resolution: float, atoms: Atoms) -> Finding | None:
    """The value is the factor on the voxel size at which model and map correlate best.

    The model is scaled about its centre, and the correlation taken over the same voxels for every
    scale: those near the model at its own size and at the largest.
    """
    finest = max(resolution, MEANT_FOR[0])
    coarse = resample(volume, grid_shape(volume, finest / 2))
    smooth = low_pass(coarse, finest).data

    def model(scale: float) -> FloatArray:
        centre = atoms.positions.mean(axis=0)
        scaled = replace(atoms, positions=centre + (atoms.positions - centre) * scale)
        return simulate_density(scaled, coarse, gaussian_sigma(finest, "chimerax")).data

    near = (model(1.0) > 0) | (model(float(_SCALES[-1])) > 0)
    if not near.any():
        return None
    found = [float(np.corrcoef(smooth[near], model(scale)[near])[0, 1]) for scale in _SCALES]
    here, best = found[len(found) // 2], float(_SCALES[int(np.argmax(found))])
    if abs(best - 1) < _SCALE_OFF or max(found) - here < _SCALE_GAIN:
        return None
    return Finding(
        "voxel_size",
        1 / best,
        f"the model fits better when it is scaled by {best:.2f} (correlation {max(found):.2f} "
        f"instead of {here:.2f}): the map's voxel size may be wrong, and "
        f"{volume.voxel_size[0] / best:.3f} Å instead of {volume.voxel_size[0]:.3f} Å right.",
    )
