"""What stands in the box of a simulated map: atoms, their mobility, and what is not protein."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryosamu.config import SimulationSettings
from cryosamu.training.simulated.conditions import Conditions, draw_conditions
from cryosamu.training.simulated.library import CARBOXYLATE, AtomicStructure

Positions = NDArray[np.float32]
Values = NDArray[np.float32]

# Electrons scatter at oxygen less than at carbon. Factors at s = 0 (ITC C 4.3.2.2), on the scale
# that gives carbon its 6 electrons.
_SCATTERING = np.zeros(128, np.float32)
for _number, _factor in {6: 6.0, 7: 5.3, 8: 4.75, 12: 12.5, 15: 13.1, 16: 12.3, 34: 17.1}.items():
    _SCATTERING[_number] = _factor
_SCATTERING[_SCATTERING == 0] = 12.0

_CONTACT = 3.0
_WAVES = 96


@dataclass(frozen=True)
class Scene:
    """All that a simulated map follows from, but its noise.

    Attributes
    ----------
    structure
        The number of the structure whose tokens belong to the map.
    conditions
        How it is degraded.
    positions
        float32 [atoms, 3]: x, y, z in voxels, voxel (0, 0, 0) at the origin.
    weights
        float32 [atoms]: what each adds to the map.
    mobility
        float32 [atoms] in [0, 1]: its B factor as a share of the largest.
    target_weights
        float32 [atoms]: what each adds to the target; 0 for what is to be left out.
    noise_seed
        Of the noise's own generator, since it is drawn on the device.
    """

    structure: int
    conditions: Conditions
    positions: Positions
    weights: Values
    mobility: Values
    target_weights: Values
    noise_seed: int


@dataclass
class _Atoms:
    """Columns of atoms, [atoms] each, positions in Å from the middle of the box."""

    positions: Positions
    weights: Values
    mobility: Values
    target: Values

    def joined(self, other: _Atoms) -> _Atoms:
        return _Atoms(
            *(np.concatenate(both) for both in zip(self._all(), other._all(), strict=True))
        )

    def within(self, reach: float) -> _Atoms:
        near = (np.abs(self.positions) < reach).all(axis=1)
        return _Atoms(*(column[near] for column in self._all()))

    def _all(self) -> tuple[Positions, Values, Values, Values]:
        return self.positions, self.weights, self.mobility, self.target


def draw_scene(
    structures: Sequence[AtomicStructure],
    chosen: int,
    settings: SimulationSettings,
    box: int,
    voxel_size: float,
    random: np.random.Generator,
) -> Scene:
    """Draw a scene around one structure.

    Parameters
    ----------
    structures
        All that there are: neighbours are taken from them.
    chosen
        The number of the structure that the scene is about.
    box
        Edge in voxels.
    voxel_size
        Å.
    """
    structure = structures[chosen]
    masked = bool(random.random() < settings.masked)
    alone = bool(random.random() >= settings.neighbours)
    conditions = draw_conditions(settings, masked, random)
    turned = structure.positions @ _rotation(random)
    turned = turned - _middle_of_view(turned, box * voxel_size, random)
    atoms = _protein(structure, turned, random)
    if masked and random.random() < 0.6:
        # Cut out round one chain of a larger map: the rest of it ends at the mask.
        nearest = int(np.square(turned).sum(axis=1).argmin())
        atoms.target *= structure.chains == structure.chains[nearest]
    if not alone:
        other = structures[int(random.integers(len(structures)))]
        beside = other if random.random() < 0.6 else structure
        atoms = atoms.joined(_neighbour(beside, atoms, known=not masked, random=random))
    if random.random() < settings.blobs:
        atoms = atoms.joined(_blobs(atoms, random))
    atoms = atoms.within(box * voxel_size / 2)
    return Scene(
        structure=chosen,
        conditions=conditions,
        positions=(atoms.positions / voxel_size + box / 2).astype(np.float32),
        weights=atoms.weights,
        mobility=atoms.mobility,
        target_weights=atoms.target,
        noise_seed=int(random.integers(2**62)),
    )


def _rotation(random: np.random.Generator) -> NDArray[np.float32]:
    """Return a rotation matrix, uniform over all (from a random unit quaternion)."""
    w, x, y, z = (lambda q: q / np.linalg.norm(q))(random.standard_normal(4))
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ],
        np.float32,
    )


def _middle_of_view(
    positions: Positions, edge: float, random: np.random.Generator
) -> NDArray[np.float32]:
    """Return where the box is centred: on the structure where it fits, else on one of its atoms."""
    low, high = positions.min(axis=0), positions.max(axis=0)
    middle = (low + high) / 2
    atom = positions[random.integers(len(positions))]
    fits = high - low < 0.75 * edge
    wobble = random.uniform(-6, 6, 3)
    return np.asarray(np.where(fits, middle, 0.3 * middle + 0.7 * atom) + wobble, np.float32)


def _protein(
    structure: AtomicStructure, positions: Positions, random: np.random.Generator
) -> _Atoms:
    """Return a structure's atoms with a mobility and an occupancy each."""
    weights = _SCATTERING[structure.atomic_numbers] * _occupancies(structure, random)
    # Acidic side chains are lost first to radiation, and charged oxygens scatter next to nothing.
    acid = structure.roles == CARBOXYLATE
    weights[acid] *= np.float32(random.uniform(-0.2, 0.8))
    return _Atoms(
        positions.astype(np.float32),
        weights.astype(np.float32),
        _mobility(structure, positions, random),
        structure.atomic_numbers.astype(np.float32),
    )


