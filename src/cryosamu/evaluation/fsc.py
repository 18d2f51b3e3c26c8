"""Map-model Fourier shell correlation, as in cctbx 2025.11 (`mmtbx.maps.mtriage`)."""

from __future__ import annotations

from dataclasses import dataclass

import gemmi
import numpy as np
import scipy.fft
from numpy.typing import NDArray

from cryosamu.evaluation.crossing import Crossing, first_below
from cryosamu.evaluation.frame import check_not_constant
from cryosamu.evaluation.reference import ModelReference
from cryosamu.volume.volume import FloatArray, Volume

DEFINITION = "cctbx-2025.11 mtriage"
AVERAGE_DEFINITION = "mean FSC over shells of equal width, weighted by reflections"

_HALF_WINDOW = 10
_DEGREE = 2
_SMOOTHED_BELOW = 15.0
"""Å: coarser bins are left as they are."""


@dataclass(frozen=True)
class FscCurve:
    """A curve of Fourier shell correlation, coarse to fine.

    Attributes
    ----------
    spatial_frequency
        float64 [points], 1/Å, ascending.
    fsc
        float64 [points].
    """

    spatial_frequency: NDArray[np.float64]
    fsc: NDArray[np.float64]


@dataclass(frozen=True)
class ShellFsc:
    """Both curves of one map, with and without mask, and what is read from them.

    Attributes
    ----------
    smoothed
        mtriage's bins after smoothing, to the corner of the box.
    shells
        Shells of equal width 1 / longest edge, unsmoothed.
    below_half
        Where `smoothed` first falls below 0.5; None when it never does.
    average
        Σ N FSC / Σ N over the shells to the reference's resolution.
    """

    smoothed: FscCurve
    shells: FscCurve
    below_half: Crossing | None
    average: float

    @property
    def d_fsc_05(self) -> float | None:
        """Å where the curve first falls below 0.5; None when it never does."""
        return None if self.below_half is None else self.below_half.spacing


@dataclass(frozen=True)
class MapModelFsc:
    """FSC of a map with its model, as it is and within the model's soft mask.

    Attributes
    ----------
    unmasked, masked
        The curves.
    """

    unmasked: ShellFsc
    masked: ShellFsc

    @property
    def d_fsc_05_unmasked(self) -> float | None:
        """Å where the unmasked curve first falls below 0.5."""
        return self.unmasked.d_fsc_05

    @property
    def d_fsc_05_masked(self) -> float | None:
        """Å where the masked curve first falls below 0.5."""
        return self.masked.d_fsc_05


def map_model_fsc(volume: Volume, structure: gemmi.Structure, resolution: float) -> MapModelFsc:
    """Return the FSC of a map with its model; `resolution` (Å) shapes the mask alone.

    Raises
    ------
    MapError
        When the map is constant or too coarse for `resolution`.
    ModelError
        When the model lies outside the map.
    """
    return model_fsc(volume.data, ModelReference(volume, structure, resolution))


def model_fsc(data: FloatArray, reference: ModelReference) -> MapModelFsc:
    """Return the FSC of voxels [nz, ny, nx] on the reference's grid with the model."""
    check_not_constant(data)
    return MapModelFsc(
        unmasked=_shell_fsc(data, reference),
        masked=_shell_fsc(data * reference.soft_mask, reference),
    )


def _shell_fsc(data: FloatArray, reference: ModelReference) -> ShellFsc:
    reflections = reference.reflections
    observed = scipy.fft.rfftn(data, workers=-1).ravel()[reflections.order]
    expected = reference.coefficients.ravel()[reflections.order]
    products = _Products.of(observed, expected)
    smoothed = smooth(1 / reflections.bin_spacings, products.correlate(reflections.bins))
    in_shells = products.correlate(reflections.shells)
    counts = np.diff(reflections.shells)
    counted = reflections.shell_frequencies <= 1 / reference.resolution
    average = float(np.average(in_shells[counted], weights=counts[counted]))
    return ShellFsc(
        smoothed=smoothed,
        shells=FscCurve(reflections.shell_frequencies[::-1], in_shells[::-1]),
        below_half=first_below(smoothed.spatial_frequency, smoothed.fsc, 0.5),
        average=average,
    )


@dataclass(frozen=True)
class _Products:
    """Re(F G*), |F|² and |G|² of each reflection, float32 [reflections]."""

    cross: FloatArray
    first: FloatArray
    second: FloatArray

    @classmethod
    def of(cls, f: NDArray[np.complex64], g: NDArray[np.complex64]) -> _Products:
        return cls(f.real * g.real + f.imag * g.imag, f.real**2 + f.imag**2, g.real**2 + g.imag**2)

    def correlate(self, edges: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return the FSC of the bins between `edges` [bins + 1]; 0 where one side is empty."""
        cross, first, second = (
            np.add.reduceat(values[: edges[-1]], edges[:-1], dtype=np.float64)
            for values in (self.cross, self.first, self.second)
        )
        norm = np.sqrt(first * second)
        fsc: NDArray[np.float64] = np.divide(cross, norm, out=np.zeros_like(norm), where=norm > 0)
        return fsc


def smooth(spatial_frequency: NDArray[np.float64], fsc: NDArray[np.float64]) -> FscCurve:
    """Return a curve, both [bins], coarse to fine (1/Å), smoothed at bins finer than 15 Å.

    By the filter of A. Savitzky & M. J. E. Golay (1964), Anal. Chem. 36, 1627: half window 10
    bins, degree 2, mirrored at both ends. Ten bins or fewer stay as they are.
    """
    order = np.argsort(spatial_frequency)
    frequencies, values = spatial_frequency[order], fsc[order]
    fine = frequencies >= 1 / _SMOOTHED_BELOW
    if len(values) > _HALF_WINDOW and fine.any():
        weights = _savitzky_golay_weights(_HALF_WINDOW, _DEGREE)
        mirrored = np.pad(values[fine], _HALF_WINDOW, mode="reflect")
        values[fine] = np.convolve(mirrored, weights, mode="valid")
    return FscCurve(frequencies, values)


def _savitzky_golay_weights(half_window: int, degree: int) -> NDArray[np.float64]:
    """Return the weights whose sum is the value at 0 of the polynomial fitted to a window."""
    powers = np.vander(np.arange(-half_window, half_window + 1), degree + 1, increasing=True)
    weights: NDArray[np.float64] = np.linalg.pinv(powers)[0]
    return weights
