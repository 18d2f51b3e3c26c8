"""The page about one enhanced map: what to believe of it, how it looks, how it was made."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from scipy import ndimage

from cryosamu.enhancement.api import Enhanced
from cryosamu.network.checkpoint import read_header
from cryosamu.provenance import software_versions, source_commit
from cryosamu.report.drawing.entry import (
    Pixels,
    Scene,
    Surfaces,
    box_around,
    cropped,
    draw_surfaces,
    positions_of,
)
from cryosamu.report.drawing.shading import shade
from cryosamu.report.drawing.slices import WHITE_PERCENTILE
from cryosamu.report.drawing.surface import Seen
from cryosamu.report.frame import render_template, short_commit
from cryosamu.report.pictures import SURFACE_PIXELS, page_pictures, picture
from cryosamu.report.run import computed_on
from cryosamu.report.viewer.block import view_block
from cryosamu.report.viewer.view import build_view
from cryosamu.structure.model import protein_chains
from cryosamu.volume.volume import Volume

_STEPS = 32
"""Shades of confidence; no eye tells more on a lit surface."""

_LOW, _MIDDLE, _HIGH = (0.70, 0.09, 0.17), (0.95, 0.95, 0.95), (0.13, 0.40, 0.67)

_LOOKED_FOR = (
    "Looked for: inverted contrast, a mask or a box cut out, a hollow particle, a mass that no "
    "particle has; with the reported resolution also whether it is one the network was made for "
    "and the voxels can hold, a box too small, over-sharpening and noise that nobody filtered; "
    "with half maps the local resolution; with the particle's mass or a model also a wrong voxel "
    "size; with a model whether it fits."
)


def map_page(enhanced: Enhanced, inputs: Mapping[str, Path], checksums: Mapping[str, str]) -> str:
    """Return the page's HTML.

    Parameters
    ----------
    inputs
        Role (map, half_map_1, model, checkpoint …) to path.
    checksums
        Role to SHA-256.
    """
    record = enhanced.record
    name = (inputs.get("map") or inputs["half_map_1"]).name
    scene, fault = _scene(enhanced)
    drawn: dict[str, Any] = {"pictures": None, "no_pictures": fault}
    if scene is not None:
        drawn = _drawn(scene, name, enhanced.confidence)
    return render_template(
        "one_map.html",
        title=f"{name}, enhanced",
        note="What `cryosamu enhance` made of one map, and what to believe of it.",
        made=f"cryosamu {software_versions().get('cryosamu', 'not installed')} · commit "
        f"{short_commit(source_commit())}",
        with_views=scene is not None,
        believe=_believe(enhanced),
        seen=enhanced.seen,
        looked_for=_LOOKED_FOR,
        confidence=_facts(record["confidence"]),
        kept=_facts(record["keeping"]),
        halves=_facts(record["half_maps"]),
        mass=_facts(record["mass"]),
        white=f"{WHITE_PERCENTILE:g}",
        how=_how(enhanced, inputs),
        files=[(path.name, checksums[role]) for role, path in inputs.items()],
        software=[*software_versions().items(), ("commit", source_commit() or "not known")],
        **drawn,
    )


def _believe(enhanced: Enhanced) -> list[str]:
    """Return sentences, what weighs most first."""
    record = enhanced.record
    sentences = []
    if record["control"] is not None:
        sentences.append(
            "This is a control: the network was told a wrong structure on purpose. Do not use it."
        )
    if (verdict := record["half_maps"]) is not None:
        sentences.append(verdict["sentence"])
    if (confidence := record["confidence"]) is not None:
        sentences += [
            f"{confidence['share_of_density_above_half']:.0%} of the density has a confidence "
            f"above one half. {confidence['meaning']}",
            *confidence["notes"],
        ]
    if (keeping := record["keeping"]) is not None:
        sentences.append(keeping["sentence"])
    if record["structure_tokens"]:
        sentences.append(
            "The network was told a model. A map that was enhanced with a model resembles that "
            "model: it is no evidence for it."
        )
    limit = "the reported resolution"
    if enhanced.resolution is not None:
        limit = f"{enhanced.resolution:g} Å, {limit},"
    sentences += [
        f"What is finer than {limit} was not measured: it is what the network expects of a "
        "protein.",
        "Never report an FSC of two enhanced half maps as a resolution: what a network adds to "
        "both agrees, and is no signal.",
        "Look at the input beside the output: what is in one alone needs another reason to be "
        "believed.",
        *enhanced.checkpoint_notes,
    ]
    return sentences


def _facts(part: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """Return what a part of the record says in single values; its lists and tables are in it."""
    if part is None:
        return []
    return [
        (key.replace("_", " "), _written(value))
        for key, value in part.items()
        if isinstance(value, str | int | float) and value != ""
    ]


def _written(value: str | float) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else f"{value:.4g}"


def _how(enhanced: Enhanced, inputs: Mapping[str, Path]) -> list[tuple[str, str]]:
    record = enhanced.record
    given = {
        "Map": inputs.get("map"),
        "Half maps": inputs.get("half_map_1"),
        "Model": inputs.get("model"),
        "Mask": inputs.get("mask"),
        "Checkpoint": inputs.get("checkpoint"),
    }
    shape = " x ".join(str(count) for count in enhanced.given.shape[::-1])
    sizes = " x ".join(f"{size:.4g}" for size in enhanced.given.voxel_size)
    windows, seconds = record["windows"], record["seconds"]
    return [
        *((what, path.name) for what, path in given.items() if path is not None),
        *_trained_on(given["Checkpoint"]),
        ("Grid", f"{shape} voxels of {sizes} Å"),
        ("Reported resolution", _distance(enhanced.resolution)),
        ("Low-pass of the output", _distance(record["low_pass"])),
        ("Symmetry", record["symmetry"]["name"] if record["symmetry"] else "none given"),
        ("Structure tokens", str(record["structure_tokens"])),
        ("Windows", f"{windows['count']} of {' x '.join(map(str, windows['shape']))} voxels"),
        ("Device", str(record["device"])),
        ("Seconds", ", ".join(f"{what.replace('_', ' ')} {s:.1f}" for what, s in seconds.items())),
    ]


def _trained_on(checkpoint: Path | None) -> list[tuple[str, str]]:
    if checkpoint is None:
        return []
    return [("Checkpoint trained on", computed_on(read_header(checkpoint).training.computed_on))]


def _distance(value: float | None) -> str:
    return "none given" if value is None else f"{value:g} Å"


def _scene(enhanced: Enhanced) -> tuple[Scene | None, str]:
    """Return what is drawn, or why nothing can be."""
    structure = enhanced.structure
    if structure is not None and not any(c.observed.any() for c in protein_chains(structure)):
        structure = None
    box = box_around(enhanced.given, positions_of(enhanced.given, structure))
    if box is None:
        return None, "The model lies outside the map: there is nothing to draw."
    given, made = cropped(enhanced.given, box), cropped(enhanced.volume, box)
    if min(given.data.max(), made.data.max()) <= 0:
        return None, "A map has no positive voxel: no surface can be drawn."
    return Scene(given, made, structure), ""


def _drawn(scene: Scene, name: str, confidence: Volume | None) -> dict[str, Any]:
    view = build_view(scene)
    surfaces = draw_surfaces(scene, SURFACE_PIXELS)
    coloured = None
    if confidence is not None:
        pixels = confidence_surface(surfaces, confidence)
        coloured = picture(pixels, f"Surface of the enhanced map of {name}, coloured by confidence")
    return {
        "pictures": page_pictures(scene, name, surfaces),
        "confidence_picture": coloured,
        "view": {
            "name": "view-1",
            "entry": name,
            "model": scene.structure is not None,
            "last": len(view.shares) - 1,
            "start": view.start,
            "voxel": f"{view.voxel[0]:.2g}",
            # JSON without any "<": nothing in it can end the element that it stands in.
            "block": Markup(view_block(view)),
        },
    }


def confidence_surface(surfaces: Surfaces, confidence: Volume) -> Pixels:
    """Return the enhanced map's surface, red at confidence 0, white at 0.5, blue at 1."""
    camera, seen = surfaces.camera, surfaces.seen
    right, up = camera.pixel_centres()
    hit = np.isfinite(seen.depth)
    places = camera.to_model_frame(np.stack([right[hit], up[hit], seen.depth[hit]], axis=-1))
    grid = confidence.to_grid(places)[:, ::-1].T
    values = ndimage.map_coordinates(confidence.data, grid, order=1, mode="nearest")
    labels = np.zeros(seen.depth.shape, np.int64)
    labels[hit] = np.rint(np.clip(values, 0, 1) * _STEPS)
    return shade(Seen(seen.depth, seen.normals, labels), _colours(), camera)


def _colours() -> NDArray[np.float64]:
    """Return [steps + 1, 3] from low to high confidence."""
    shares = np.linspace(0, 2, _STEPS + 1)[:, None]
    low, middle, high = np.array(_LOW), np.array(_MIDDLE), np.array(_HIGH)
    colours: NDArray[np.float64] = np.where(
        shares < 1, low + (middle - low) * shares, middle + (high - middle) * (shares - 1)
    )
    return colours
