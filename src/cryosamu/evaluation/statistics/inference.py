"""What paired differences allow to say: signed ranks, Holm's correction, clustered bootstrap."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

RESAMPLES = 9999
CONFIDENCE = 0.95
_SEED = 2024
_MINIMUM_CLUSTERS = 3


def signed_rank_p(gains: NDArray[np.float64], failures: int = 0) -> float | None:
    """Return the two-sided p of Wilcoxon's signed-rank test; None where nothing differs.

    F. Wilcoxon (1945), Biometrics Bulletin 1, 80-83; zeros are left out. A failure ranks as the
    largest loss.

    Parameters
    ----------
    gains
        [maps] where the method gave a value.
    failures
        Maps on which it gave none.
    """
    worst = -1 - float(np.abs(gains).max(initial=0))
    together = np.concatenate([gains, np.full(failures, worst)])
    if not np.any(together):
        return None
    return float(stats.wilcoxon(together, zero_method="wilcox").pvalue)


def holm(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return p-values [tests] corrected for their number; NaNs stay and do not count.

    S. Holm (1979), Scandinavian Journal of Statistics 6, 65-70.
    """
    corrected = np.full(len(p_values), np.nan)
    known = np.flatnonzero(~np.isnan(p_values))
    order = known[np.argsort(p_values[known], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(factors * p_values[order]), 1)
    return corrected


def clustered_interval(
    gains: NDArray[np.float64], clusters: NDArray[np.object_]
) -> tuple[float, float] | None:
    """Return the BCa interval of the mean of `gains` [maps], 95 %, over whole clusters [maps].

    B. Efron (1987), JASA 82, 171-185: maps of one sequence cluster are drawn together, since they
    do not inform independently. Fixed seed; None below three clusters.
    """
    _, places = np.unique(clusters.astype(str), return_inverse=True)
    sums, counts = np.bincount(places, gains), np.bincount(places).astype(float)
    if len(sums) < _MINIMUM_CLUSTERS:
        return None
    means = sums / counts
    if np.ptp(means) == 0:
        return float(means[0]), float(means[0])
    found = stats.bootstrap(
        (sums, counts),
        _ratio,
        paired=True,
        vectorized=True,
        n_resamples=RESAMPLES,
        confidence_level=CONFIDENCE,
        method="BCa",
        rng=np.random.default_rng(_SEED),
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def _ratio(
    sums: NDArray[np.float64], counts: NDArray[np.float64], axis: int
) -> NDArray[np.float64]:
    ratio: NDArray[np.float64] = sums.sum(axis=axis) / counts.sum(axis=axis)
    return ratio
