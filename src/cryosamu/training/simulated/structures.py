"""Structures that maps are simulated from: what is learnt from and what is held out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from cryosamu.config import PreparationSettings
from cryosamu.preparation import target_sigma
from cryosamu.training.simulated.library import AtomicStructure


@dataclass(frozen=True)
class SimulatedStructures:
    """What is simulated from.

    Attributes
    ----------
    train, held_out
        Structures to learn from, and to validate on.
    set_aside
        Names of the other structures of the clusters of those held out: neither the one nor the
        other.
    unclustered
        Names of files that do not tell clusters: relatives may be on both sides.
    tokens
        Name to float32 [tokens, width] and bool [tokens].
    preparation
        How maps and targets are brought to the network.
    left_out
        Structures that were not packed since they resemble what is evaluated, and why, as the
        files say.
    evaluated
        Names of the models that they were compared with.
    files
        SHA-256 of each file of structures, by its name.
    """

    train: tuple[AtomicStructure, ...]
    held_out: tuple[AtomicStructure, ...]
    set_aside: tuple[str, ...]
    unclustered: tuple[str, ...]
    tokens: Mapping[str, tuple[Tensor, Tensor]]
    preparation: PreparationSettings
    left_out: tuple[Mapping[str, Any], ...]
    evaluated: tuple[str, ...]
    files: Mapping[str, str]

    def sigma(self, resolution: float) -> float:
        """Return the width in Å of the target's Gaussians at a resolution in Å."""
        return target_sigma(resolution, self.preparation.target)

    def digest(self, structure: AtomicStructure) -> str:
        """Return a SHA-256 over a structure and its tokens."""
        digest = hashlib.sha256(structure.digest.encode())
        for tensor in self.tokens[structure.name]:
            digest.update(tensor.numpy().tobytes())
        return digest.hexdigest()

    def record(self) -> dict[str, Any]:
        """Return what a checkpoint is to say of them, as JSON values."""
        return {
            "files": dict(self.files),
            "structures": [one.name for one in self.train],
            "validation_structures": [one.name for one in self.held_out],
            "set_aside": list(self.set_aside),
            "left_out": [dict(one) for one in self.left_out],
            "evaluated": list(self.evaluated),
        }
