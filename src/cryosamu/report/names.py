"""What the tables' metrics and methods are called on the page, and which way is better."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """A number of the evaluation.

    Attributes
    ----------
    label, unit
        For a table's header; the unit is empty for a plain number.
    higher_is_better
        None for a number that judges nothing.
    digits
        Digits after the point that are shown.
    equal_within
        Differences smaller than this count as equal, in the metric's unit.
    sentence
        The definition in one sentence.
    ends_at_cut
        No low-passed map can be better than its cut.
    """

    key: str
    label: str
    unit: str
    higher_is_better: bool | None
    digits: int
    equal_within: float
    sentence: str
    ends_at_cut: bool = False


def _correlation(key: str, label: str, voxels: str) -> Metric:
    sentence = (
        f"Pearson correlation of the map with the map calculated from the model, over {voxels}."
    )
    return Metric(key, label, "", True, 3, 0.001, sentence)


def _crossing(key: str, label: str, masked: str) -> Metric:
    sentence = (
        f"Resolution at which the map–model Fourier shell correlation falls below 0.5, {masked}; "
        "a smaller number is better."
    )
    return Metric(key, label, "Å", False, 2, 0.01, sentence, ends_at_cut=True)


def _average(key: str, label: str, masked: str) -> Metric:
    sentence = (
        "Mean of the map–model Fourier shell correlation over shells of equal width, weighted by "
        f"the number of reflections, {masked}."
    )
    return Metric(key, label, "", True, 3, 0.001, sentence)


METRICS = {
    metric.key: metric
    for metric in (
        _correlation("cc_box", "CC_box", "all voxels of the box"),
        _correlation("cc_mask", "CC_mask", "the voxels inside the model's van der Waals mask"),
        _correlation(
            "cc_volume",
            "CC_volume",
            "the n voxels of highest calculated density, n being the size of the mask",
        ),
        _correlation(
            "cc_peaks",
            "CC_peaks",
            "the n voxels of highest calculated density and the n of highest map density together",
        ),
        _crossing("d_fsc_05_masked", "FSC-0.5 masked", "the map within a soft mask of the model"),
        _crossing("d_fsc_05_unmasked", "FSC-0.5 unmasked", "the map as it is"),
        _average(
            "fsc_average_masked", "Mean FSC masked", "the map within a soft mask of the model"
        ),
        _average("fsc_average_unmasked", "Mean FSC unmasked", "the map as it is"),
    )
}

DEPOSITED = "deposited"
LOW_PASS = "low_pass"
LOW_PASS_MASKED = "low_pass_masked"
ENHANCED = "enhanced"
WITHOUT_STRUCTURE = "enhanced_no_structure"

METHOD_LABELS = {
    DEPOSITED: "Deposited",
    LOW_PASS: "Deposited, low-passed",
    LOW_PASS_MASKED: "Deposited, low-passed and masked",
    "sharpened": "Deposited, sharpened and low-passed",
    ENHANCED: "Enhanced",
    WITHOUT_STRUCTURE: "Enhanced, no structure given",
    "envelope": "Floor: featureless envelope of the model",
    "random_phases": "Floor: deposited with random fine phases",
}
"""Known methods in the order in which they are listed; others follow under their own names."""

FLOORS = ("envelope", "random_phases")

METHOD_COLOURS = {
    DEPOSITED: "#8692a3",
    LOW_PASS: "#4f6bb0",
    LOW_PASS_MASKED: "#9a6fc4",
    "sharpened": "#b8862f",
    ENHANCED: "#12908e",
    WITHOUT_STRUCTURE: "#d9653b",
}
OTHER_COLOURS = ("#7a8c4a", "#b05c8a", "#5a9bc8", "#a07058")


def metric_of(key: str) -> Metric:
    """Return what is known of a metric; an unknown one judges nothing and keeps its name."""
    unknown = Metric(key, key, "", None, 4, 0, "Not described in this version of the report.")
    return METRICS.get(key, unknown)


def method_label(method: str) -> str:
    """Return the name of a method on the page."""
    return METHOD_LABELS.get(method, method)


def ordered(keys: set[str], known: Iterable[str]) -> list[str]:
    """Return `keys` in the order of `known`, unknown ones after them by name."""
    known = list(known)
    return [key for key in known if key in keys] + sorted(keys - set(known))
