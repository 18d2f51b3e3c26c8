"""All controls of one map, and their table."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pandas as pd
from tqdm import tqdm

from cryosamu.evaluation.controls.absence import deleted_helix, no_signal
from cryosamu.evaluation.controls.embedding import (
    another_embedding,
    no_embedding,
    permuted_embedding,
    perturbed_model,
)
from cryosamu.evaluation.controls.fidelity import erased_density, half_maps, inside_resolution
from cryosamu.evaluation.controls.score import hallucination_score
from cryosamu.evaluation.controls.subject import Outcome, Subject
from cryosamu.evaluation.frame import check_not_constant, check_resolution

CONTROLS = (
    no_embedding,
    permuted_embedding,
    another_embedding,
    perturbed_model,
    no_signal,
    deleted_helix,
    half_maps,
    inside_resolution,
    erased_density,
)
"""In the order of their numbers, from 1."""

_DIGITS = 6


def run_controls(subject: Subject) -> list[Outcome]:
    """Return the hallucination score and then the nine controls.

    Raises
    ------
    MapError, ModelError
        When map and model cannot be compared, or the method cannot enhance.
    """
    check_resolution(subject.volume, subject.resolution)
    check_not_constant(subject.volume.data)
    bar = tqdm(CONTROLS, desc="controls", unit="control", disable=None)
    outcomes = [control(subject) for control in bar]
    return [hallucination_score(outcomes), *outcomes]


def controls_table(outcomes: Sequence[Outcome], emdb_id: str, pdb_id: str) -> pd.DataFrame:
    """Return the rows of `tables.CONTROLS`."""
    return pd.DataFrame(
        [
            {
                "emdb_id": emdb_id,
                "pdb_id": pdb_id,
                "number": one.number,
                "control": one.control,
                "verdict": one.verdict,
                "value": one.value,
                "limit": one.limit,
                "expectation": one.expectation,
                "reason": one.reason,
                "detail": json.dumps(rounded(one), sort_keys=True),
            }
            for one in outcomes
        ]
    ).astype({"value": float, "limit": float})


def rounded(outcome: Outcome) -> dict[str, float | int | str | None]:
    """Return an outcome's detail with figures of six digits."""
    return {
        name: round(value, _DIGITS) if isinstance(value, float) else value
        for name, value in outcome.detail.items()
    }
