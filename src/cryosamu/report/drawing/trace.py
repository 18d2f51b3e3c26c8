"""The backbone of a model as a smooth tube through its Cα atoms."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from cryosamu.report.drawing.camera import Camera
from cryosamu.report.drawing.surface import Seen
from cryosamu.structure.model import ProteinChain

TUBE_RADIUS = 0.9
"""Å."""

_LONGEST_BOND = 4.3
"""Å between Cα atoms; two that are further apart are not joined (a gap in the model)."""

_CA = 1


def backbone_pieces(chains: list[ProteinChain]) -> list[tuple[int, NDArray[np.float64]]]:
    """Return the unbroken runs of Cα atoms: (chain's place in the list, [atoms, 3] Å)."""
    pieces = []
    for place, chain in enumerate(chains):
        atoms = chain.backbone[chain.observed, _CA].astype(np.float64)
        gaps = np.linalg.norm(np.diff(atoms, axis=0), axis=1) > _LONGEST_BOND
        pieces += [(place, run) for run in np.split(atoms, np.flatnonzero(gaps) + 1) if len(run)]
    return pieces


def smooth_path(atoms: NDArray[np.float64], spacing: float) -> NDArray[np.float64]:
    """Return points about `spacing` Å apart on the natural cubic spline through `atoms` [n, 3]."""
    if len(atoms) < 2:
        return atoms
    lengths = np.linalg.norm(np.diff(atoms, axis=0), axis=1)
    knots = np.concatenate([[0.0], np.cumsum(lengths)])
    # A spline through a curved chain is longer than its chords; 20 % covers a helix.
    count = max(2, int(np.ceil(1.2 * knots[-1] / spacing)))
    spline = CubicSpline(knots, atoms, bc_type="natural")
    return np.asarray(spline(np.linspace(0.0, knots[-1], count)), np.float64)


def draw_tubes(
    pieces: list[tuple[int, NDArray[np.float64]]], camera: Camera, radius: float = TUBE_RADIUS
) -> Seen:
    """Return tubes along (chain, path [n, 3] in Å) as the camera sees them; `labels` are chains.

    Each tube is a dense row of spheres; the nearest sphere wins each pixel.
    """
    radius = max(radius, 1.2 * camera.pixel_size)
    paths = [(place, smooth_path(run, radius / 6)) for place, run in pieces]
    centres = camera.to_view(np.concatenate([path for _, path in paths]))
    owners = np.concatenate([np.full(len(path), place) for place, path in paths])
    pixel, depth, normal, owner = _splat(centres, owners, camera, radius)
    order = np.lexsort((depth, pixel))
    last = np.flatnonzero(np.diff(pixel[order], append=-1))
    nearest = order[last]
    size = camera.pixels
    seen = Seen(
        np.full((size, size), np.nan), np.zeros((size, size, 3)), np.zeros((size, size), np.int64)
    )
    seen.depth.flat[pixel[nearest]] = depth[nearest]
    seen.normals.reshape(-1, 3)[pixel[nearest]] = normal[nearest]
    seen.labels.flat[pixel[nearest]] = owner[nearest]
    return seen


def _splat(
    centres: NDArray[np.float64],
    owners: NDArray[np.int64],
    camera: Camera,
    radius: float,
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Return, for each pixel of each sphere, its index, depth, normal [n, 3] and owner."""
    size, step = camera.pixels, camera.pixel_size
    column = (centres[:, 0] + camera.extent / 2) / step - 0.5
    row = (camera.extent / 2 - centres[:, 1]) / step - 0.5
    reach = int(np.ceil(radius / step))
    steps = range(-reach, reach + 1)
    parts = []
    for down, along in product(steps, steps):
        i, j = np.rint(row).astype(np.int64) + down, np.rint(column).astype(np.int64) + along
        x, y = (j - column) * step / radius, (row - i) * step / radius
        inside = (x**2 + y**2 < 1) & (i >= 0) & (i < size) & (j >= 0) & (j < size)
        x, y = x[inside], y[inside]
        z = np.sqrt(1 - x**2 - y**2)
        parts.append(
            (
                i[inside] * size + j[inside],
                centres[inside, 2] + radius * z,
                np.stack([x, y, z], axis=-1),
                owners[inside],
            )
        )
    pixel, depth, normal, owner = (np.concatenate(column) for column in zip(*parts, strict=True))
    return pixel, depth, normal, owner
