"""Models of atoms strewn in shapes, and their maps as sums of Gaussians, made by numpy alone."""

from __future__ import annotations

import gemmi
import numpy as np
from numpy.typing import NDArray

from cryosamu.volume.volume import Volume

VOXEL = 1.5
SHAPE = (56, 60, 64)
ORIGIN = (-30.0, 12.5, 100.0)
MIDDLE = np.array(ORIGIN) + VOXEL * np.array(SHAPE[::-1]) / 2
SIGMA = 1.6
"""Å, of an atom in the map."""

Positions = NDArray[np.float64]


def strewn(
    count: int, radii: tuple[float, float, float], seed: int, apart: float = 1.5
) -> Positions:
    """Atoms in an ellipsoid about the box's middle, none nearer to another than `apart` Å."""
    random = np.random.default_rng(seed)
    found: list[Positions] = []
    while len(found) < count:
        place = random.uniform(-1, 1, 3)
        if (place**2).sum() > 1:
            continue
        atom = place * radii
        if all(((atom - other) ** 2).sum() > apart**2 for other in found):
            found.append(atom)
    return np.array(found) + MIDDLE


def model_of(**atoms: Positions) -> gemmi.Structure:
    """One chain for each component: its name to its atoms, five carbons a residue."""
    model = gemmi.Model(1)
    for letter, (component, positions) in zip("ABCDEF", atoms.items(), strict=False):
        chain = gemmi.Chain(letter)
        for start in range(0, len(positions), 5):
            residue = gemmi.Residue()
            residue.name, residue.seqid = component, gemmi.SeqId(start // 5 + 1, " ")
            for number, place in enumerate(positions[start : start + 5]):
                atom = gemmi.Atom()
                atom.name, atom.element = f"C{number}", gemmi.Element("C")
                atom.pos, atom.occ, atom.b_iso = gemmi.Position(*place), 1.0, 30.0
                residue.add_atom(atom)
            chain.add_residue(residue)
        model.add_chain(chain)
    structure = gemmi.Structure()
    structure.add_model(model)
    structure.setup_entities()
    return structure


def density(positions: Positions, sigma: float = SIGMA) -> NDArray[np.float64]:
    """The sum of Gaussians of height 1 on the grid, [z, y, x]."""
    factors = []
    for axis, count in enumerate(reversed(SHAPE)):
        places = ORIGIN[axis] + VOXEL * np.arange(count)
        factors.append(np.exp(-((places - positions[:, [axis]]) ** 2) / (2 * sigma**2)))
    return np.einsum("ax,ay,az->zyx", *factors)


def noise(deviation: float, seed: int = 3, width: float = 1.3) -> NDArray[np.float64]:
    """Noise of a deviation, correlated over `width` voxels as that of a filtered map is."""
    white = np.random.default_rng(seed).normal(size=SHAPE)
    axes = np.meshgrid(*(np.fft.fftfreq(n) for n in SHAPE), indexing="ij")
    gain = np.exp(-2 * np.pi**2 * width**2 * sum(axis**2 for axis in axes))
    smooth = np.fft.ifftn(np.fft.fftn(white) * gain).real
    return np.asarray(deviation * smooth / smooth.std())


def volume_of(data: NDArray[np.float64]) -> Volume:
    return Volume(data.astype(np.float32), (VOXEL,) * 3, ORIGIN)
