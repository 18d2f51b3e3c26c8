"""Grids of the embedded archive's maps, and the headers that say where they lie."""

from __future__ import annotations

import gemmi
import numpy as np
from embedded_entries import Placement, SimulatedEntry
from numpy.typing import NDArray

from cryosamu.structure.model import heavy_atoms
from cryosamu.volume.volume import FileFrame, Volume

Corner = NDArray[np.float64]
_LARGER_BY = 24


def limits(structure: gemmi.Structure, entry: SimulatedEntry) -> tuple[Corner, Corner]:
    """Return the corners (x, y, z) in Å of the box that holds the model, where it moves included.

    The corners lie on the lattice of the voxels.
    """
    positions = heavy_atoms(structure).positions
    moved = np.concatenate([positions, positions + entry.shift])
    low = np.floor((moved.min(axis=0) - entry.margin) / entry.voxel_size)
    high = np.ceil((moved.max(axis=0) + entry.margin) / entry.voxel_size)
    if entry.placement == "zero":
        high[:] = low + (high - low).max()
    return low * entry.voxel_size, high * entry.voxel_size


def grid_around(structure: gemmi.Structure, entry: SimulatedEntry) -> Volume:
    """Return the empty grid of an entry's map with the header that tells its place."""
    low, high = limits(structure, entry)
    start = np.rint(low / entry.voxel_size).astype(np.int64)
    counts = np.rint((high - low) / entry.voxel_size).astype(np.int64)
    frame = header(entry.placement, start, counts, entry.voxel_size)
    voxel_size = (entry.voxel_size, entry.voxel_size, entry.voxel_size)
    shape = tuple(counts[::-1])
    return Volume(
        np.zeros(shape, np.float32), voxel_size, _lengths(start * entry.voxel_size), frame
    )


def cut_out(whole: Volume, low: Corner, high: Corner) -> Volume:
    """Return the part of a map between two corners (x, y, z in Å), its place in nstart."""
    first = np.maximum(np.floor(whole.to_grid(low)), 0).astype(np.int64)
    last = np.minimum(np.ceil(whole.to_grid(high)) + 1, whole.shape[::-1]).astype(np.int64)
    (x0, y0, z0), (x1, y1, z1) = first, last
    frame = header("nstart", first, last - first, whole.voxel_size[0])
    data = np.ascontiguousarray(whole.data[z0:z1, y0:y1, x0:x1])
    return Volume(
        data, whole.voxel_size, _lengths(whole.to_model_frame(first.astype(np.float64))), frame
    )


def header(
    placement: Placement, start: NDArray[np.int64], counts: NDArray[np.int64], voxel_size: float
) -> FileFrame:
    """Return the header words that put voxel 0 at `start` · voxel size (start, counts: x, y, z)."""
    axis_order = (3, 1, 2) if placement == "permuted" else (1, 2, 3)
    by_words = placement == "origin"
    indices = np.zeros(3, np.int64) if by_words else start
    origin = start * voxel_size if by_words else np.zeros(3)
    sampling = counts + _LARGER_BY if placement == "larger_cell" else counts
    first, second, third = (int(indices[axis - 1]) for axis in axis_order)
    mx, my, mz = (int(one) for one in sampling)
    return FileFrame(
        axis_order,
        nstart=(first, second, third),
        origin=_lengths(origin),
        sampling=(mx, my, mz),
        cell=_lengths(sampling * voxel_size),
    )


def _lengths(values: NDArray[np.floating]) -> tuple[float, float, float]:
    x, y, z = (float(one) for one in values)
    return x, y, z
