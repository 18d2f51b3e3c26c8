"""How fast a training goes: seconds, and crops a second."""

from __future__ import annotations

import time

from cryosamu.training.state import TrainingState


class Pace:
    """A clock beside the steps of one call; what it says enters no result.

    Parameters
    ----------
    batch_size
        Crops a step, of all processes together.
    """

    def __init__(self, batch_size: int) -> None:
        self._batch_size = batch_size
        self._last = time.monotonic()
        self._steps, self._seconds = 0, 0.0

    def count_step(self, state: TrainingState) -> None:
        """Note that a step ended now."""
        self._steps += 1
        self._seconds += self._take(state)

    def end_interval(self, state: TrainingState) -> None:
        """Add a row to the state's pace; what passed since the last step was no training."""
        self._take(state)
        if self._steps:
            rate = round(self.crops_per_second, 3)
            state.pace.append((state.step, round(state.seconds, 3), rate))
        self._steps, self._seconds = 0, 0.0

    @property
    def crops_per_second(self) -> float:
        """Of the steps since the last validation, 0 where there are none."""
        return self._steps * self._batch_size / self._seconds if self._seconds else 0.0

    def _take(self, state: TrainingState) -> float:
        now = time.monotonic()
        passed, self._last = now - self._last, now
        state.seconds += passed
        return passed
