"""A model with errors that change smoothly along it, as those of predicted models do."""

from __future__ import annotations

import gemmi
import numpy as np

_WAVES = 32


def perturbed(
    structure: gemmi.Structure, displacement: float, length: float = 20.0, seed: int = 2024
) -> gemmi.Structure:
    """Return a copy whose atoms are moved along a smooth random field.

    The field is a sum of plane waves of random direction and phase with wavelengths of about
    2π · `length`: near atoms move together, so that bonds and helices stay, distant ones do not.

    Parameters
    ----------
    displacement
        Root mean square over the atoms, Å.
    length
        Å over which the displacement changes.
    """
    copy = structure.clone()
    atoms = [site.atom for site in copy[0].all()]
    positions = np.array([atom.pos.tolist() for atom in atoms])
    rng = np.random.default_rng(seed)
    waves = rng.standard_normal((_WAVES, 3)) / length
    phases = rng.uniform(0, 2 * np.pi, _WAVES)
    amplitudes = rng.standard_normal((_WAVES, 3))
    field = np.cos(positions @ waves.T + phases) @ amplitudes
    # A motion of the whole model is no error of it.
    field -= field.mean(axis=0)
    field *= displacement / max(float(np.sqrt((field**2).sum(axis=1).mean())), 1e-9)
    for atom, position in zip(atoms, positions + field, strict=True):
        atom.pos = gemmi.Position(*position)
    return copy
