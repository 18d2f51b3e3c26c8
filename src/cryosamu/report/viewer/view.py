"""What a 3D view shows of one entry: two small maps on one grid, their levels, and the model."""

from __future__ import annotations

from dataclasses import dataclass

import gemmi
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cryosamu.errors import MapError
from cryosamu.report.drawing.camera import Camera, view_of
from cryosamu.report.drawing.entry import MARGIN, Scene
from cryosamu.report.drawing.slices import BLACK_DEPTH, WHITE_PERCENTILE
from cryosamu.structure.model import protein_chains
from cryosamu.volume.volume import FloatArray, Volume

LONGEST_SIDE = 96
"""Voxels along the longest side of a view's maps."""

FINEST_VOXEL = 1.2
"""Å: at 4 Å and coarser a finer grid shows nothing more."""

SHARES = tuple(round(0.05 + 0.025 * step, 3) for step in range(49))
"""Enclosed volumes at which the slider stops, as shares of the molecule's volume: 5 to 125 %."""

_BRIGHTEST = 0.3
"""Values that less than this share of the smallest enclosed volume exceeds are cut off."""


@dataclass(frozen=True)
class SmallMap:
    """A map with 256 grey levels.

    Attributes
    ----------
    levels
        uint8 [nz, ny, nx]; the outermost voxels are 0, so that every surface is closed.
    black, step
        A grey level g stands for the value black + g · step, in the map's own units.
    white
        The grey level that is white in slices (black is 0).
    contours
        One contour, as a fraction of a grey level's number, for each stop of the slider.
    """

    levels: NDArray[np.uint8]
    black: float
    step: float
    white: float
    contours: tuple[float, ...]


@dataclass(frozen=True)
class Trace:
    """The model, as much of it as is drawn.

    Attributes
    ----------
    backbone
        float32 [residues, 4, 3]: N, CA, C, O of the residues that have N, CA and C, in Å, model
        frame; an O that is missing is inf.
    chains
        int64 [residues]: place of each residue's chain.
    others
        float32 [atoms, 3]: ligands, glycans, nucleic acid; water and hydrogens left out.
    elements
        Symbol of each of the `others`.
    """

    backbone: NDArray[np.float32]
    chains: NDArray[np.int64]
    others: NDArray[np.float32]
    elements: tuple[str, ...]


@dataclass(frozen=True)
class View:
    """One entry's view.

    Attributes
    ----------
    voxel, origin
        (x, y, z) in Å: grid step, and the centre of voxel (0, 0, 0) in the model frame.
    shares, start
        Enclosed volumes the slider can choose as shares of the molecule's; the first one's place.
    molecule
        Volume of the molecule, Å³.
    camera
        The viewpoint at first, that of the pictures.
    """

    voxel: tuple[float, float, float]
    origin: tuple[float, float, float]
    deposited: SmallMap
    enhanced: SmallMap
    trace: Trace
    shares: tuple[float, ...]
    start: int
    molecule: float
    camera: Camera


def build_view(scene: Scene) -> View:
    """Return the view of a scene; memory is bounded by the box around the model.

    Raises
    ------
    MapError
        When a map has no positive density to contour.
    """
    deposited, enhanced = _coarsened(scene.deposited), _coarsened(scene.enhanced)
    molecule = scene.molecule
    shares = _available_shares([deposited, enhanced], molecule)
    counts = [share * molecule / float(np.prod(deposited.voxel_size)) for share in shares]
    camera = view_of(scene.positions, MARGIN / 2, 1)
    return View(
        deposited.voxel_size,
        deposited.origin,
        _small(deposited, counts),
        _small(enhanced, counts),
        _trace(scene.structure),
        shares,
        int(np.argmin(np.abs(np.array(shares) - scene.drawn_share))),
        molecule,
        camera,
    )


def _coarsened(volume: Volume) -> Volume:
    """Return the map on at most LONGEST_SIDE voxels a side, with its outermost voxels emptied.

    A Gaussian first takes out what the coarser grid cannot hold; then cubic splines.
    """
    step = max(*volume.voxel_size, max(volume.box) / LONGEST_SIDE, FINEST_VOXEL)
    sizes = np.array(volume.voxel_size[::-1])
    shape = tuple(max(2, int(n)) for n in np.array(volume.shape) * sizes / step + 1e-6)
    factors = step / sizes
    smooth = ndimage.gaussian_filter(
        volume.data, 0.5 * np.sqrt(np.maximum(factors**2 - 1, 0)), mode="nearest"
    )
    data = ndimage.affine_transform(smooth, factors, output_shape=shape, order=3, mode="nearest")
    inside = np.full(shape, data.min(), np.float32)
    inside[1:-1, 1:-1, 1:-1] = data[1:-1, 1:-1, 1:-1]
    return Volume(inside, (step, step, step), volume.origin)


def _available_shares(volumes: list[Volume], molecule: float) -> tuple[float, ...]:
    """Return the stops up to the positive density that both maps have; at least one."""
    voxel = float(np.prod(volumes[0].voxel_size))
    available = min(int((volume.data > 0).sum()) for volume in volumes) * voxel / molecule
    if not available:
        raise MapError("a map has no positive voxel around the model: no surface can be drawn.")
    return tuple(share for share in SHARES if share <= available) or (available,)


def _small(volume: Volume, counts: list[float]) -> SmallMap:
    """Return the map in grey levels, with the contours that enclose `counts` voxels."""
    falling = np.sort(volume.data, axis=None)[::-1]
    median, white = np.percentile(volume.data, [50.0, WHITE_PERCENTILE])
    black = float(median - BLACK_DEPTH * (white - median))
    top = float(max(white, falling[int(_BRIGHTEST * counts[0])]))
    step = (top - black) / 255 or 1.0
    levels = np.clip(np.rint((volume.data - black) / step), 0, 255).astype(np.uint8)
    return SmallMap(
        levels,
        black,
        step,
        (float(white) - black) / step,
        tuple((_level(falling, count) - black) / step for count in counts),
    )


def _level(falling: FloatArray, count: float) -> float:
    """Return the level that `count` of the values, sorted from the highest, are above."""
    place = min(max(1, round(count)), falling.size - 1)
    return float(falling[place - 1] + falling[place]) / 2


def _trace(structure: gemmi.Structure | None) -> Trace:
    if structure is None:
        nothing = np.zeros((0, 3), np.float32)
        return Trace(nothing.reshape(0, 4, 3), np.zeros(0, np.int64), nothing, ())
    chains = protein_chains(structure)
    drawn = {chain.label_id for chain in chains}
    others = [
        site.atom
        for site in structure[0].all()
        if site.residue.subchain not in drawn
        and not site.residue.is_water()
        and not site.atom.is_hydrogen()
    ]
    places = np.array([atom.pos.tolist() for atom in others], np.float32).reshape(-1, 3)
    return Trace(
        np.concatenate([chain.backbone[chain.observed] for chain in chains]),
        np.repeat(np.arange(len(chains)), [int(chain.observed.sum()) for chain in chains]),
        places,
        tuple(atom.element.name for atom in others),
    )
