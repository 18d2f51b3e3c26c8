"""Exact percentiles of large arrays, without sorting or copying them.

A sample tells between which two values the wanted ones lie; one pass over the array counts what
is below and gathers what is between, and that little is sorted. Where the sample misleads, all is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SAMPLE = 1 << 14
_DOUBT = 5.0
"""Standard errors of the sample, and a few places more, that what is gathered reaches beyond."""

_PIECE = 1 << 16
"""Values that are looked at at once: they stay in cache."""

Floats = NDArray[np.floating[Any]]
Key = Callable[[Floats], Floats]


def percentile(data: Floats, percent: float, above: float | None = None) -> float:
    """Return what `np.percentile` of the values does, to the bit.

    Parameters
    ----------
    data
        Floating point without NaN, of any shape.
    percent
        0 to 100.
    above
        Only values above this count; None for all. There must be one.
    """
    count = data.size
    if above is not None:
        count = sum(int(np.count_nonzero(piece > above)) for piece in _pieces(data))
    place = (count - 1) * (percent / 100)
    pair = _in_order(data, data.size - count + int(place))
    return float(np.quantile(pair, place - int(place)))


def median(data: Floats, of: Key | None = None) -> float:
    """Return what `np.median` of the values, or of a function of each, does in double precision.

    Parameters
    ----------
    data
        Floating point without NaN, of any shape, at least one.
    of
        Applied to pieces of the values; None takes them as they are.
    """
    pair = _in_order(data, (data.size - 1) // 2, of).astype(np.float64)
    return float(pair[0] if data.size % 2 else pair.mean())


def _in_order(data: Floats, rank: int, of: Key | None = None) -> Floats:
    """Return the values at places `rank` and one after (or the last) in ascending order, [2]."""
    low, high = _about(data, rank, of)
    below, between = 0, []
    for piece in map(of or _same, _pieces(data)):
        inside = piece >= low
        below += piece.size - int(np.count_nonzero(inside))
        inside &= piece <= high
        between.append(piece[inside])
    found, place = np.concatenate(between), rank - below
    if place < 0 or place + 1 >= found.size:
        # The sample misled, or nothing comes after: all are put in order.
        found, place = np.concatenate(list(map(of or _same, _pieces(data)))), rank
    places = [place, min(place + 1, found.size - 1)]
    found.partition(places)
    return found[places]


def _about(data: Floats, rank: int, of: Key | None) -> tuple[float, float]:
    """Return two values between which, by a sample, the one at `rank` lies."""
    step = max(data.size // _SAMPLE, 1)
    sample = np.concatenate([(of or _same)(piece[::step]) for piece in _pieces(data)])
    sample.sort()
    share = rank / data.size
    doubt = _DOUBT * (np.sqrt(share * (1 - share) * sample.size) + 2)
    first, last = int(share * sample.size - doubt), int(share * sample.size + doubt) + 1
    low = sample[first] if first >= 0 else -np.inf
    return low, sample[last] if last < sample.size else np.inf


def _pieces(data: Floats) -> Iterator[Floats]:
    """Yield the values piece by piece, each flat."""
    if data.ndim > 1:
        for part in data:
            yield from _pieces(part.reshape(-1))
        return
    for start in range(0, data.size, _PIECE):
        yield data[start : start + _PIECE]


def _same(piece: Floats) -> Floats:
    return piece
