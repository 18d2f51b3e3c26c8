"""Bringing the values of a map into [0, 1] for the network, and the way back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cryosamu.errors import MapError
from cryosamu.volume import quantiles
from cryosamu.volume.volume import FloatArray, Volume


@dataclass(frozen=True)
class Normalised:
    """Voxels in [0, 1] and the value, in the map's own units, that became 1."""

    data: FloatArray
    scale: float


def normalise(volume: Volume, percentile: float = 99.999) -> Normalised:
    """Divide by a percentile of the positive voxels and clip to [0, 1], as CryoTEN does.

    Raises
    ------
    MapError
        When the map is constant or has no positive voxel.
    """
    require_contrast(volume)
    if not any((plane > 0).any() for plane in volume.data):
        raise MapError("the map has no positive voxel; is its contrast inverted?")
    scale = quantiles.percentile(volume.data, percentile, above=0)
    data = np.empty_like(volume.data)
    # Plane by plane: the second step then finds in cache what the first left.
    for plane, scaled in zip(volume.data, data, strict=True):
        np.divide(plane, np.float32(scale), out=scaled)
        np.clip(scaled, 0, 1, out=scaled)
    return Normalised(data, scale)


def require_contrast(volume: Volume) -> None:
    """Refuse a constant map; to be asked of a map as read, since resampling adds rounding.

    Raises
    ------
    MapError
        When all voxels have one value.
    """
    first = volume.data[0, 0, 0]
    if all((plane == first).all() for plane in volume.data):
        raise MapError("the map is constant: there is no density to work on.")
