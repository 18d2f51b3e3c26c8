"""Whether the model lies where it fits its map best."""

from __future__ import annotations

import math
from dataclasses import dataclass

from cryosamu.config import AlignmentSettings
from cryosamu.curation.filter import Decision, Filter, decide
from cryosamu.curation.measurement import Measurement, Numbers


@dataclass(frozen=True)
class AlignmentFilter(Filter[Measurement]):
    """Drop models that fit clearly better in another pose, or keep them there.

    Both must hold: displaced, and better by more than chance. In a map of repeats or without
    features, poses far away fit as well as the deposited one, but not better.
    """

    settings: AlignmentSettings
    name = "alignment"

    def judge(self, candidate: Measurement) -> Decision:
        """Judge how far the atoms are from the best pose, Å, where that is clearly better."""
        value, limit = candidate.displacement, self.settings.maximum_displacement
        if value <= limit:
            reason = f"Its model lies {value:.2f} Å from where it fits best."
            return decide(True, value, limit, reason)
        before, after = candidate.correlation_deposited, candidate.correlation_best
        if not self._misaligned(candidate):
            reason = (
                f"Moving its model by {value:.1f} Å would raise its local correlation from "
                f"{before:.3f} to {after:.3f} alone, which may be chance: no clearly better pose."
            )
            return decide(True, value, limit, reason)
        x, y, z = candidate.shift
        reason = (
            f"Its model fits better elsewhere: adding ({x:.1f}, {y:.1f}, {z:.1f}) Å to its centre, "
            f"{math.hypot(x, y, z):.1f} Å in all, and turning it by "
            f"{candidate.rotation_angle:.1f}° raises the local correlation from {before:.2f} "
            f"to {after:.2f}"
        )
        if candidate.header_offset:
            reason += f"; {candidate.header_offset}"
        repaired = self.repairs(candidate)
        return decide(repaired, value, limit, reason + ("; it was moved." if repaired else "."))

    def repairs(self, candidate: Measurement) -> bool:
        """Return whether the model is used in its best pose instead of the deposited one."""
        return self.settings.repair and self._misaligned(candidate)

    def numbers(self, candidate: Measurement) -> Numbers:
        """Return the numbers of the pose in which the model is used."""
        if self.repairs(candidate) and candidate.repaired is not None:
            return candidate.repaired
        return candidate

    def _misaligned(self, candidate: Measurement) -> bool:
        return (
            candidate.displacement > self.settings.maximum_displacement
            and candidate.significance > self.settings.minimum_significance
        )
