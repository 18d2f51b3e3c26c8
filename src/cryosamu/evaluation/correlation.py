"""Map-model correlation in real space, as in cctbx 2025.11 (`mmtbx.maps.correlation.five_cc`).

P. V. Afonine et al. (2018), Acta Cryst. D74, 814–840.
"""

from __future__ import annotations

from dataclasses import dataclass

import gemmi
import numpy as np
from numpy.typing import NDArray

from cryosamu.evaluation.frame import check_not_constant
from cryosamu.evaluation.reference import ModelReference
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
    cc_image
        Over the voxels that the image of an atom reaches.
    n_inside
        Number of voxels inside the mask.
    """

    cc_box: float
    cc_mask: float
    cc_volume: float
    cc_peaks: float
    cc_image: float
    n_inside: int


def map_model_correlations(
    volume: Volume, structure: gemmi.Structure, resolution: float
) -> Correlations:
    """Correlate a map with the map calculated from its model at `resolution` Å.

    The map is used as it is, unfiltered; the calculated map has all coefficients coarser than
    `resolution`, a hard edge, no F000, no scaling and no bulk solvent.

    Raises
    ------
    MapError
        When the map is constant or too coarse for `resolution`.
    ModelError
        When the model lies outside the map.
    """
    return correlations(volume.data, ModelReference(volume, structure, resolution))


def correlations(data: FloatArray, reference: ModelReference) -> Correlations:
    """Correlate voxels [nz, ny, nx] on the reference's grid with the model's map."""
    check_not_constant(data)
    calculated, inside = reference.calculated, reference.inside
    in_image = reference.in_image
    count = int(inside.sum())
    dense = _highest(calculated, count)
    peaks = dense | _highest(data, count)
    return Correlations(
        cc_box=pearson(data.ravel(), calculated.ravel()),
        cc_mask=pearson(data[inside], calculated[inside]),
        cc_volume=pearson(data[dense], calculated[dense]),
        cc_peaks=pearson(data[peaks], calculated[peaks]),
        cc_image=pearson(data[in_image], calculated[in_image]),
        n_inside=count,
    )


def _highest(data: FloatArray, count: int) -> NDArray[np.bool_]:
    """Return the voxels at or above the value that `count` others outrank."""
    place = max(data.size - 1 - count, 0)
    cutoff = np.partition(data, place, axis=None)[place]
    selected: NDArray[np.bool_] = data >= cutoff
    return selected


def pearson(first: FloatArray, second: FloatArray) -> float:
    """Return Pearson's correlation of two float32 vectors, summed in float64; 0 if one is flat."""
    a = first - np.float32(first.mean(dtype=np.float64))
    b = second - np.float32(second.mean(dtype=np.float64))
    covariance, aa, bb = _dot(a, b), _dot(a, a), _dot(b, b)
    return covariance / float(np.sqrt(aa * bb)) if aa > 0 and bb > 0 else 0.0


def _dot(a: FloatArray, b: FloatArray) -> float:
    return float(np.einsum("i,i->", a, b, dtype=np.float64))
