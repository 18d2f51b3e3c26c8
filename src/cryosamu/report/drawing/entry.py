"""All pictures of one entry: deposited and enhanced map with the model, from one viewpoint."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import gemmi
import numpy as np
from numpy.typing import NDArray

from cryosamu.errors import MapError, ModelError
from cryosamu.report.drawing import slices
from cryosamu.report.drawing.camera import Camera, view_of
from cryosamu.report.drawing.shading import averaged, shade
from cryosamu.report.drawing.surface import Seen, cast_rays
from cryosamu.report.drawing.trace import backbone_pieces, draw_tubes
from cryosamu.structure import contour
from cryosamu.structure.model import heavy_atoms, protein_chains, read_model
from cryosamu.volume.io import read_map
from cryosamu.volume.volume import Volume

MARGIN = 8.0
"""Å of map that is drawn around the model's atoms."""

DEPOSITED_COLOUR = (0.60, 0.67, 0.76)
ENHANCED_COLOUR = (0.16, 0.60, 0.64)
CHAIN_COLOURS = (
    (0.24, 0.47, 0.75),
    (0.87, 0.53, 0.20),
    (0.25, 0.62, 0.45),
    (0.60, 0.42, 0.75),
    (0.78, 0.36, 0.42),
    (0.55, 0.55, 0.25),
    (0.35, 0.65, 0.80),
    (0.85, 0.55, 0.70),
)
"""Chains take these in turn."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Scene:
    """What is drawn of one entry: two maps cut to the same box around the model, and the model.

    Attributes
    ----------
    deposited, enhanced
        On the same grid.
    structure
        The model, in the maps' frame; None where there is none.
    """

    deposited: Volume
    enhanced: Volume
    structure: gemmi.Structure | None

    @cached_property
    def positions(self) -> NDArray[np.float64]:
        """Where there is something, [points, 3] in Å, model frame.

        Heavy atoms; without a model, the deposited map's voxels above Otsu's threshold.
        """
        return positions_of(self.deposited, self.structure)

    @cached_property
    def molecule(self) -> float:
        """Volume of the molecule in Å³, from its mass; without a model, that of the voxels."""
        if self.structure is not None:
            return contour.molecular_volume(heavy_atoms(self.structure))
        return len(self.positions) * float(np.prod(self.deposited.voxel_size))

    @property
    def drawn_share(self) -> float:
        """Share of the molecule's volume that drawn surfaces enclose."""
        return 1.0 if self.structure is None else contour.DRAWN_SHARE


@dataclass(frozen=True)
class Surfaces:
    """Three pictures from one viewpoint.

    Attributes
    ----------
    deposited, enhanced, model
        uint8 [pixels, pixels, 4]; `model` is None where there is none.
    levels
        Contour level of the deposited and of the enhanced map, in their own units.
    enclosed
        Volume within either surface, Å³.
    extent
        Side of the pictures, Å.
    seen, camera
        The enhanced map's surface as it was seen, before rays were averaged, and from where.
    """

    deposited: Pixels
    enhanced: Pixels
    model: Pixels | None
    levels: tuple[float, float]
    enclosed: float
    extent: float
    seen: Seen
    camera: Camera


@dataclass(frozen=True)
class SliceRow:
    """One cut through the molecule's centre.

    Attributes
    ----------
    axis
        The axis at right angles to the cut.
    deposited, enhanced, difference
        uint8 [pixels, pixels, 4].
    extent
        Side, Å.
    """

    axis: str
    deposited: Pixels
    enhanced: Pixels
    difference: Pixels
    extent: float


def read_scene(deposited: Path, enhanced: Path, model: Path) -> Scene:
    """Read two maps on one grid and the model, and keep the box around the model.

    Raises
    ------
    MapError
        When the maps are not on one grid, or the model lies outside them.
    ModelError
        When the model has no protein.
    """
    structure = read_model(model)
    if not any(chain.observed.any() for chain in protein_chains(structure)):
        raise ModelError(f"{model}: holds no protein chain with a backbone to draw.")
    first = read_map(deposited)
    box = box_around(first, positions_of(first, structure))
    if box is None:
        raise MapError(f"{model}: lies outside the map {deposited}; is it in the map's frame?")
    grid, drawn = _grid(first), cropped(first, box)
    del first  # Of two large maps one at a time is in memory.
    second = read_map(enhanced)
    if not _same_grid(grid, _grid(second)):
        raise MapError(
            f"{enhanced}: is not on the grid of {deposited}; draw maps of the same grid, as "
            "`cryosamu enhance` writes them."
        )
    return Scene(drawn, cropped(second, box), structure)


