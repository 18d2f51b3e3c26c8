"""Two helices of polyalanine, a few ligand atoms, and their map."""

import gemmi
import numpy as np

from cryosamu.evaluation.reference import ModelReference
from cryosamu.volume.volume import Volume

BACKBONE = {
    "N": (1.55, -27.0, -0.9),
    "CA": (2.28, 0.0, 0.0),
    "C": (1.66, 27.0, 1.1),
    "O": (2.0, 23.0, 2.3),
}
"""Radius (Å), angle (°) and height (Å) in an α helix, about as Pauling's."""


def helix(chain, first, count, foot, phase=0.0):
    """Append residues of a helix that rises along z from `foot`."""
    for number in range(count):
        residue = gemmi.Residue()
        residue.name, residue.seqid = "ALA", gemmi.SeqId(first + number, " ")
        residue.subchain, residue.entity_type = "Axp", gemmi.EntityType.Polymer
        for name, (radius, angle, height) in BACKBONE.items():
            turn = np.radians(phase + 100.0 * number + angle)
            atom = gemmi.Atom()
            atom.name, atom.element = name, gemmi.Element(name[0])
            place = (radius * np.cos(turn), radius * np.sin(turn), 1.5 * number + height)
            atom.pos = gemmi.Position(*np.add(foot, place))
            atom.b_iso = 40
            residue.add_atom(atom)
        chain.add_residue(residue)


def protein(feet=((15, 16, 8), (25, 18, 10)), lengths=(18, 12), ligand=(20, 28, 30)):
    """A chain A of helices, the longer one first, and a chain L with a ring of ligand atoms."""
    model, chain = gemmi.Model(1), gemmi.Chain("A")
    first = 1
    for foot, length in zip(feet, lengths, strict=True):
        helix(chain, first, length, foot, phase=40 * first)
        first += length + 20
    model.add_chain(chain)
    if ligand is not None:
        other, residue = gemmi.Chain("L"), gemmi.Residue()
        residue.name, residue.seqid = "HEM", gemmi.SeqId(1, " ")
        for number in range(12):
            atom = gemmi.Atom()
            atom.name, atom.element = f"C{number}", gemmi.Element("C")
            angle = np.radians(30 * number)
            offset = (2.2 * np.cos(angle), 2.2 * np.sin(angle), number % 3)
            atom.pos = gemmi.Position(*np.add(ligand, offset))
            atom.b_iso = 40
            residue.add_atom(atom)
        other.add_residue(residue)
        model.add_chain(other)
    structure = gemmi.Structure()
    structure.add_model(model)
    structure.setup_entities()
    structure.assign_label_seq_id()
    return structure


def map_of(structure, resolution, noise=0.3, seed=0, shape=(44, 40, 42)):
    """The structure's map with white noise of `noise` times its standard deviation, σ = 1."""
    grid = Volume(np.zeros(shape, np.float32), (1.0, 1.0, 1.0))
    signal = ModelReference(grid, structure, resolution).calculated
    signal = signal / signal.std()
    rng = np.random.default_rng(seed)
    return grid.with_data(signal + noise * rng.standard_normal(shape, np.float32))
