"""The residues of a model in a map's box: what local measures are taken over."""

from __future__ import annotations

from dataclasses import dataclass

import gemmi
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Residues:
    """Residues in file order, ligands and waters among them, and their atoms.

    Attributes
    ----------
    chains, numbers, names
        Author chain, author number with insertion code, and component of each residue.
    edges
        intp [residues + 1]: residue i has the atoms edges[i] to edges[i + 1].
    positions
        float64 [atoms, 3]: x, y, z in Å, in the frame of the model that was given.
    hydrogen
        bool [atoms].
    centres
        float64 [residues, 3]: CA where there is one, else the mean of the atoms.
    """

    chains: tuple[str, ...]
    numbers: tuple[str, ...]
    names: tuple[str, ...]
    edges: NDArray[np.intp]
    positions: NDArray[np.float64]
    hydrogen: NDArray[np.bool_]
    centres: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.names)

    def means_of_heavy(self, per_atom: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the mean of values [heavy atoms] over each residue; NaN where it has none."""
        values = np.zeros(len(self.hydrogen))
        values[~self.hydrogen] = per_atom
        sums = np.add.reduceat(values, self.edges[:-1])
        counts = np.add.reduceat((~self.hydrogen).astype(np.intp), self.edges[:-1])
        means: NDArray[np.float64] = np.divide(
            sums, counts, out=np.full(len(self), np.nan), where=counts > 0
        )
        return means


def residues_of(model: gemmi.Model) -> Residues:
    """Return the residues of a model that have atoms, all conformers of a residue as one."""
    kept = [(chain, residue) for chain in model for residue in chain if len(residue)]
    positions = [[atom.pos.tolist() for atom in residue] for _, residue in kept]
    return Residues(
        chains=tuple(chain.name for chain, _ in kept),
        numbers=tuple(str(residue.seqid) for _, residue in kept),
        names=tuple(residue.name for _, residue in kept),
        edges=np.cumsum([0, *(len(residue) for _, residue in kept)], dtype=np.intp),
        positions=np.array([place for group in positions for place in group], np.float64),
        hydrogen=np.array([atom.is_hydrogen() for _, residue in kept for atom in residue]),
        centres=np.array(
            [_centre(residue, places) for (_, residue), places in zip(kept, positions, strict=True)]
        ),
    )


def _centre(residue: gemmi.Residue, positions: list[list[float]]) -> NDArray[np.float64]:
    atom = residue.find_atom("CA", "*", gemmi.Element("C"))
    return np.asarray(atom.pos.tolist() if atom else np.mean(positions, axis=0), np.float64)
