"""Whether the model lies where it fits its map best."""

from __future__ import annotations

from dataclasses import dataclass

from cryosamu.curation.filter import Decision, Filter, decide
from cryosamu.curation.measurement import Measurement


@dataclass(frozen=True)
class AlignmentFilter(Filter[Measurement]):
    """Drop models that would fit clearly better after a clear shift.

    Both must hold: in a map of repeats or without features, poses far away fit as well as the
    deposited one, but not better.
    """

    maximum_shift: float
    minimum_gain: float
    name = "alignment"

    def judge(self, candidate: Measurement) -> Decision:
        """Judge the length of the best shift in Å, where the correlation gains by it."""
        length, gain = candidate.shift_length, candidate.gain
        if length <= self.maximum_shift:
            reason = f"Its model fits best {length:.1f} Å from where it lies."
            return decide(True, length, self.maximum_shift, reason)
        if gain <= self.minimum_gain:
            reason = (
                f"A shift of {length:.1f} Å would raise its correlation by {gain:.2f} alone: "
                "no clearly better place."
            )
            return decide(True, length, self.maximum_shift, reason)
        x, y, z = candidate.shift
        reason = (
            f"Its model fits better {length:.1f} Å away: adding ({x:.1f}, {y:.1f}, {z:.1f}) Å "
            f"raises the local correlation from {candidate.correlation_deposited:.2f} to "
            f"{candidate.correlation_best:.2f}."
        )
        return decide(False, length, self.maximum_shift, reason)