def _occupancies(structure: AtomicStructure, random: np.random.Generator) -> NDArray[np.float32]:
    """Return float32 [atoms]: weak chains, and weak or absent stretches of residues."""
    chains = np.ones(len(structure.chain_residues), np.float32)
    if len(chains) > 1 and random.random() < 0.3:
        weak = random.random(len(chains)) < 0.4
        chains[weak] = random.uniform(0.3, 0.9, int(weak.sum()))
    residues = np.repeat(chains, structure.chain_residues)
    for _ in range(random.poisson(len(residues) / 150)):
        start = int(random.integers(len(residues)))
        residues[start : start + int(random.integers(3, 15))] *= random.uniform(0, 0.7)
    return np.asarray(residues[structure.residues], np.float32)


def _mobility(
    structure: AtomicStructure, positions: Positions, random: np.random.Generator
) -> Values:
    """Return each atom's share, 0 to 1, of the largest B factor of the map.

    The sum of a smooth random field, the distance from the middle (the periphery moves most), the
    model's own B factors by residue, and the distance of a side chain's atoms from the backbone,
    each as a deviation, with random weights; through a logistic function.
    """
    length = random.uniform(8, 30)
    waves = random.standard_normal((3, _WAVES)).astype(np.float32) / np.float32(length)
    phases = random.uniform(0, 2 * math.pi, _WAVES).astype(np.float32)
    residues, first = np.unique(structure.residues, return_index=True)
    anchors = positions[first]
    field = np.cos(anchors @ waves + phases).sum(axis=1) * math.sqrt(2 / _WAVES)
    radius = np.linalg.norm(anchors - anchors.mean(axis=0), axis=1)
    own = structure.b_factors[residues].astype(np.float32)
    score = (
        random.uniform(0.3, 1.2) * field
        + random.uniform(0.0, 1.0) * _standard(radius)
        + random.uniform(0.0, 0.8) * np.clip(_standard(own), -2, 3)
        + random.uniform(-2.5, -0.5)
    )
    side = (structure.roles == 0) | (structure.roles == CARBOXYLATE)
    per_atom = np.repeat(score, structure.residue_atoms[residues])
    per_atom = per_atom + random.uniform(0.0, 0.8) * side
    return np.asarray(1 / (1 + np.exp(-per_atom)), np.float32)


def _standard(values: Values) -> Values:
    return np.asarray((values - values.mean()) / (values.std() + 1e-6), np.float32)


def _neighbour(
    structure: AtomicStructure, beside: _Atoms, known: bool, random: np.random.Generator
) -> _Atoms:
    """Return a protein that touches the atoms there are, in the target where it is `known`."""
    direction = random.standard_normal(3).astype(np.float32)
    direction /= np.linalg.norm(direction)
    turned = structure.positions @ _rotation(random)
    gap = _CONTACT + (beside.positions @ direction).max() - (turned @ direction).min()
    aside = random.normal(0, 8, 3).astype(np.float32)
    aside -= direction * (aside @ direction)
    atoms = _protein(structure, turned + gap * direction + aside, random)
    atoms.target *= known
    return atoms


def _blobs(atoms: _Atoms, random: np.random.Generator) -> _Atoms:
    """Return density that is no protein: detergent in a belt or here and there, diffuse."""
    middle = atoms.positions.mean(axis=0)
    count = int(random.integers(100, 900))
    axis = random.standard_normal(3).astype(np.float32)
    axis /= np.linalg.norm(axis)
    height = (atoms.positions - middle) @ axis
    level = random.uniform(height.min(), height.max())
    inside = np.abs(height - level) < random.uniform(6, 18)
    ground = atoms.positions[inside] if inside.any() else atoms.positions
    picked = ground[random.integers(len(ground), size=count)]
    outward = picked - middle
    outward -= np.outer(outward @ axis, axis)
    outward /= np.linalg.norm(outward, axis=1, keepdims=True) + 1e-3
    shift = outward * random.uniform(4, 14, (count, 1)) + random.normal(0, 2.5, (count, 3))
    places = (picked + shift).astype(np.float32)
    places = places[~_near(places, atoms.positions)]
    count = len(places)
    return _Atoms(
        places,
        np.full(count, random.uniform(0.2, 1.0) * _SCATTERING[6], np.float32),
        np.full(count, random.uniform(0.6, 1.0), np.float32),
        np.zeros(count, np.float32),
    )


def _near(places: Positions, atoms: Positions) -> NDArray[np.bool_]:
    """Return which places share a cell of `_CONTACT` Å with an atom."""

    def cells(positions: Positions) -> NDArray[np.int64]:
        x, y, z = np.floor(positions.T / _CONTACT).astype(np.int64) + 2**19
        return np.asarray((x << 40) | (y << 20) | z, np.int64)

    return np.isin(cells(places), cells(atoms))
