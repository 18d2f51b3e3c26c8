"""What is done to a structure to see whether its embedding notes: moved, cut, bent, shaken."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from collected_models import Chains

from cryosamu.structure.model import ProteinChain

LOOP_RESIDUES = 10
SHIFT = np.array([80.0, -60.0, 40.0], np.float32)


def moved(chain: ProteinChain, by: np.ndarray) -> ProteinChain:
    """Return the chain with its atoms displaced; what is missing stays missing."""
    return dataclasses.replace(chain, backbone=(chain.backbone + by).astype(np.float32))


def translated(chains: Chains) -> Chains:
    """Return the model 108 Å away."""
    return [moved(chain, SHIFT) for chain in chains]


def reversed_order(chains: Chains) -> Chains:
    """Return the model with its last chain first."""
    return chains[::-1]


def without_loop(chains: Chains) -> Chains:
    """Return the model without the ten residues in the middle of its longest chain."""
    longest = max(range(len(chains)), key=lambda index: len(chains[index].sequence))
    chain = chains[longest]
    start = max(0, len(chain.sequence) // 2 - LOOP_RESIDUES // 2)
    kept = np.delete(np.arange(len(chain.sequence)), slice(start, start + LOOP_RESIDUES))
    cut = dataclasses.replace(
        chain,
        sequence="".join(chain.sequence[i] for i in kept),
        residue_ids=tuple(chain.residue_ids[i] for i in kept),
        residue_names=tuple(chain.residue_names[i] for i in kept),
        backbone=chain.backbone[kept],
        observed=chain.observed[kept],
    )
    return [*chains[:longest], cut, *chains[longest + 1 :]]


def shaken(chains: Chains) -> Chains:
    """Return the model with each atom displaced by itself, 1 Å rms: bonds are broken."""
    random = np.random.default_rng(0)
    return [moved(c, random.normal(0, 3**-0.5, c.backbone.shape)) for c in chains]


def bent(chains: Chains) -> Chains:
    """Return the model displaced by 1 Å rms, smoothly over some ten residues, as models err."""
    random = np.random.default_rng(0)
    kernel = np.exp(-(np.linspace(-3, 3, 31) ** 2) / 2)
    found = []
    for chain in chains:
        steps = random.normal(size=(len(chain.sequence) + 30, 3))
        field = np.stack([np.convolve(column, kernel, "valid") for column in steps.T], axis=1)
        field /= np.sqrt((field**2).sum(1).mean())
        found.append(moved(chain, field[:, None]))
    return found


CHANGES: dict[str, Callable[[Chains], Chains]] = {
    "translated by 108 Å": translated,
    "chains in reverse order": reversed_order,
    "ten residues missing": without_loop,
    "1 Å rms, smooth": bent,
    "1 Å rms, each atom": shaken,
}
