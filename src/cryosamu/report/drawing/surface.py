"""The isosurface of a map as a camera sees it, by casting one ray a pixel.

Empty space is skipped by the distance to the nearest voxel above the level (sphere tracing);
the crossing itself is found on the trilinear interpolant and polished, with its normal, on the
cubic spline, which hides the grid.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cryosamu.report.drawing.camera import Camera
from cryosamu.volume.volume import Volume

_FINE_STEP = 0.35
"""Step near the surface, in voxels."""

_REACH = 1.5 * np.sqrt(3.0)
"""A point of the trilinear surface is within this many voxels of a voxel above the level."""


@dataclass(frozen=True)
class Seen:
    """What a camera sees in each pixel.

    Attributes
    ----------
    depth
        float64 [pixels, pixels]: Å towards the viewer from the camera's centre; NaN where the
        ray meets nothing.
    normals
        float64 [pixels, pixels, 3]: unit normals as (right, up, towards).
    labels
        int64 [pixels, pixels]: which of several things is seen; 0 for a single surface.
    """

    depth: NDArray[np.float64]
    normals: NDArray[np.float64]
    labels: NDArray[np.int64]


def cast_rays(volume: Volume, level: float, camera: Camera) -> Seen:
    """Return the surface where the map first reaches `level` along each ray of the camera."""
    field = _padded(volume)
    right, up = camera.pixel_centres()
    reach = 0.5 * float(np.linalg.norm(field.box)) + float(
        np.linalg.norm(camera.to_view(_middle(field)))
    )
    depth = _first_crossing(field, level, camera, right.ravel(), up.ravel(), reach)
    hit = np.flatnonzero(np.isfinite(depth))
    spline = ndimage.spline_filter(field.data, order=3, output=np.float32)
    positions = camera.to_model_frame(np.stack([right.flat[hit], up.flat[hit], depth[hit]], -1))
    values, gradients = _spline_values(field, spline, positions)
    slope = gradients @ camera.rotation[2]
    # One Newton step along the ray, no longer than the step that found the crossing.
    limit = _FINE_STEP * min(field.voxel_size)
    safe = np.where(np.abs(slope) < 1e-12, np.inf, slope)
    depth[hit] += np.clip((level - values) / safe, -limit, limit)
    normals = np.zeros((depth.size, 3))
    lengths = np.linalg.norm(gradients, axis=1, keepdims=True)
    normals[hit] = -(gradients @ camera.rotation.T) / np.maximum(lengths, 1e-30)
    size = camera.pixels
    return Seen(
        depth.reshape(size, size),
        normals.reshape(size, size, 3),
        np.zeros((size, size), np.int64),
    )


def _padded(volume: Volume) -> Volume:
    """Return the map within one more voxel of its lowest value, which closes every surface."""
    data = np.pad(volume.data, 1, constant_values=float(volume.data.min()))
    origin = volume.to_model_frame(np.array([-1.0, -1.0, -1.0]))
    return Volume(data, volume.voxel_size, (origin[0], origin[1], origin[2]))


def _middle(volume: Volume) -> NDArray[np.float64]:
    return volume.to_model_frame((np.array(volume.shape[::-1]) - 1) / 2)


def _first_crossing(
    field: Volume,
    level: float,
    camera: Camera,
    right: NDArray[np.float64],
    up: NDArray[np.float64],
    reach: float,
) -> NDArray[np.float64]:
    """Return the depth in Å of the first trilinear crossing of each ray, NaN where there is none.

    Parameters
    ----------
    right, up
        [rays], Å.
    reach
        Rays run from +reach to -reach Å.
    """
    voxel, lowest = min(field.voxel_size), float(field.data.min())
    clear = ndimage.distance_transform_edt(field.data < level, sampling=field.voxel_size[::-1])
    clear = np.maximum(clear - _REACH * max(field.voxel_size), 0).astype(np.float32)
    depth = np.full(right.size, np.nan)
    active = np.arange(right.size)
    here = np.full(right.size, reach)
    before = np.full(right.size, -np.inf)
    while active.size:
        view = np.stack([right[active], up[active], here], axis=-1)
        grid = field.to_grid(camera.to_model_frame(view))[:, ::-1].T
        value = ndimage.map_coordinates(
            field.data, grid, order=1, mode="constant", cval=lowest
        ).astype(np.float64)
        found = value >= level
        # Linear interpolation within the last step; a ray that came by a jump has before = -inf
        # and is taken to cross here.
        share = (value[found] - level) / (value[found] - before[found])
        depth[active[found]] = here[found] + share * _FINE_STEP * voxel
        jump = _clearance(field, clear, grid) + _FINE_STEP * voxel
        here = here - jump
        # A value is a neighbour's only if the next step is a fine one.
        before = np.where(jump <= _FINE_STEP * voxel, value, -np.inf)
        alive = ~found & (here > -reach)
        active, here, before = active[alive], here[alive], before[alive]
    return depth


def _clearance(
    field: Volume, clear: NDArray[np.float32], grid: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return how far in Å a ray may jump from grid points [3, rays] (z, y, x)."""
    limits = np.array(field.shape)[:, None] - 1
    inside = np.clip(np.rint(grid), 0, limits).astype(np.int64)
    outside = (np.abs(grid - inside) * np.array(field.voxel_size[::-1])[:, None]).max(axis=0)
    # Outside the box a ray may also go as far as it is away from the box.
    free = np.maximum(clear[tuple(inside)], outside - max(field.voxel_size))
    return np.asarray(free, np.float64)


def _spline_values(
    field: Volume, spline: NDArray[np.float32], positions: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return values [points] and gradients [points, 3] (x, y, z, 1/Å) of the cubic spline."""

    def value_at(places: NDArray[np.float64]) -> NDArray[np.float64]:
        grid = field.to_grid(places)[:, ::-1].T
        found = ndimage.map_coordinates(spline, grid, order=3, prefilter=False, mode="nearest")
        return np.asarray(found, np.float64)

    gradients = np.empty_like(positions)
    for axis, step in enumerate(field.voxel_size):
        shift = np.zeros(3)
        shift[axis] = 0.5 * step
        gradients[:, axis] = (value_at(positions + shift) - value_at(positions - shift)) / step
    return value_at(positions), gradients
