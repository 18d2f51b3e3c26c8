"""All methods of one entry side by side: same grid, same mask, same model, every metric."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import gemmi
from tqdm import tqdm

from cryosamu.config import EvaluationSettings
from cryosamu.errors import CryosamuError
from cryosamu.evaluation.definitions import METRICS
from cryosamu.evaluation.frame import check_not_constant
from cryosamu.evaluation.fsc import MapModelFsc
from cryosamu.evaluation.measurement import ResidueFigures, measure
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
    residues
        Figures of single residues; None where the method failed.
    """

    method: str
    low_passed: bool
    metrics: Mapping[str, float | None]
    settings: Mapping[str, Setting] = field(default_factory=dict)
    curves: MapModelFsc | None = None
    residues: ResidueFigures | None = None


def judge_entry(
    deposited: Volume,
    structure: gemmi.Structure,
    resolution: float,
    settings: EvaluationSettings,
    finished: Mapping[str, Path] | None = None,
    contour: float | None = None,
    every_residue: bool = False,
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
    every_residue
        Take the local resolution of the maps as they are round every residue.

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
            judged += _judge(name, make(), reference, every_residue)
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


def _judge(
    name: str, made: MethodMap, reference: ModelReference, every_residue: bool
) -> list[Judged]:
    plain = _measure(name, made, reference, every_residue)
    if made.band_limited:
        return [plain, replace(plain, low_passed=True)]
    smooth = low_pass(reference.grid.with_data(made.data), reference.resolution)
    filtered = _measure(name, replace(made, data=smooth.data), reference)
    return [plain, replace(filtered, low_passed=True)]


def _measure(
    name: str, made: MethodMap, reference: ModelReference, every_residue: bool = False
) -> Judged:
    found = measure(made.data, reference, every_residue)
    settings = {**made.settings, **found.settings}
    return Judged(name, False, found.metrics, settings, found.curves, found.residues)


def _failed(name: str, reason: str) -> list[Judged]:
    nothing = dict.fromkeys(METRICS)
    return [Judged(name, low_passed, nothing, {"error": reason}) for low_passed in (False, True)]
