"""The unique reflections of a grid, in the bins that FSC curves are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryosamu.volume.volume import Volume

_RIGHT_ANGLE = -1.6081226496766366e-16
"""The cosine of 90° as it is after cctbx's rounding."""

_SPREAD = 0.005
"""Å that a bin must at least span, unless it has a reflection to spare."""


@dataclass(frozen=True)
class Reflections:
    """The unique reflections of a grid, finest first.

    Attributes
    ----------
    order
        intp [reflections]: places in the flattened half-complex transform.
    bins
        intp [bins + 1]: where mtriage's bins begin among them, and the end of the last.
    bin_spacings
        float64 [bins]: mean d of each bin, Å.
    shells
        intp [shells + 1]: where the shells of equal width begin, finest first, and the end.
    shell_frequencies
        float64 [shells]: middle of each shell, 1/Å.
    """

    order: NDArray[np.intp]
    bins: NDArray[np.intp]
    bin_spacings: NDArray[np.float64]
    shells: NDArray[np.intp]
    shell_frequencies: NDArray[np.float64]


def sorted_reflections(grid: Volume) -> Reflections:
    """Return the grid's reflections to the corner of the box, one of each Friedel pair."""
    squared, places = _unique_reflections(grid)
    finest_first = np.argsort(1 / np.sqrt(squared), kind="stable")
    frequencies = np.sqrt(squared[finest_first])
    spacings = 1 / frequencies
    bins = mtriage_bins(spacings)
    shells, middles = _equal_shells(frequencies, 1 / max(grid.box))
    return Reflections(
        order=places[finest_first],
        bins=bins,
        bin_spacings=np.add.reduceat(spacings[: bins[-1]], bins[:-1]) / np.diff(bins),
        shells=shells,
        shell_frequencies=middles,
    )


def _unique_reflections(grid: Volume) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return s² in 1/Å² of each unique reflection and its place in the half-complex transform.

    Ordered by h, k, l with l >= 0, as cctbx lists them. Rounding decides between reflections of
    equal d, and with it in which bin they fall, which moves d_FSC by up to 0.02 Å: so s² is summed
    in cctbx's order.
    """
    nz, ny, nx = grid.shape
    top = [(count - 1) // 2 for count in (nx, ny, nz)]
    h = np.arange(-top[0], top[0] + 1)[:, None, None]
    k = np.arange(-top[1], top[1] + 1)[None, :, None]
    ell = np.arange(top[2] + 1)[None, None, :]
    a, b, c = (1 / edge for edge in grid.box)
    squared = h * h * (a * a) + k * k * (b * b) + ell * ell * (c * c)
    squared = squared + 2 * h * k * (a * b * _RIGHT_ANGLE)
    squared = squared + 2 * h * ell * (a * c * _RIGHT_ANGLE)
    squared = squared + 2 * k * ell * (b * c * _RIGHT_ANGLE)
    sign = np.where(h < 0, -1, 1)
    places = ((sign * ell % nz) * ny + sign * k % ny) * (nx // 2 + 1) + abs(h)
    unique = (ell > 0) | ((h > 0) | ((h == 0) & (k > 0)))
    return squared[unique], places[unique]


def mtriage_bins(spacings: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return where the bins of `mmtbx.maps.mtriage` begin, and the end of the last.

    At least 100 reflections a bin where it begins at d > 10 Å, 250 at 5–10 Å, 500 below; one more
    where they span less than 0.005 Å; what is left at the end joins the last bin.

    Parameters
    ----------
    spacings
        [reflections] d in Å, ascending.
    """
    size = len(spacings)
    edges = [0]
    while edges[-1] < size:
        first = edges[-1]
        least = _least_count(spacings[first])
        last = _last_of_bin(spacings, first, least)
        if last is None:
            break
        edges.append(size if size - 1 - last < least else last + 1)
    return np.array(edges, np.intp)


def _least_count(spacing: float) -> int:
    if spacing > 10:
        return 100
    return 250 if spacing > 5 else 500


def _last_of_bin(spacings: NDArray[np.float64], first: int, least: int) -> int | None:
    """Return the reflection that closes the bin begun at `first`; None when none does."""
    size = len(spacings)
    earliest = max(first, min(first + least - 1, size - least))
    if earliest >= size:
        return None
    wide_enough = int(np.searchsorted(spacings, spacings[first] + _SPREAD, side="right"))
    last = max(earliest, min(wide_enough, first + least))
    return last if last < size else None


def _equal_shells(
    frequencies: NDArray[np.float64], width: float
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return where shells of equal width begin among descending frequencies, and their middles.

    Shell i holds |s| / width within i ± 1/2; shells without reflections are left out.
    """
    numbers = np.arange(int(frequencies[0] / width + 0.5), -1, -1)
    starts = np.searchsorted(-frequencies, -(numbers + 0.5) * width)
    filled = np.diff(starts, append=len(frequencies)) > 0
    middles = np.asarray(numbers[filled] * width, np.float64)
    return np.append(starts[filled], len(frequencies)), middles