def positions_of(volume: Volume, structure: gemmi.Structure | None) -> NDArray[np.float64]:
    """Return the heavy atoms or, without a model, the voxels above Otsu's threshold, [n, 3] Å."""
    from skimage.filters import threshold_otsu

    if structure is not None:
        return heavy_atoms(structure).positions
    level = threshold_otsu(volume.data.ravel())  # type: ignore[no-untyped-call]
    return volume.to_model_frame(np.argwhere(volume.data > level)[:, ::-1].astype(np.float64))


_Grid = tuple[tuple[int, ...], tuple[float, ...], tuple[float, ...]]


def _grid(volume: Volume) -> _Grid:
    return volume.shape, volume.voxel_size, volume.origin


def _same_grid(one: _Grid, other: _Grid) -> bool:
    return (
        one[0] == other[0]
        and np.allclose(one[1], other[1], rtol=1e-4)
        and np.allclose(one[2], other[2], atol=1e-2)
    )


def box_around(volume: Volume, positions: NDArray[np.float64]) -> tuple[slice, ...] | None:
    """Return slices (z, y, x) of the map around the atoms, or None where there is nothing."""
    places = volume.to_grid(positions)
    reach = MARGIN / np.asarray(volume.voxel_size)
    limits = np.asarray(volume.shape[::-1])
    low = np.clip(np.floor(places.min(axis=0) - reach), 0, limits).astype(int)
    high = np.clip(np.ceil(places.max(axis=0) + reach) + 1, 0, limits).astype(int)
    if (high - low < 2).any():
        return None
    return tuple(slice(int(a), int(b)) for a, b in zip(low[::-1], high[::-1], strict=True))


def cropped(volume: Volume, box: tuple[slice, ...]) -> Volume:
    """Return a part of a map, in its place; a copy."""
    corner = volume.to_model_frame(np.array([part.start for part in reversed(box)], float))
    data = volume.data[box].copy()
    return Volume(data, volume.voxel_size, (corner[0], corner[1], corner[2]))


def draw_surfaces(scene: Scene, pixels: int, oversampling: int = 1) -> Surfaces:
    """Return the deposited and enhanced map's surfaces at equal enclosed volume, and the model.

    Parameters
    ----------
    oversampling
        Rays a pixel along each side; 2 smooths outlines.
    """
    camera = view_of(scene.positions, MARGIN / 2, pixels * oversampling)
    levels, enclosed = contour.equal_volume_levels(
        [scene.deposited, scene.enhanced], scene.drawn_share * scene.molecule
    )
    seen = [
        cast_rays(volume, level, camera)
        for volume, level in zip((scene.deposited, scene.enhanced), levels, strict=True)
    ]
    pictures = [
        shade(surface, np.array([colour]), camera)
        for surface, colour in zip(seen, (DEPOSITED_COLOUR, ENHANCED_COLOUR), strict=True)
    ]
    model = None if scene.structure is None else _draw_model(scene.structure, camera)
    return Surfaces(
        averaged(pictures[0], oversampling),
        averaged(pictures[1], oversampling),
        None if model is None else averaged(model, oversampling),
        (levels[0], levels[1]),
        enclosed,
        camera.extent,
        seen[1],
        camera,
    )


def _draw_model(structure: gemmi.Structure, camera: Camera) -> Pixels:
    chains = protein_chains(structure)
    colours = [CHAIN_COLOURS[place % len(CHAIN_COLOURS)] for place in range(len(chains))]
    return shade(draw_tubes(backbone_pieces(chains), camera), np.array(colours), camera)


def draw_slices(scene: Scene, pixels: int) -> list[SliceRow]:
    """Return the cuts at right angles to z, y and x through the centre of the model's atoms."""
    centre = scene.positions.mean(axis=0)
    extent = float(min(max(scene.deposited.box), 2 * _reach(scene, centre)))
    deposited, enhanced = slices.scaled(scene.deposited), slices.scaled(scene.enhanced)
    rows = []
    for axis in "zyx":
        plane = slices.Plane(axis, centre, extent, pixels)
        before, after = slices.cut(deposited, plane), slices.cut(enhanced, plane)
        rows.append(
            SliceRow(
                axis,
                slices.grey(before),
                slices.grey(after),
                slices.signed(after - before),
                extent,
            )
        )
    return rows


def _reach(scene: Scene, centre: NDArray[np.float64]) -> float:
    """Return the largest distance in Å along an axis from `centre` to an atom, plus the margin."""
    return float(np.abs(scene.positions - centre).max()) + MARGIN
