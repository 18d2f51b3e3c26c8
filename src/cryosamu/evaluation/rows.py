"""What was judged as rows of the tables that cross to the report."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pandas as pd

from cryosamu.evaluation.entry import DEFINITIONS, Judged


def evaluation_table(judged: Sequence[Judged], emdb_id: str, pdb_id: str) -> pd.DataFrame:
    """Return the rows of `tables.EVALUATION`, one a method, metric and filter."""
    return pd.DataFrame(
        [
            {
                "emdb_id": emdb_id,
                "pdb_id": pdb_id,
                "method": one.method,
                "metric": metric,
                "value": value,
                "definition": DEFINITIONS[metric],
                "low_passed": one.low_passed,
                "settings": json.dumps(dict(one.settings), sort_keys=True),
            }
            for one in judged
            for metric, value in one.metrics.items()
        ]
    )


def curves_table(judged: Sequence[Judged], emdb_id: str) -> pd.DataFrame:
    """Return the rows of `tables.CURVES`: shells of equal width, maps as they are."""
    frames = [
        pd.DataFrame(
            {
                "emdb_id": emdb_id,
                "method": one.method,
                "curve": name,
                "spatial_frequency": curve.shells.spatial_frequency,
                "fsc": curve.shells.fsc,
            }
        )
        for one in judged
        if one.curves is not None and not one.low_passed
        for name, curve in (("masked", one.curves.masked), ("unmasked", one.curves.unmasked))
    ]
    return pd.concat(frames, ignore_index=True)
