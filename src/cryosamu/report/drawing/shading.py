"""Light on what a camera sees: pixels with colour and transparency."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cryosamu.report.drawing.camera import Camera
from cryosamu.report.drawing.surface import Seen

_LIGHT = np.array([-0.42, 0.58, 0.70]) / np.linalg.norm([-0.42, 0.58, 0.70])
_FILL_LIGHT = np.array([0.75, -0.15, 0.45]) / np.linalg.norm([0.75, -0.15, 0.45])
_HOLLOWS = ((1.5, 0.45), (5.0, 0.40))
"""(radius in Å, strength) of the darkening of hollows."""


def shade(seen: Seen, colours: NDArray[np.float64], camera: Camera) -> NDArray[np.uint8]:
    """Return lit pixels, uint8 [pixels, pixels, 4] (red, green, blue, opacity).

    A key light from the upper left, a weak fill light from the right, a small highlight,
    hollows darkened by unsharp masking of the depth (Luft et al. 2006) and far parts dimmed.

    Parameters
    ----------
    colours
        [labels, 3]: red, green, blue in [0, 1] of each label of `seen`.
    """
    solid = np.isfinite(seen.depth)
    if not solid.any():
        return np.zeros((*seen.depth.shape, 4), np.uint8)
    normals = seen.normals
    key = np.clip(normals @ _LIGHT, 0, None)
    fill = np.clip(normals @ _FILL_LIGHT, 0, None)
    half = _LIGHT + np.array([0.0, 0.0, 1.0])
    shine = np.clip(normals @ (half / np.linalg.norm(half)), 0, None) ** 40
    open_sky = _openness(seen.depth, solid, camera.pixel_size)
    light = open_sky * (0.44 + 0.62 * key + 0.18 * fill) * _nearness(seen.depth, solid)
    base = colours[seen.labels]
    picture = base * light[..., None] + 0.22 * (shine * open_sky)[..., None]
    picture = np.concatenate([np.clip(picture, 0, 1), solid[..., None]], axis=-1)
    picture[~solid] = 0
    return np.asarray(np.rint(picture * 255), np.uint8)


def _openness(
    depth: NDArray[np.float64], solid: NDArray[np.bool_], pixel_size: float
) -> NDArray[np.float64]:
    """Return how open each pixel lies, 1 on ridges, less in hollows."""
    filled = np.where(solid, depth, 0.0)
    openness = np.ones_like(depth)
    for radius, strength in _HOLLOWS:
        width = radius / pixel_size
        weight = ndimage.gaussian_filter(solid.astype(np.float64), width)
        around = ndimage.gaussian_filter(filled, width) / np.maximum(weight, 1e-6)
        below = np.clip((around - filled) / (2.5 * radius), 0, 1)
        openness *= 1 - strength * below
    return openness


def _nearness(depth: NDArray[np.float64], solid: NDArray[np.bool_]) -> NDArray[np.float64]:
    front, back = float(depth[solid].max()), float(depth[solid].min())
    share = (front - np.where(solid, depth, front)) / max(front - back, 1e-6)
    return np.asarray(1 - 0.22 * share, np.float64)


def averaged(picture: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Return the RGBA picture [rows, columns, 4] `factor` times smaller, its edges smoothed."""
    size = picture.shape[0] // factor
    blocks = picture.astype(np.float64).reshape(size, factor, size, factor, 4)
    opacity = blocks[..., 3].mean(axis=(1, 3))
    colour = (blocks[..., :3] * blocks[..., 3:]).mean(axis=(1, 3))
    colour /= np.maximum(opacity, 1e-9)[..., None]
    return np.asarray(np.rint(np.concatenate([colour, opacity[..., None]], -1)), np.uint8)
