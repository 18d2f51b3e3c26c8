"""Controls 1 to 4: how an enhanced map hangs on what the method was told of the structure."""

from __future__ import annotations

from cryosamu.evaluation.controls.subject import (
    Condition,
    Detail,
    Outcome,
    Subject,
    not_applicable,
    verdict_of,
)
from cryosamu.evaluation.correlation import pearson
from cryosamu.evaluation.reference import ModelReference

SAME_MAP = 0.9
"""Correlation, at the reported resolution, above which two outputs are the same map."""

NOTABLE_GAIN = 0.01
"""CC_mask that an embedding must add before it is asked where the gain comes from."""

SHARE_OF_GAIN = 0.5
SHARE_OF_PREFERENCE = 0.5
NOTABLE_PREFERENCE = 0.01

_ONE = "Without the embedding the method shows the same map: CC with it, low-passed, is 0.9 or more"
_WRONG = (
    "A wrong embedding neither changes the map (CC with the output without any is 0.9 or more) nor "
    "brings more than half of the gain in CC_mask that the right one brings"
)
_FOUR = (
    "Told a model with errors, the method still shows the map: of the input's preference in "
    "CC_mask for the fitted model over the wrong one, at least half is left"
)


def no_embedding(subject: Subject) -> Outcome:
    """Control 1: the output without an embedding against that with it."""
    if reason := subject.lacks("true", "none"):
        return not_applicable(1, "no_embedding", _ONE, reason)
    value = _alike(subject, "true")
    detail = _fidelity(subject, "true")
    reason = f"correlation {value:.3f}; the embedding changes CC_mask by {detail['gain_true']:+.3f}"
    verdict = verdict_of(value >= SAME_MAP)
    return Outcome(1, "no_embedding", verdict, value, SAME_MAP, _ONE, reason, detail)


def permuted_embedding(subject: Subject) -> Outcome:
    """Control 2: the embedding's features shuffled over residues, each by itself.

    Whole tokens in another order would change nothing: the network's cross-attention does not
    know their order.
    """
    return _wrong_embedding(subject, 2, "permuted_embedding", "permuted")


def another_embedding(subject: Subject) -> Outcome:
    """Control 3: another protein's embedding."""
    return _wrong_embedding(subject, 3, "another_embedding", "another")


def perturbed_model(subject: Subject) -> Outcome:
    """Control 4: the embedding of a perturbed or predicted model.

    A method that paints what it is told follows the model's errors; one that shows the map keeps
    to where the density is.
    """
    name = "perturbed_model"
    if reason := subject.lacks("perturbed"):
        return not_applicable(4, name, _FOUR, reason)
    if subject.perturbed is None:
        return not_applicable(4, name, _FOUR, "no model with errors was given")
    wrong = ModelReference(subject.volume, subject.perturbed, subject.resolution)
    before = subject.cc_mask(subject.volume.data) - subject.cc_mask(subject.volume.data, wrong)
    made = subject.output("perturbed")
    after = subject.cc_mask(made) - subject.cc_mask(made, wrong)
    detail: dict[str, Detail] = {"preference_input": before, "preference_output": after}
    if before < NOTABLE_PREFERENCE:
        reason = "the map itself hardly tells the fitted model from the one with errors"
        return Outcome(4, name, "not_applicable", None, None, _FOUR, reason, detail)
    value = after / before
    reason = (
        f"{100 * value:.0f} % of the preference is left ({before:.3f} before, {after:.3f} after)"
    )
    verdict = verdict_of(value >= SHARE_OF_PREFERENCE)
    return Outcome(4, name, verdict, value, SHARE_OF_PREFERENCE, _FOUR, reason, detail)


def _wrong_embedding(subject: Subject, number: int, name: str, condition: Condition) -> Outcome:
    if reason := subject.lacks("true", "none", condition):
        return not_applicable(number, name, _WRONG, reason)
    value = _alike(subject, condition)
    detail = _fidelity(subject, "true", condition)
    right, wrong = float(detail["gain_true"] or 0), float(detail[f"gain_{condition}"] or 0)
    stolen = right > NOTABLE_GAIN and wrong > SHARE_OF_GAIN * right
    reason = (
        f"correlation {value:.3f}; CC_mask changes by {wrong:+.3f} with the wrong embedding and "
        f"{right:+.3f} with the right one"
    )
    if right <= NOTABLE_GAIN:
        reason += ", too little to ask where it comes from"
    verdict = verdict_of(value >= SAME_MAP and not stolen)
    return Outcome(number, name, verdict, value, SAME_MAP, _WRONG, reason, detail)


def _alike(subject: Subject, condition: Condition) -> float:
    """Return the correlation of two outputs, low-passed, with and without an embedding."""
    first, second = (subject.smooth(subject.output(one)) for one in (condition, "none"))
    return pearson(first.ravel(), second.ravel())


def _fidelity(subject: Subject, *conditions: Condition) -> dict[str, Detail]:
    """Return CC_mask without an embedding, and what each condition adds to it."""
    bare = subject.cc_mask(subject.output("none"))
    found: dict[str, Detail] = {"cc_mask_none": bare}
    for one in conditions:
        found[f"gain_{one}"] = subject.cc_mask(subject.output(one)) - bare
    return found
