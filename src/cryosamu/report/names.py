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


def _share(key: str, label: str, sentence: str) -> Metric:
    return Metric(key, label, "%", True, 1, 0.1, f"{sentence}, in per cent.")


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
        _correlation(
            "cc_image",
            "CC_image",
            "the voxels that the image of a carbon atom reaches from the model",
        ),
        Metric(
            "cc_residue",
            "CC of residues",
            "",
            True,
            3,
            0.001,
            "Median over the residues of the correlation with the map calculated from the model, "
            "over the voxels near the residue's atoms.",
        ),
        Metric(
            "q_score",
            "Q-score",
            "",
            True,
            3,
            0.001,
            "Mean over the atoms of how closely the density round each falls off as that of a "
            "well-resolved atom does (σ 0.6 Å): 1 for a perfect one, 0 for none.",
        ),
        _crossing("d_fsc_05_masked", "FSC-0.5 masked", "the map within a soft mask of the model"),
        _crossing("d_fsc_05_unmasked", "FSC-0.5 unmasked", "the map as it is"),
        Metric(
            "d_local_fsc_05",
            "Local FSC-0.5",
            "Å",
            False,
            2,
            0.01,
            "Median over residues of the resolution at which the map–model Fourier shell "
            "correlation within a ball round the residue falls below 0.5; a smaller number is "
            "better.",
            ends_at_cut=True,
        ),
        _average(
            "fsc_average_masked", "Mean FSC masked", "the map within a soft mask of the model"
        ),
        _average("fsc_average_unmasked", "Mean FSC unmasked", "the map as it is"),
        _share(
            "residue_coverage",
            "Residues built",
            "Share of the model's residues that an automatically built model has within 3 Å",
        ),
        _share(
            "sequence_match",
            "Sequence right",
            "Share of the matched residues of an automatically built model whose amino acid is "
            "right",
        ),
        _share(
            "catrace_coverage",
            "CA trace coverage",
            "Share of the model's residues that a point of a traced path, one to one, has within "
            "3 Å",
        ),
        _share(
            "catrace_precision",
            "CA trace precision",
            "Share of the points of a traced path that a residue of the model has within 3 Å",
        ),
        _share(
            "catrace_connectivity",
            "CA trace connectivity",
            "Share of the bonds between neighbouring residues that a traced path follows; of the "
            "figures of the trace it tells most",
        ),
        _share(
            "catrace_coverage_excess",
            "CA trace beyond chance",
            "Coverage of the traced path minus that of as many points at random in the same region",
        ),
    )
}

DEPOSITED = "deposited"
LOW_PASS = "low_pass"
LOW_PASS_MASKED = "low_pass_masked"
ENHANCED = "enhanced"
PREDICTED = "enhanced_predicted"
WITHOUT_STRUCTURE = "enhanced_no_structure"

DEPLOYABLE = (PREDICTED, WITHOUT_STRUCTURE)
"""What the network can be told of a map whose model is not known yet."""

METHOD_LABELS = {
    DEPOSITED: "Deposited",
    LOW_PASS: "Deposited, low-passed",
    LOW_PASS_MASKED: "Deposited, low-passed and masked",
    "sharpened": "Deposited, sharpened and low-passed",
    "locally_sharpened": "Deposited, locally sharpened",
    ENHANCED: "Enhanced",
    PREDICTED: "Enhanced, given a predicted or homologous model",
    WITHOUT_STRUCTURE: "Enhanced, no structure given",
    "enhanced_permuted": "Control: enhanced, given the structure's features shuffled",
    "enhanced_another": "Control: enhanced, given an unrelated protein",
    "emready": "EMReady",
    "deepemhancer": "DeepEMhancer",
    "cryoten": "CryoTEN",
    "resolve_cryo_em": "Phenix resolve_cryo_em",
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
    PREDICTED: "#5a9e3c",
    WITHOUT_STRUCTURE: "#d9653b",
}
OTHER_COLOURS = ("#7a8c4a", "#b05c8a", "#5a9bc8", "#a07058")


SCORE = "hallucination_score"

CONTROL_LABELS = {
    "no_embedding": "No embedding",
    "permuted_embedding": "Embedding shuffled",
    "another_embedding": "Another protein",
    "perturbed_model": "Model with errors",
    "no_signal": "No signal",
    "deleted_helix": "Helix deleted",
    "half_maps": "Half maps",
    "inside_resolution": "Inside the resolution",
    "erased_density": "Erased density",
}
"""The controls in the order of their numbers, from 1; a table tells what each must show."""


def control_label(control: str) -> str:
    """Return the name of a control on the page."""
    return CONTROL_LABELS.get(control, control.replace("_", " "))


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
