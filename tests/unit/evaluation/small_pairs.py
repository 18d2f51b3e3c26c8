"""A small made-up molecule and its map, for tests that need no real data."""

import gemmi
import numpy as np

from cryosamu.volume.volume import Volume

ELEMENTS = ("C", "N", "O", "S", "C", "C")


def molecule(atoms=40, seed=0, spread=7.0, centre=(14.0, 16.0, 18.0), b_factor=40.0):
    """Atoms scattered about a centre, Å; every tenth has B factors that differ by direction."""
    rng = np.random.default_rng(seed)
    chain = gemmi.Chain("A")
    for number, position in enumerate(rng.normal(centre, spread / 2, (atoms, 3))):
        residue = gemmi.Residue()
        residue.name, residue.seqid = "UNK", gemmi.SeqId(number + 1, " ")
        atom = gemmi.Atom()
        atom.name = element = ELEMENTS[number % len(ELEMENTS)]
        atom.element = gemmi.Element(element)
        atom.pos = gemmi.Position(*position)
        atom.b_iso = b_factor + 5 * (number % 7)
        atom.occ = 0.5 if number % 9 == 0 else 1.0
        residue.add_atom(atom)
        chain.add_residue(residue)
    model = gemmi.Model(1)
    model.add_chain(chain)
    structure = gemmi.Structure()
    structure.add_model(model)
    return structure


def moved(structure, shift):
    """The same molecule elsewhere."""
    copy = structure.clone()
    copy[0].transform_pos_and_adp(gemmi.Transform(gemmi.Mat33(), gemmi.Vec3(*shift)))
    return copy


def empty(shape=(30, 28, 25), voxel=(1.1, 1.2, 1.3), origin=(0.0, 0.0, 0.0)):
    """A grid without density, [nz, ny, nx]."""
    return Volume(np.zeros(shape, np.float32), voxel, origin)


def noise(grid, seed=0):
    """White noise on a grid."""
    data = np.random.default_rng(seed).standard_normal(grid.shape, np.float32)
    return grid.with_data(data)
