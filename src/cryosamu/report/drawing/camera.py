"""The viewpoint that every picture of one molecule shares."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

AZIMUTH_DEGREES = -30.0
"""Turn of the molecule about the map's z axis before it is looked at."""

ELEVATION_DEGREES = 22.0
"""Height of the viewer above the plane of the map's x and y axes."""


@dataclass(frozen=True)
class Camera:
    """A parallel projection onto a square picture.

    Attributes
    ----------
    centre
        What is in the middle of the picture: (x, y, z) in Å, model frame.
    rotation
        float64 [3, 3]: rows are the picture's right, up and towards-the-viewer directions.
    extent
        Side of the picture in Å.
    pixels
        Side of the picture in pixels.
    """

    centre: NDArray[np.float64]
    rotation: NDArray[np.float64]
    extent: float
    pixels: int

    @property
    def pixel_size(self) -> float:
        """Å a pixel."""
        return self.extent / self.pixels

    def to_view(self, positions: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return (right, up, towards) in Å from the centre of model-frame positions [..., 3]."""
        return np.asarray((positions - self.centre) @ self.rotation.T, np.float64)

    def to_model_frame(self, view: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return model-frame positions (x, y, z) in Å of view coordinates [..., 3]."""
        return np.asarray(view @ self.rotation + self.centre, np.float64)

    def pixel_centres(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return (right, up) in Å of all pixels, each [pixels, pixels]; row 0 is the top."""
        steps = (np.arange(self.pixels) + 0.5) * self.pixel_size - self.extent / 2
        right, up = np.meshgrid(steps, -steps)
        return right, up


def view_of(positions: NDArray[np.floating], margin: float, pixels: int) -> Camera:
    """Return the fixed oblique view that holds `positions` [n, 3] (Å) and `margin` Å around."""
    azimuth, elevation = math.radians(AZIMUTH_DEGREES), math.radians(ELEVATION_DEGREES)
    right = np.array([math.cos(azimuth), math.sin(azimuth), 0.0])
    backwards = np.array([-math.sin(azimuth), math.cos(azimuth), 0.0])
    up = math.cos(elevation) * np.array([0.0, 0.0, 1.0]) + math.sin(elevation) * backwards
    rotation = np.stack([right, up, np.cross(right, up)])
    turned = positions @ rotation.T
    low, high = turned.min(axis=0), turned.max(axis=0)
    extent = float((high - low)[:2].max() + 2 * margin)
    return Camera((low + high) / 2 @ rotation, rotation, extent, pixels)
