"""An entry's pictures as the page and the README show them."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cryosamu.files import atomic_path
from cryosamu.report.drawing.entry import (
    Pixels,
    Scene,
    Surfaces,
    draw_slices,
    draw_surfaces,
    read_scene,
)
from cryosamu.report.drawing.image import data_address, png_bytes

SURFACE_PIXELS = 620
SLICE_PIXELS = 300
README_PIXELS = 540
_GREYS = 64
_HEAD, _FOOT, _DOTS, _PICTURE_COLOURS, _INK = 64, 40, 100, 256, "#16202b"


@dataclass(frozen=True)
class PagePicture:
    """A picture that is part of the page."""

    address: str
    size: int
    alt: str


@dataclass(frozen=True)
class ScaleBar:
    """A bar of `length` Å, `percent` of the picture's width long."""

    length: int
    percent: float


@dataclass(frozen=True)
class SlicePictures:
    """One row of cuts."""

    axis: str
    deposited: PagePicture
    enhanced: PagePicture
    difference: PagePicture
    scale: ScaleBar


@dataclass(frozen=True)
class PagePictures:
    """All pictures of an entry, with the numbers of their captions."""

    deposited: PagePicture
    enhanced: PagePicture
    model: PagePicture | None
    levels: tuple[str, str]
    enclosed: str
    molecule: str
    share: str
    scale: ScaleBar
    slices: list[SlicePictures]


def scale_bar(extent: float) -> ScaleBar:
    """Return a bar of 1, 2 or 5 times a power of ten Å, at most a third of the picture long."""
    power = 10 ** math.floor(math.log10(extent / 3))
    length = max(step * power for step in (1, 2, 5) if step * power <= extent / 3)
    return ScaleBar(round(length), round(100 * length / extent, 2))


def page_pictures(scene: Scene, name: str, surfaces: Surfaces | None = None) -> PagePictures:
    """Draw the slices and, where they are not there yet, the surfaces of the entry `name`."""
    surfaces = surfaces or draw_surfaces(scene, SURFACE_PIXELS)
    return PagePictures(
        picture(surfaces.deposited, f"Surface of the deposited map {name}"),
        picture(surfaces.enhanced, f"Surface of the enhanced map of {name}"),
        None
        if surfaces.model is None
        else picture(surfaces.model, f"Backbone of the model of {name}"),
        (f"{surfaces.levels[0]:.3g}", f"{surfaces.levels[1]:.3g}"),
        f"{surfaces.enclosed:,.0f}",
        f"{scene.molecule:,.0f}",
        f"{surfaces.enclosed / scene.molecule:.0%}".replace("%", " %"),
        scale_bar(surfaces.extent),
        [
            SlicePictures(
                row.axis,
                picture(row.deposited, f"Deposited map, cut across {row.axis}", _GREYS),
                picture(row.enhanced, f"Enhanced map, cut across {row.axis}", _GREYS),
                picture(row.difference, f"Difference, cut across {row.axis}", _GREYS),
                scale_bar(row.extent),
            )
            for row in draw_slices(scene, SLICE_PIXELS)
        ],
    )


def picture(pixels: Pixels, alt: str, colours: int | None = None) -> PagePicture:
    """Return pixels as part of a page, with as many `colours` at most."""
    png = png_bytes(pixels) if colours is None else png_bytes(pixels, colours)
    return PagePicture(data_address(png), pixels.shape[0], alt)


def write_picture(deposited: Path, enhanced: Path, model: Path, output: Path) -> None:
    """Write one PNG on white: deposited map, enhanced map and model side by side."""
    scene = read_scene(deposited, enhanced, model)
    surfaces = draw_surfaces(scene, README_PIXELS, oversampling=2)
    width, height = 3 * README_PIXELS, README_PIXELS + _HEAD + _FOOT
    figure = Figure(figsize=(width / _DOTS, height / _DOTS), dpi=_DOTS)
    assert surfaces.model is not None
    panels = (
        ("Deposited map", surfaces.deposited),
        ("Enhanced map", surfaces.enhanced),
        ("Model", surfaces.model),
    )
    for place, (title, pixels) in enumerate(panels):
        figure.figimage(pixels, place * README_PIXELS, _FOOT)
        centre = ((place + 0.5) / 3, 1 - 0.6 * _HEAD / height)
        figure.text(*centre, title, ha="center", va="center", fontsize=19, color=_INK)
    bar = scale_bar(surfaces.extent)
    start, end = 0.02, 0.02 + bar.percent / 300
    low = 0.3 * _FOOT / height
    figure.add_artist(Line2D([start, end], [low, low], color=_INK, linewidth=3))
    label = ((start + end) / 2, 2 * low)
    figure.text(*label, f"{bar.length} Å", ha="center", va="bottom", fontsize=14, color=_INK)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="rgba", dpi=_DOTS)
    pixels = np.frombuffer(buffer.getvalue(), np.uint8).reshape(height, width, 4)
    with atomic_path(output) as temporary:
        temporary.write_bytes(png_bytes(pixels, _PICTURE_COLOURS))
