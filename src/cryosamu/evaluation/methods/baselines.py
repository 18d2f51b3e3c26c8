"""The maps that an enhanced map is held against: trivial processing above, floors below.

Baselines are made from the deposited map alone. Floors know the model and nothing else, or the
deposited map's amplitudes and nothing else: what they reach is not evidence for anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import scipy.fft
from skimage.filters import threshold_otsu

from cryosamu.config import EvaluationSettings
from cryosamu.evaluation.masks import gaussian_blur
from cryosamu.evaluation.methods.local_sharpening import LOCAL_WINDOW_RATIO, sharpen_locally
from cryosamu.evaluation.reference import ModelReference
from cryosamu.volume.fourier import low_pass, sharpen, spatial_frequency_squared
from cryosamu.volume.volume import FloatArray, Volume

Setting = float | int | str | bool

BASELINES = ("deposited", "low_pass", "low_pass_masked", "sharpened", "locally_sharpened")
FLOORS = ("envelope", "random_phases")

_MASK_GROWTH = 0.1
"""Value of the blurred contour down to which the mask is grown."""

_PHASES_BEYOND = 7.0
_PHASES_BEYOND_RATIO = 1.25
_PHASES_SEED = 2024


@dataclass(frozen=True)
class MethodMap:
    """A map to be judged.

    Attributes
    ----------
    data
        float32 [nz, ny, nx] on the deposited map's grid.
    settings
        How it was made.
    band_limited
        It holds nothing finer than the reported resolution: low-passing changes nothing.
    """

    data: FloatArray
    settings: Mapping[str, Setting] = field(default_factory=dict)
    band_limited: bool = False


def make_baseline(
    name: str,
    deposited: Volume,
    resolution: float,
    settings: EvaluationSettings,
    contour: float | None = None,
) -> MethodMap:
    """Return one of `BASELINES`.

    Parameters
    ----------
    resolution
        Reported resolution, Å: a hard low-pass, as the calculated map has.
    contour
        The depositors' contour level, for the mask; Otsu's threshold where None.
    """
    if name == "deposited":
        return MethodMap(deposited.data)
    if name == "sharpened":
        b_factor = settings.sharpening_b_factor
        sharpened = low_pass(sharpen(deposited, b_factor), resolution)
        return MethodMap(
            sharpened.data, {"b_factor": b_factor, "low_pass": resolution}, band_limited=True
        )
    smooth = low_pass(deposited, resolution)
    if name == "low_pass":
        return MethodMap(smooth.data, {"low_pass": resolution}, band_limited=True)
    if name == "locally_sharpened":
        return _locally_sharpened(smooth, resolution, settings, contour)
    mask, made = density_mask(smooth, resolution, contour)
    return MethodMap(smooth.data * mask, {"low_pass": resolution, **made})


def _locally_sharpened(
    smooth: Volume, resolution: float, settings: EvaluationSettings, contour: float | None
) -> MethodMap:
    mask, made = density_mask(smooth, resolution, contour)
    window, b_factor = LOCAL_WINDOW_RATIO * resolution, settings.sharpening_b_factor
    data = sharpen_locally(smooth, resolution, mask, window, b_factor)
    own: dict[str, Setting] = {"b_factor": b_factor, "low_pass": resolution, "window": window}
    return MethodMap(data, own | made)


def density_mask(
    smooth: Volume, resolution: float, contour: float | None
) -> tuple[FloatArray, dict[str, Setting]]:
    """Return a soft mask from a low-passed map alone, and how it was made.

    The voxels at or above the level, grown by blurring with σ = resolution / 2 down to 0.1, then
    blurred again so that the edge falls off outside.

    Returns
    -------
    float32 [nz, ny, nx] in [0, 1], and its settings
    """
    if contour is None:
        contour = float(threshold_otsu(smooth.data.ravel()))  # type: ignore[no-untyped-call]
        source = "Otsu's threshold"
    else:
        source = "deposited contour level"
    sigma = resolution / 2
    core = smooth.with_data((smooth.data >= contour).astype(np.float32))
    grown = (gaussian_blur(core, sigma).data >= _MASK_GROWTH).astype(np.float32)
    mask = np.clip(2 * gaussian_blur(core.with_data(grown), sigma).data, 0, 1)
    return mask, {"mask_level": contour, "mask_from": source, "mask_sigma": sigma}


def make_floor(name: str, deposited: Volume, reference: ModelReference) -> MethodMap:
    """Return one of `FLOORS`.

    envelope : the inside of the model's mask as 1, outside as 0, low-passed.
    random_phases : the deposited map with random phases beyond 7 Å, or beyond 1.25 · resolution
    where that is coarser.
    """
    resolution = reference.resolution
    if name == "envelope":
        inside = deposited.with_data(reference.inside.astype(np.float32))
        made: dict[str, Setting] = {"low_pass": resolution}
        return MethodMap(low_pass(inside, resolution).data, made, band_limited=True)
    beyond = phases_random_beyond(resolution)
    made = {"phases_random_beyond": beyond, "seed": _PHASES_SEED}
    return MethodMap(randomise_phases(deposited, beyond, _PHASES_SEED), made)


def phases_random_beyond(resolution: float) -> float:
    """Return the Å beyond which phases are made random for a map of a reported resolution (Å)."""
    return max(_PHASES_BEYOND, _PHASES_BEYOND_RATIO * resolution)


def randomise_phases(volume: Volume, beyond: float, seed: int) -> FloatArray:
    """Return voxels [nz, ny, nx] whose phases finer than `beyond` Å are those of white noise.

    Amplitudes stay. Infinite: all phases but the mean's.
    """
    noise = np.random.default_rng(seed).standard_normal(volume.shape, np.float32)
    phases = scipy.fft.rfftn(noise, workers=-1)
    spectrum = scipy.fft.rfftn(volume.data, workers=-1)
    fine = spatial_frequency_squared(volume) > 1 / beyond**2
    spectrum[fine] = np.abs(spectrum[fine]) * np.exp(1j * np.angle(phases[fine]))
    data = scipy.fft.irfftn(spectrum, s=volume.shape, workers=-1, overwrite_x=True)
    return np.asarray(data, np.float32)
