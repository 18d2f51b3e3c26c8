"""The metrics of a map against a model: what each is, over which voxels, and which way is better.

A definition is named by the software that it agrees with, or by a number that goes up with every
change of ours.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryosamu.evaluation import correlation, fsc, local_correlation, local_fsc, q_score

BASELINE = "low_pass"
"""The fair baseline: the deposited map low-passed to the reported resolution."""

_SOFT_MASK = "model, r_vdw + 2 resolutions, blurred by 2 resolutions"


@dataclass(frozen=True)
class Metric:
    """A figure of the evaluation.

    Attributes
    ----------
    definition
        Name and version of what the value agrees with.
    mask
        The voxels that count.
    higher_is_better
        False for resolutions in Å.
    """

    definition: str
    mask: str
    higher_is_better: bool = True


METRICS = {
    "cc_box": Metric(correlation.DEFINITION, "all voxels"),
    "cc_mask": Metric(correlation.DEFINITION, "model, r_vdw + 1.1 Å, shrunk by 0.9 Å"),
    "cc_volume": Metric(correlation.DEFINITION, "densest voxels of the model's map"),
    "cc_peaks": Metric(correlation.DEFINITION, "densest voxels of either map"),
    "cc_image": Metric(correlation.DEFINITION, "model, radius of a carbon atom's image"),
    "cc_residue": Metric(local_correlation.DEFINITION, "each residue, resolution or 3 Å round it"),
    "q_score": Metric(q_score.DEFINITION, "2 Å round each atom"),
    "d_fsc_05_unmasked": Metric(fsc.DEFINITION, "all voxels", higher_is_better=False),
    "d_fsc_05_masked": Metric(fsc.DEFINITION, _SOFT_MASK, higher_is_better=False),
    "d_local_fsc_05": Metric(local_fsc.DEFINITION, "ball round residues", higher_is_better=False),
    "fsc_average_unmasked": Metric(fsc.AVERAGE_DEFINITION, "all voxels"),
    "fsc_average_masked": Metric(fsc.AVERAGE_DEFINITION, _SOFT_MASK),
}
"""Every metric of `cryosamu evaluate MAP MODEL`, in the order of its rows."""
