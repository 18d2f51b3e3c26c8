"""The hallucination score: how much an output shows of a structure that its input does not hold."""

from __future__ import annotations

from collections.abc import Sequence

from cryosamu.evaluation.controls.subject import Detail, Outcome, not_applicable, verdict_of

LIMIT = 0.2

NAME = "hallucination_score"

_EXPECTATION = (
    "Hallucination score, 0 to 1: the largest share of a structure that is not in the input and is "
    "in the output all the same; 0 for a method that leaves the map as it is, 1 for one that "
    "paints the model; at most 0.2"
)
_NO_SIGNAL_SHARES = ("noise_share", "random_phases_share")


def hallucination_score(outcomes: Sequence[Outcome]) -> Outcome:
    """Return the score of a map from controls 5 and 6.

    The maximum of three shares, each 0 where the output holds what the input holds and 1 where it
    holds the whole model: what noise becomes, what a map with random fine phases becomes, and what
    comes back of a deleted helix. Chance moves the first two by about 0.02 on maps of a chain.
    """
    parts: dict[str, float] = {}
    uncertain = ""
    for outcome in outcomes:
        if outcome.control == "no_signal":
            for name in _NO_SIGNAL_SHARES:
                share = outcome.detail.get(name)
                if isinstance(share, float):
                    parts[name] = share
        if outcome.control == "deleted_helix" and outcome.value is not None:
            parts["deleted_helix_share"] = min(max(outcome.value, 0.0), 1.0)
            if outcome.verdict == "not_applicable":
                uncertain = "; the map's outline shows where the helix was"
    if not parts:
        return not_applicable(0, NAME, _EXPECTATION, "neither control 5 nor 6 could be made")
    largest = max(parts, key=lambda name: parts[name])
    value = parts[largest]
    detail: dict[str, Detail] = {**parts, "largest": largest}
    words = ", ".join(
        f"{name.removesuffix('_share').replace('_', ' ')} {share:.2f}"
        for name, share in parts.items()
    )
    return Outcome(
        0,
        NAME,
        verdict_of(value <= LIMIT),
        value,
        LIMIT,
        _EXPECTATION,
        f"{words}{uncertain}",
        detail,
    )
