"""Every metric of one map against the reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from cryosamu.evaluation import correlation, fsc, local_correlation, local_fsc, q_score
from cryosamu.evaluation.definitions import METRICS
from cryosamu.evaluation.masks import SOFT_RADIUS_RATIO
from cryosamu.evaluation.reference import ModelReference
from cryosamu.volume.volume import FloatArray

Setting = float | int | str | bool

_SAMPLED_RESIDUES = 256
"""Residues round which the local resolution of a whole map is taken, evenly over the model."""

_MODEL_THRESHOLD = 0.5
_HALF_MAP_THRESHOLD = 0.143


@dataclass(frozen=True)
class ResidueFigures:
    """Figures of single residues and chains.

    Attributes
    ----------
    correlation, q_score
        float64 [residues]; not a number where not defined.
    local_resolution
        float64 [residues], Å; not a number where not defined or not asked for.
    chains
        Author chain to correlation.
    """

    correlation: NDArray[np.float64]
    q_score: NDArray[np.float64]
    local_resolution: NDArray[np.float64]
    chains: Mapping[str, float]


@dataclass(frozen=True)
class Measured:
    """All that is measured of one map."""

    metrics: Mapping[str, float | None]
    settings: Mapping[str, Setting]
    curves: fsc.MapModelFsc
    residues: ResidueFigures


def measure(data: FloatArray, reference: ModelReference, every_residue: bool = False) -> Measured:
    """Measure voxels [nz, ny, nx] on the reference's grid.

    Parameters
    ----------
    every_residue
        Take the local resolution round every residue, not only round those that the map's own
        figure is made of.
    """
    correlations = asdict(correlation.correlations(data, reference))
    curves = fsc.model_fsc(data, reference)
    residues, q_mean = _residue_figures(data, reference, every_residue)
    figures: dict[str, float | None] = {
        **correlations,
        "cc_residue": _median(residues.correlation),
        "q_score": q_mean,
        "d_fsc_05_unmasked": curves.d_fsc_05_unmasked,
        "d_fsc_05_masked": curves.d_fsc_05_masked,
        "d_local_fsc_05": _median(residues.local_resolution[_sampled(len(residues.q_score))]),
        "fsc_average_unmasked": curves.unmasked.average,
        "fsc_average_masked": curves.masked.average,
    }
    metrics = {name: figures[name] for name in METRICS}
    return Measured(metrics, {**_settings(reference), **_doubts(curves)}, curves, residues)


def half_map_resolutions(
    first: FloatArray, second: FloatArray, reference: ModelReference
) -> NDArray[np.float64]:
    """Return the local resolution, Å [residues], of half maps [nz, ny, nx], where FSC is 0.143."""
    return local_fsc.local_resolutions(
        first,
        second,
        reference.grid,
        reference.residues.centres,
        _diameter(reference),
        _HALF_MAP_THRESHOLD,
    )


def _residue_figures(
    data: FloatArray, reference: ModelReference, every_residue: bool
) -> tuple[ResidueFigures, float]:
    """Return figures of residues, and the mean Q-score over atoms."""
    grid, residues = reference.grid, reference.residues
    local = local_correlation.local_correlations(
        data, reference.calculated, grid, residues, reference.local_radius
    )
    scores = q_score.q_scores(data, grid, reference.heavy_positions, reference.free_radii)
    chosen = slice(None) if every_residue else _sampled(len(residues))
    resolutions = np.full(len(residues), np.nan)
    resolutions[chosen] = local_fsc.local_resolutions(
        data,
        reference.calculated_fully,
        grid,
        residues.centres[chosen],
        _diameter(reference),
        _MODEL_THRESHOLD,
    )
    means = residues.means_of_heavy(scores)
    figures = ResidueFigures(local.residues, means, resolutions, local.chains)
    return figures, float(scores.mean())


def _sampled(count: int) -> slice:
    return slice(None, None, -(-count // _SAMPLED_RESIDUES))


def _diameter(reference: ModelReference) -> float:
    return local_fsc.DIAMETER_RATIO * reference.resolution


def _median(values: NDArray[np.float64]) -> float | None:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else None


def _doubts(curves: fsc.MapModelFsc) -> dict[str, Setting]:
    """Return the first bins below 0.5 of the crossings that cctbx extrapolates from them."""
    crossings = {"unmasked": curves.unmasked.below_half, "masked": curves.masked.below_half}
    return {
        f"d_fsc_05_{name}_extrapolated_from": crossing.first_bin
        for name, crossing in crossings.items()
        if crossing is not None and crossing.extrapolated
    }


def _settings(reference: ModelReference) -> dict[str, Setting]:
    return {
        "resolution": reference.resolution,
        "voxels_inside": int(reference.inside.sum()),
        "atoms_inside": round(reference.atoms_inside, 4),
        "soft_mask_radius": SOFT_RADIUS_RATIO * reference.resolution,
        "residue_radius": round(reference.local_radius, 4),
        "local_fsc_diameter": round(_diameter(reference), 4),
    }
