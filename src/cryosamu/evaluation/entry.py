"""All methods of one entry side by side: same grid, same mask, same model, every metric."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

import gemmi
from tqdm import tqdm

from cryosamu.config import EvaluationSettings
from cryosamu.errors import CryosamuError
from cryosamu.evaluation import correlation, fsc
from cryosamu.evaluation.frame import check_not_constant
from cryosamu.evaluation.masks import SOFT_RADIUS_RATIO
from cryosamu.evaluation.methods import (
    BASELINES,
    FLOORS,
    MethodMap,
    Setting,
    make_baseline,
    make_floor,
    read_finished,
)
from cryosamu.evaluation.reference import ModelReference
from cryosamu.volume.fourier import low_pass
from cryosamu.volume.volume import Volume

DEFINITIONS = {
    "cc_box": correlation.DEFINITION,
    "cc_mask": correlation.DEFINITION,
    "cc_volume": correlation.DEFINITION,
    "cc_peaks": correlation.DEFINITION,
    "d_fsc_05_unmasked": fsc.DEFINITION,
    "d_fsc_05_masked": fsc.DEFINITION,
    "fsc_average_unmasked": fsc.AVERAGE_DEFINITION,
    "fsc_average_masked": fsc.AVERAGE_DEFINITION,
}
"""Metric to the definition that its value agrees with."""


@dataclass(frozen=True)
class Judged:
    """One method's map, as it is or low-passed to the reported resolution.

    Attributes
    ----------
    metrics
        Name to value; None where it is not defined, or where the method failed.
    settings
        How the map was made and measured; `error` where the method failed.
    curves
        The FSC curves; None where the method failed.
    """

    method: str
    low_passed: bool
    metrics: Mapping[str, float | None]
    settings: Mapping[str, Setting] = field(default_factory=dict)
    curves: fsc.MapModelFsc | None = None


def judge_entry(
    deposited: Volume,
    structure: gemmi.Structure,
    resolution: float,
    settings: EvaluationSettings,
    finished: Mapping[str, Path] | None = None,
    contour: float | None = None,
) -> list[Judged]:
    """Judge the deposited map, the baselines, finished maps and the floors against a model.

    A method whose map cannot be had, or cannot be judged, counts: its values are None and its
    settings say why.

    Parameters
    ----------
    resolution
        Reported resolution, Å.
    finished
        Method name to a map file on the deposited map's grid.
    contour
        The depositors' contour level, for the mask of `low_pass_masked`.

    Raises
    ------
    MapError, ModelError
        When the deposited map and the model cannot be compared.
    """
    check_not_constant(deposited.data)
    reference = ModelReference(deposited, structure, resolution)
    makers = dict(_makers(deposited, reference, settings, finished or {}, contour))
    judged: list[Judged] = []
    for name, make in tqdm(makers.items(), desc="methods", unit="map", disable=None):
        try:
            judged += _judge(name, make(), reference)
        except CryosamuError as error:
            judged += _failed(name, str(error))
    return judged


def _makers(
    deposited: Volume,
    reference: ModelReference,
    settings: EvaluationSettings,
    finished: Mapping[str, Path],
    contour: float | None,
) -> Iterator[tuple[str, Callable[[], MethodMap]]]:
    """Yield method names with what makes their maps, one at a time in memory."""
    wanted = ("deposited", *settings.methods)
    for name in BASELINES:
        if name in wanted:
            resolution = reference.resolution
            yield name, partial(make_baseline, name, deposited, resolution, settings, contour)
    for method, path in finished.items():
        yield method, partial(read_finished, path, deposited)
    for floor in FLOORS:
        yield floor, partial(make_floor, floor, deposited, reference)


def _judge(name: str, made: MethodMap, reference: ModelReference) -> list[Judged]:
    plain = _measure(name, made, reference)
    if made.band_limited:
        return [plain, replace(plain, low_passed=True)]
    smooth = low_pass(reference.grid.with_data(made.data), reference.resolution)
    filtered = _measure(name, replace(made, data=smooth.data), reference)
    return [plain, replace(filtered, low_passed=True)]


def _measure(name: str, made: MethodMap, reference: ModelReference) -> Judged:
    correlations = asdict(correlation.correlations(made.data, reference))
    curves = fsc.model_fsc(made.data, reference)
    metrics: dict[str, float | None] = {
        **{name: value for name, value in correlations.items() if name in DEFINITIONS},
        "d_fsc_05_unmasked": curves.d_fsc_05_unmasked,
        "d_fsc_05_masked": curves.d_fsc_05_masked,
        "fsc_average_unmasked": curves.unmasked.average,
        "fsc_average_masked": curves.masked.average,
    }
    settings = {**made.settings, **_measured_with(reference), **_doubts(curves)}
    return Judged(name, False, metrics, settings, curves)


def _doubts(curves: fsc.MapModelFsc) -> dict[str, Setting]:
    """Return the first bins below 0.5 of the crossings that cctbx extrapolates from them."""
    crossings = {"unmasked": curves.unmasked.below_half, "masked": curves.masked.below_half}
    return {
        f"d_fsc_05_{name}_extrapolated_from": crossing.first_bin
        for name, crossing in crossings.items()
        if crossing is not None and crossing.extrapolated
    }


def _measured_with(reference: ModelReference) -> dict[str, Setting]:
    return {
        "resolution": reference.resolution,
        "voxels_inside": int(reference.inside.sum()),
        "atoms_inside": round(reference.atoms_inside, 4),
        "soft_mask_radius": SOFT_RADIUS_RATIO * reference.resolution,
    }


def _failed(name: str, reason: str) -> list[Judged]:
    nothing = dict.fromkeys(DEFINITIONS)
    return [Judged(name, low_passed, nothing, {"error": reason}) for low_passed in (False, True)]
