"""Controls 5 and 6: what the method shows where the input holds no structure, or no longer does."""

from __future__ import annotations

import math

from cryosamu.evaluation.controls.deletion import Deletion, delete_segment, find_segment
from cryosamu.evaluation.controls.subject import (
    Detail,
    Outcome,
    Subject,
    not_applicable,
    verdict_of,
)
from cryosamu.evaluation.methods import phases_random_beyond, randomise_phases
from cryosamu.volume.fourier import low_pass
from cryosamu.volume.volume import FloatArray

INVENTED = 0.1
"""Share of the way from the floor to the model that an output may go without any signal."""

RETURNED = 0.2
"""Share of a deleted segment's density that may come back."""

SEED = 2024

_FIVE = (
    "From noise, and from a map whose fine phases are noise, the true embedding makes no more of "
    "the model than the input holds: at most 0.1 of the way from that floor to the model"
)
_SIX = "Of a helix that is deleted from the input, at most 0.2 comes back"
_OUTLINE = (
    "; the map is flat beyond a few Å of the model, so that its outline gives the model away and "
    "nothing can be shown by it"
)


def no_signal(subject: Subject) -> Outcome:
    """Control 5: noise with the map's own spectrum, and the map with random fine phases."""
    name = "no_signal"
    if reason := subject.lacks("true"):
        return not_applicable(5, name, _FIVE, reason)
    noise = randomise_phases(subject.volume, math.inf, SEED)
    beyond = phases_random_beyond(subject.resolution)
    scrambled = randomise_phases(subject.volume, beyond, SEED)
    coarse = low_pass(subject.volume, beyond).data
    found = {
        "noise": _invented(subject, noise, floor=max(subject.cc_mask(noise), 0.0)),
        "random_phases": _invented(
            subject, scrambled, floor=max(subject.cc_mask(scrambled), subject.cc_mask(coarse), 0.0)
        ),
    }
    value = max(shares[0] for shares in found.values())
    detail: dict[str, Detail] = {"phases_random_beyond": beyond}
    for kind, (share, reached, floor) in found.items():
        detail |= {f"{kind}_share": share, f"{kind}_cc_mask": reached, f"{kind}_floor": floor}
    reason = (
        f"CC_mask {detail['noise_cc_mask']:.3f} from noise (floor {detail['noise_floor']:.3f}), "
        f"{detail['random_phases_cc_mask']:.3f} from random phases beyond {beyond:.1f} Å (floor "
        f"{detail['random_phases_floor']:.3f})"
    )
    verdict = verdict_of(value <= INVENTED)
    return Outcome(5, name, verdict, value, INVENTED, _FIVE, reason, detail)


def _invented(subject: Subject, data: FloatArray, floor: float) -> tuple[float, float, float]:
    """Return the share of the way from the floor to the model, CC_mask reached, and the floor."""
    reached = subject.cc_mask(subject.enhanced(data, "true"))
    return min(max((reached - floor) / (1 - floor), 0.0), 1.0), reached, floor


def deleted_helix(subject: Subject) -> Outcome:
    """Control 6: a helix is deleted from the input while the embedding still knows it."""
    name = "deleted_helix"
    if reason := subject.lacks("true"):
        return not_applicable(6, name, _SIX, reason)
    assert subject.structure is not None
    segment = find_segment(subject.structure, subject.volume)
    if segment is None:
        return not_applicable(6, name, _SIX, "no chain has 8 residues in a row inside the map")
    deletion = delete_segment(subject.volume, subject.structure, segment, subject.resolution)
    value, detail = _returned(subject, deletion)
    detail |= {"segment": segment.name, "helical": int(segment.helical)}
    if value is None:
        reason = f"the map does not show {segment.name} well enough to delete it"
        return Outcome(6, name, "not_applicable", None, None, _SIX, reason, detail)
    reason = f"{100 * value:.0f} % of the density of {segment.name} came back"
    verdict = verdict_of(value <= RETURNED)
    if verdict == "pass" and subject.outline_is_models:
        return Outcome(6, name, "not_applicable", value, RETURNED, _SIX, reason + _OUTLINE, detail)
    return Outcome(6, name, verdict, value, RETURNED, _SIX, reason, detail)


def _returned(subject: Subject, deletion: Deletion) -> tuple[float | None, dict[str, Detail]]:
    """Return the share of the deleted density in the output, 0 as in the input, 1 as before.

    A map's contrast at the segment is its covariance with the segment's calculated density; each
    is taken relative to the same kind of map with nothing deleted, so that scale does not matter.
    """
    full_input, full_output = (
        deletion.contrast(data) for data in (subject.volume.data, subject.output("true"))
    )
    if full_input <= 0 or full_output <= 0:
        return None, {"contrast_input": full_input, "contrast_output": full_output}
    left = deletion.contrast(deletion.data) / full_input
    shown = deletion.contrast(subject.enhanced(deletion.data, "true")) / full_output
    detail: dict[str, Detail] = {"left_in_input": left, "shown_in_output": shown}
    if left > 0.7:
        return None, detail
    return float((shown - left) / (1 - left)), detail
