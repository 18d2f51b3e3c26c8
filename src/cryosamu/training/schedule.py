"""The learning rate of each step."""

from __future__ import annotations

import math

import torch
from torch.optim import SGD
from torch.optim.lr_scheduler import ReduceLROnPlateau

from cryosamu.config import TrainingSettings


class Schedule:
    """Warm-up, then one of three ways down.

    A rate follows from the settings, the step and the validations so far, so that nothing of it
    must be saved.

    Parameters
    ----------
    steps
        Of the whole run: where the cosine ends.
    """

    def __init__(self, settings: TrainingSettings, steps: int) -> None:
        self._settings = settings
        self._steps = steps
        # Followed on a rate of its own, so that warm-up and plateau do not change each other.
        self._followed = SGD([torch.zeros(1)], lr=1.0)
        self._plateau = ReduceLROnPlateau(
            self._followed, factor=settings.plateau_factor, patience=settings.plateau_patience
        )

    def note(self, loss: float) -> None:
        """Take in the loss of a validation."""
        self._plateau.step(loss)

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        settings = self._settings
        rate = settings.learning_rate
        if step < settings.warm_up_steps:
            rate *= (step + 1) / settings.warm_up_steps
        if settings.schedule == "plateau":
            rate *= float(self._followed.param_groups[0]["lr"])
        elif settings.schedule == "cosine":
            rate *= self._cosine(step)
        return rate

    def _cosine(self, step: int) -> float:
        """Return half a cosine from 1, after the warm-up, to 0 at the end (SGDR, Loshchilov)."""
        begun = min(self._settings.warm_up_steps, self._steps)
        share = (step - begun) / max(self._steps - begun, 1)
        return 0.5 * (1 + math.cos(math.pi * min(max(share, 0.0), 1.0)))
