"""What the controls put to the test: an enhancement method, a map, and what is known of both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import gemmi
import numpy as np

from cryosamu.errors import MapError
from cryosamu.evaluation.correlation import pearson
from cryosamu.evaluation.masks import model_mask
from cryosamu.evaluation.reference import ModelReference
from cryosamu.volume.fourier import low_pass
from cryosamu.volume.volume import FloatArray, Volume

Condition = Literal["true", "none", "permuted", "another", "perturbed"]
"""What the method is told of the structure: the embedding of the model, nothing, that embedding
shuffled over residues, an unrelated protein's, or that of a model with errors."""

Enhance = Callable[[Volume, Condition], FloatArray]
"""A map and a condition to enhanced voxels, float32 on the map's own grid."""

Verdict = Literal["pass", "fail", "not_applicable"]
Detail = float | int | str | None

_OUTLINE_REACH = 8.0
"""Å beyond a model's mask: where a map is flat from there on, its outline is the model's."""

_FLAT_SHARE = 0.05
_BEYOND_SHARE = 0.05


@dataclass(frozen=True)
class Outcome:
    """What a control found.

    Attributes
    ----------
    number
        1 to 9, in the order of the project's list; 0 is the score made of several.
    value, limit
        The figure and what it is held against; None where there is none.
    expectation
        What a method must show that invents nothing.
    reason
        What was found, or why the control does not apply, in a sentence.
    detail
        Further figures.
    """

    number: int
    control: str
    verdict: Verdict
    value: float | None
    limit: float | None
    expectation: str
    reason: str
    detail: Mapping[str, Detail] = field(default_factory=dict)


def verdict_of(passed: bool) -> Verdict:
    """Return the verdict of a control that could be made."""
    return "pass" if passed else "fail"


def not_applicable(number: int, control: str, expectation: str, reason: str) -> Outcome:
    """Return the outcome of a control that cannot be made."""
    return Outcome(number, control, "not_applicable", None, None, expectation, reason)


@dataclass(frozen=True)
class Subject:
    """A method on a map.

    Attributes
    ----------
    resolution
        Reported resolution, Å.
    structure
        The model fitted into the map; None where there is none.
    perturbed
        The model with errors, or a predicted one, that condition "perturbed" embeds.
    missing
        Condition to the reason why it cannot be had.
    contour
        The depositors' contour level; Otsu's threshold where None.
    halves
        The two half maps, on the map's grid.
    """

    volume: Volume
    resolution: float
    enhance: Enhance
    structure: gemmi.Structure | None = None
    perturbed: gemmi.Structure | None = None
    missing: Mapping[Condition, str] = field(default_factory=dict)
    contour: float | None = None
    halves: tuple[Volume, Volume] | None = None
    _outputs: dict[Condition, FloatArray] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def lacks(self, *conditions: Condition) -> str | None:
        """Return why one of these conditions cannot be had; None where all can."""
        if self.structure is None and any(one != "none" for one in conditions):
            return "no model was given, so there is no embedding to test"
        return next((self.missing[one] for one in conditions if one in self.missing), None)

    def output(self, condition: Condition) -> FloatArray:
        """Return the enhanced map under a condition, made when first asked for."""
        if condition not in self._outputs:
            self._outputs[condition] = self.enhanced(self.volume.data, condition)
        return self._outputs[condition]

    @property
    def fullest(self) -> Condition:
        """The condition that the method is used in: with the embedding where there is one."""
        return "none" if self.lacks("true") else "true"

    def enhanced(self, data: FloatArray, condition: Condition) -> FloatArray:
        """Return what the method makes of other voxels on the map's grid.

        Raises
        ------
        MapError
            When it answers with another grid.
        """
        made = self.enhance(self.volume.with_data(data), condition)
        if made.shape != self.volume.shape:
            raise MapError(f"the method answered with a grid of {made.shape} voxels.")
        return made

    def smooth(self, data: FloatArray) -> FloatArray:
        """Return voxels low-passed to the reported resolution."""
        return low_pass(self.volume.with_data(data), self.resolution).data

    @cached_property
    def reference(self) -> ModelReference:
        """What the model says of the map.

        Raises
        ------
        ValueError
            When there is no model: ask first.
        """
        if self.structure is None:
            raise ValueError("there is no model")
        return ModelReference(self.volume, self.structure, self.resolution)

    def cc_mask(self, data: FloatArray, reference: ModelReference | None = None) -> float:
        """Return CC_mask of voxels, low-passed to the reported resolution, with a model."""
        reference = reference or self.reference
        inside = reference.inside
        return pearson(self.smooth(data)[inside], reference.calculated[inside])

    @cached_property
    def outline_is_models(self) -> bool:
        """Whether the map is flat beyond a few Å of the model.

        Such a map was cut out round its model: its outline tells where the protein is, and what a
        method leaves out of the flat part is no evidence for anything.
        """
        if self.structure is None:
            return False
        data = self.volume.data
        values, counts = np.unique(data, return_counts=True)
        flat = data == values[counts.argmax()]
        near = model_mask(self.reference.boxed, self.volume, extra=_OUTLINE_REACH)
        beyond = (~flat & ~near).sum() / max((~flat).sum(), 1)
        return bool(flat.mean() > _FLAT_SHARE and beyond < _BEYOND_SHARE)
