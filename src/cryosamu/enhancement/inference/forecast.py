"""What enhancing a map will take, said before it begins."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from cryosamu.enhancement.inference.predictor import is_out_of_memory
from cryosamu.volume.volume import FloatArray
from cryosamu.volume.windowed import Predictor
from cryosamu.volume.windows import WindowPlan

_PROBE, _LARGE_PROBE = 32, 64
"""Edges of the windows that are timed: the larger one where the smaller is over too soon."""

_LONG_ENOUGH = 0.05
"""Seconds."""

_WORTH_A_LARGE_PROBE = 16
"""Large windows that the work must be worth: otherwise the probe would take its share of it."""


@dataclass(frozen=True)
class Forecast:
    """What the network's part will take.

    Attributes
    ----------
    windows
        To be computed, over all rotations.
    of
        Windows there would be without skipping solvent.
    window
        Shape (nz, ny, nx) of each.
    voxels
        That the network will see, over all windows and rotations.
    seconds
        By a timed probe on this device; None where memory did not suffice for one.
    memory
        Bytes of the device at once.
    device, precision
        By name.
    """

    windows: int
    of: int
    window: tuple[int, int, int]
    voxels: int
    seconds: float | None
    memory: int
    device: str
    precision: str

    @property
    def sentence(self) -> str:
        """One plain sentence."""
        shape = " x ".join(map(str, self.window))
        skipped = f" ({self.of - self.windows} more are solvent)" if self.of > self.windows else ""
        plural = "s" if self.windows != 1 else ""
        time = "" if self.seconds is None else f"about {duration(self.seconds)} and "
        return (
            f"{self.windows} window{plural} of {shape} voxels{skipped} on {self.device} in "
            f"{self.precision}: {time}{self.memory / 1e9:.1f} GB."
        )


def duration(seconds: float) -> str:
    """Return seconds in words, to two digits."""
    if seconds < 90:
        return f"{max(seconds, 0.1):.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"


def seconds_a_voxel(predictor: Predictor, data: FloatArray, stride: int) -> float | None:
    """Return the wall time a voxel of a window from the middle of a volume, once warmed up.

    The larger window is timed where memory suffices for it; None where it suffices for neither.

    Parameters
    ----------
    data
        float32 [nz, ny, nx].
    stride
        Edges of windows are multiples of this.
    """
    small = _middle(data, -(-_PROBE // stride) * stride)
    if _seconds(predictor, small) is None or (took := _seconds(predictor, small)) is None:
        return None
    if took >= _LONG_ENOUGH or data.size < _WORTH_A_LARGE_PROBE * _LARGE_PROBE**3:
        return took / small.size
    large = _middle(data, -(-_LARGE_PROBE // stride) * stride)
    longer = _seconds(predictor, large)
    return took / small.size if longer is None else longer / large.size


def _seconds(predictor: Predictor, window: FloatArray) -> float | None:
    """Return what one window takes; None where memory does not suffice for it."""
    begun = time.perf_counter()
    try:
        predictor(window)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return None
    return time.perf_counter() - begun


def _middle(data: FloatArray, edge: int) -> FloatArray:
    """Return one window [1, edge, edge, edge] about the middle, with zeros where data end."""
    window = np.zeros((1, edge, edge, edge), np.float32)
    seen = tuple(slice(max((n - edge) // 2, 0), (n - edge) // 2 + edge) for n in data.shape)
    seen = tuple(
        slice(cut.start, cut.start + min(n, edge)) for cut, n in zip(seen, data.shape, strict=True)
    )
    part = data[seen]
    z, y, x = part.shape
    window[0, :z, :y, :x] = part
    return window


def forecast_of(
    plan: WindowPlan,
    windows: int,
    a_voxel: float | None,
    memory: int,
    *,
    rotations: int,
    workers: int,
    device: str,
    precision: str,
) -> Forecast:
    """Return the forecast of computing `windows` of a plan's windows.

    Parameters
    ----------
    a_voxel
        Seconds; None where they are not known.
    workers
        Devices that share the windows.
    """
    each = int(np.prod(plan.window))
    turns = -(-windows // workers)
    return Forecast(
        windows * rotations,
        plan.count * rotations,
        plan.window,
        windows * rotations * each,
        None if a_voxel is None else turns * rotations * each * a_voxel,
        memory,
        device,
        precision,
    )
