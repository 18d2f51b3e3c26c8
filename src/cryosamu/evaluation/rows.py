"""What was judged as rows of the tables that cross to the report."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cryosamu.evaluation.definitions import BASELINE, METRICS
from cryosamu.evaluation.entry import Judged
from cryosamu.evaluation.methods import FLOORS
from cryosamu.evaluation.residues import Residues


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
                "definition": METRICS[metric].definition,
                "mask": METRICS[metric].mask,
                "low_passed": one.low_passed,
                "floor": _best(judged, FLOORS, metric, one.low_passed),
                "baseline": _best(judged, (BASELINE,), metric, one.low_passed),
                "settings": json.dumps(dict(one.settings), sort_keys=True),
            }
            for one in judged
            for metric, value in one.metrics.items()
        ]
    )


def _best(
    judged: Sequence[Judged], methods: Sequence[str], metric: str, low_passed: bool
) -> float | None:
    """Return the best value that any of `methods` reaches, of maps filtered alike."""
    values = [
        one.metrics[metric]
        for one in judged
        if one.method in methods and one.low_passed == low_passed
    ]
    known = [value for value in values if value is not None]
    choose = max if METRICS[metric].higher_is_better else min
    return choose(known, default=None)


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


def residues_table(
    judged: Sequence[Judged],
    residues: Residues,
    emdb_id: str,
    pdb_id: str,
    half_maps: NDArray[np.float64] | None = None,
) -> pd.DataFrame:
    """Return the rows of `tables.RESIDUES`, one a method and residue, maps as they are.

    Parameters
    ----------
    half_maps
        Local resolution of the half maps round each residue, [residues], Å; the same for all
        methods.
    """
    frames = [
        pd.DataFrame(
            {
                "emdb_id": emdb_id,
                "pdb_id": pdb_id,
                "method": one.method,
                "chain": residues.chains,
                "residue": residues.numbers,
                "name": residues.names,
                "cc": one.residues.correlation,
                "cc_chain": [one.residues.chains[chain] for chain in residues.chains],
                "q_score": one.residues.q_score,
                "d_local_fsc_05": one.residues.local_resolution,
                "d_local_half_maps": np.nan if half_maps is None else half_maps,
            }
        )
        for one in judged
        if one.residues is not None and not one.low_passed
    ]
    return pd.concat(frames, ignore_index=True)
