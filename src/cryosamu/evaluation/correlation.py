"""Map-model correlation in real space, as in cctbx 2025.11 (`mmtbx.maps.correlation.five_cc`).

P. V. Afonine et al. (2018), Acta Cryst. D74, 814–840, section 2.6.
"""

from __future__ import annotations

from dataclasses import dataclass

import gemmi
import numpy as np
import scipy.fft
from numpy.typing import NDArray

from cryosamu.evaluation.calculated import (
    check_comparable,
    in_box,
    model_coefficients,
    model_mask,
)
from cryosamu.volume.volume import FloatArray, Volume

DEFINITION = "cctbx-2025.11 five_cc"


@dataclass(frozen=True)
class Correlations:
    """Pearson correlations between a map and the map calculated from its model.

    Attributes
    ----------
    cc_box
        Over all voxels.
    cc_mask
        Over the voxels inside the model's mask.
    cc_volume
        Over as many voxels of the highest calculated density as the mask has.
    cc_peaks
        Over the union of those and as many voxels of the map's own highest density.
    n_inside
        Number of voxels inside the mask.
    """

    cc_box: float
    cc_mask: float
    cc_volume: float
    cc_peaks: float
    n_inside: int


def map_model_correlations(
    volume: Volume, structure: gemmi.Structure, resolution: float
) -> Correlations:
    """Correlate a map with the map calculated from its model at `resolution` Å.

    The map is used as it is, unfiltered; the calculated map has all coefficients coarser than
    `resolution`, a hard edge, no F000, no scaling and no bulk solvent.

    Raises
    ------
    MapError, ModelError
        As `check_comparable`.
    """
    check_comparable(volume, structure, resolution)
    boxed = in_box(structure, volume)
    calculated = calculated_map(boxed, volume, resolution)
    return correlations(volume.data, calculated, model_mask(boxed, volume))


def calculated_map(boxed: gemmi.Structure, volume: Volume, resolution: float) -> FloatArray:
    """Return the map calculated from the model, [nz, ny, nx], arbitrary scale."""
    coefficients = model_coefficients(boxed, volume, resolution)
    data = scipy.fft.irfftn(coefficients, s=volume.shape, workers=-1, overwrite_x=True)
    return np.asarray(data, np.float32)


def correlations(
    data: FloatArray, calculated: FloatArray, inside: NDArray[np.bool_]
) -> Correlations:
    """Correlate two maps [nz, ny, nx] over the four sets of voxels that `inside` defines."""
    count = int(inside.sum())
    dense = _highest(calculated, count)
    peaks = dense | _highest(data, count)
    return Correlations(
        cc_box=pearson(data.ravel(), calculated.ravel()),
        cc_mask=pearson(data[inside], calculated[inside]),
        cc_volume=pearson(data[dense], calculated[dense]),
        cc_peaks=pearson(data[peaks], calculated[peaks]),
        n_inside=count,
    )


def _highest(data: FloatArray, count: int) -> NDArray[np.bool_]:
    """Return the voxels at or above the value that `count` others outrank."""
    place = data.size - 1 - min(count, data.size - 1)
    cutoff = np.partition(data.ravel(), place)[place]
    selected: NDArray[np.bool_] = data >= cutoff
    return selected


def pearson(first: FloatArray, second: FloatArray) -> float:
    """Return Pearson's correlation of two float32 vectors, summed in float64; 0 if one is flat."""
    a = first - np.float32(first.mean(dtype=np.float64))
    b = second - np.float32(second.mean(dtype=np.float64))
    covariance, aa, bb = (_dot(a, b), _dot(a, a), _dot(b, b))
    if aa == 0 or bb == 0:
        return 0.0
    return covariance / (aa * bb) ** 0.5


def _dot(a: FloatArray, b: FloatArray) -> float:
    return float(np.einsum("i,i->", a, b, dtype=np.float64))
