"""How fine a map's detail is, held against what the network is made for: noise, local resolution.

As in `input_checks`, nothing is refused; bounds and what they come from: `docs/input_checks.md`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion

from cryosamu.enhancement.checks.input_checks import MEANT_FOR, Finding
from cryosamu.enhancement.trust.half_maps import half_map_resolution
from cryosamu.evaluation.controls.fidelity import HALF_MAP_LEVEL
from cryosamu.evaluation.local_fsc import DIAMETER_RATIO, local_resolutions
from cryosamu.evaluation.map_fsc import power_beyond
from cryosamu.volume.fourier import low_pass
from cryosamu.volume.volume import Volume

_BEYOND = 0.9
_UNFILTERED = 0.15
_MASK_DETAIL = 12.0
_PLACES = 64
_SHARE_OUTSIDE = 0.2


def unfiltered(volume: Volume, resolution: float) -> Finding | None:
    """Note a map with much power at what is finer than it resolves: noise that nobody filtered.

    Parameters
    ----------
    resolution
        As reported, Å.
    """
    finer = _BEYOND * resolution
    if finer <= 2 * max(volume.voxel_size):
        return None
    share = power_beyond(volume.data, volume, 1 / finer)
    if share < _UNFILTERED:
        return None
    return Finding(
        "unfiltered",
        share,
        f"{share:.0%} of the map's power is finer than {finer:.1f} Å, where it resolves nothing: "
        "it is not filtered, as raw reconstructions and half maps are not, and the network may "
        f"take such noise for density; low-pass it to {resolution:g} Å first, unless this is the "
        "map's own detail and its voxel size too small.",
    )


def local_resolution(
    halves: tuple[Volume, Volume], resolution: float | None = None
) -> Finding | None:
    """Note a molecule much of which is locally finer or coarser than the network is made for.

    The local FSC of the raw half maps (0.143) at up to 64 places spread over the molecule.

    Parameters
    ----------
    resolution
        As reported, Å; it sets the size of the windows. That of the half maps where None.

    Returns
    -------
    None where a fifth of the places or less lie outside, or where that cannot be told. The value is
    the share of the places outside.
    """
    width = resolution or half_map_resolution(halves)
    if width is None:
        return None
    first, second = halves
    centres = _places(halves)
    diameter = DIAMETER_RATIO * width
    if len(centres) == 0 or diameter > min(
        count * size for count, size in zip(first.shape, first.voxel_size[::-1], strict=True)
    ):
        return None
    found = local_resolutions(first.data, second.data, first, centres, diameter, HALF_MAP_LEVEL)
    found = found[np.isfinite(found)]
    finest, coarsest = MEANT_FOR
    finer, coarser = (found < finest).mean(), (found > coarsest).mean()
    if not len(found) or finer + coarser <= _SHARE_OUTSIDE:
        return None
    parts = []
    if finer:
        parts.append(f"{finer:.0%} of it is finer than {finest:g} Å, and may lose detail")
    if coarser:
        parts.append(
            f"{coarser:.0%} is coarser than {coarsest:g} Å, and what is added there is guessed"
        )
    low, middle, high = np.percentile(found, (10, 50, 90))
    return Finding(
        "local_resolution",
        float(finer + coarser),
        f"the local resolution of the molecule, by its half maps, goes from {low:.1f} over "
        f"{middle:.1f} to {high:.1f} Å: {'; '.join(parts)}.",
    )


def _places(halves: tuple[Volume, Volume]) -> NDArray[np.float64]:
    """Return up to 64 places (x, y, z), Å in the model frame, spread over the molecule."""
    from skimage.filters import threshold_otsu

    first, second = halves
    mean = first.with_data((first.data + second.data) / np.float32(2))
    smooth = low_pass(mean, max(_MASK_DETAIL, 4 * max(first.voxel_size)), 0.2).data
    level = threshold_otsu(smooth.ravel())  # type: ignore[no-untyped-call]
    inside = smooth > level
    core = binary_erosion(inside)
    places = np.argwhere(core if core.any() else inside)
    chosen = places[:: max(len(places) // _PLACES, 1)][:_PLACES]
    return first.to_model_frame(chosen[:, ::-1].astype(np.float64))
