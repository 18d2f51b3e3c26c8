"""Pixels as small PNG files, the same bytes for the same pixels."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

COLOURS = 192
"""Colours of a palette picture: a lit surface shows no bands, at a third of the bytes."""


def png_bytes(pixels: NDArray[np.uint8], colours: int = COLOURS) -> bytes:
    """Return a palette PNG without metadata.

    Parameters
    ----------
    pixels
        uint8 [height, width, 4]: red, green, blue, opacity.
    """
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    if (pixels[..., 3] == 255).all():
        # The median cut gives smoother shades, but knows no opacity.
        method = Image.Quantize.MEDIANCUT
        reduced = picture.convert("RGB").quantize(colours, method=method, kmeans=1)
    else:
        reduced = picture.quantize(colours, method=Image.Quantize.FASTOCTREE)
    buffer = io.BytesIO()
    reduced.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def data_address(png: bytes) -> str:
    """Return the picture as a data: address, to stand in a page that asks nothing of a network."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
