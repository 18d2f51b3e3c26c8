"""Planar cuts through maps, and one rule for their grey values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cryosamu.volume.volume import Volume

WHITE_PERCENTILE = 99.8
"""Of the voxels of the drawn box: what is white in every map's slices."""

BLACK_DEPTH = 0.25
"""Black is this share of the way from the median to white, below the median."""

_INCREASE = np.array([0.70, 0.16, 0.17])
_NEUTRAL = np.array([0.96, 0.96, 0.96])
_DECREASE = np.array([0.13, 0.33, 0.66])

_SPLINE_REACH = 16
"""Voxels beyond which a cubic spline's weight is below that of a float32's last digit."""


@dataclass(frozen=True)
class Plane:
    """A square cut at right angles to one axis of the map.

    Attributes
    ----------
    axis
        "x", "y" or "z".
    centre
        (x, y, z) in Å, model frame.
    extent
        Side in Å.
    pixels
        Side in pixels.
    """

    axis: str
    centre: NDArray[np.float64]
    extent: float
    pixels: int

    def positions(self) -> NDArray[np.float64]:
        """Return [pixels, pixels, 3] model-frame positions; row 0 has the highest coordinate."""
        steps = ((np.arange(self.pixels) + 0.5) / self.pixels - 0.5) * self.extent
        places = np.broadcast_to(self.centre, (self.pixels, self.pixels, 3)).copy()
        across, up = ("xyz".index(name) for name in in_plane_axes(self.axis))
        places[..., across] += steps[None, :]
        places[..., up] -= steps[:, None]
        return places


def in_plane_axes(axis: str) -> tuple[str, str]:
    """Return the names of the axes that run to the right and upwards in a cut."""
    return {"x": ("y", "z"), "y": ("x", "z"), "z": ("x", "y")}[axis]


def scaled(volume: Volume) -> Volume:
    """Return the map with its median at 0 and its white percentile at 1, not clipped."""
    black, white = np.percentile(volume.data, [50.0, WHITE_PERCENTILE])
    span = float(white - black) or 1.0
    return volume.with_data((volume.data - np.float32(black)) / np.float32(span))


def cut(volume: Volume, plane: Plane) -> NDArray[np.float64]:
    """Return values [pixels, pixels] by cubic splines; outside the map its edge is repeated."""
    grid = volume.to_grid(plane.positions())[..., ::-1].copy()
    # A spline's far voxels count next to nothing: those near the plane are enough.
    across = "zyx".index(plane.axis)
    last = volume.shape[across] - 1
    here = int(np.clip(np.rint(grid[0, 0, across]), 0, last))
    first = max(here - _SPLINE_REACH, 0)
    slab = [slice(None)] * 3
    slab[across] = slice(first, here + _SPLINE_REACH + 1)
    grid[..., across] -= first
    values = ndimage.map_coordinates(
        volume.data[tuple(slab)],
        np.moveaxis(grid, -1, 0),
        order=3,
        mode="nearest",
        output=np.float64,
    )
    return np.asarray(values)


def grey(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return opaque grey pixels uint8 [h, w, 4], black at -BLACK_DEPTH and white at 1."""
    level = np.clip((values + BLACK_DEPTH) / (1 + BLACK_DEPTH), 0, 1)[..., None]
    return _opaque(np.broadcast_to(level, (*values.shape, 3)))


def signed(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return pixels uint8 [h, w, 4]: blue at -1, near white at 0, red at 1 and beyond."""
    share = np.clip(np.abs(values), 0, 1)[..., None]
    end = np.where(values[..., None] > 0, _INCREASE, _DECREASE)
    return _opaque(_NEUTRAL + (end - _NEUTRAL) * share)


def _opaque(colours: NDArray[np.float64]) -> NDArray[np.uint8]:
    levels = np.asarray(np.rint(colours * 255), np.uint8)
    return np.concatenate([levels, np.full_like(levels[..., :1], 255)], axis=-1)
