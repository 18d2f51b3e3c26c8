"""Small real files: models built with gemmi, maps simulated from them."""

import gzip
import hashlib
from pathlib import Path

import gemmi
import numpy as np

from cryosamu.archive.record import FetchRecord
from cryosamu.curation.entry import Entry
from cryosamu.structure.density import simulate_density
from cryosamu.structure.model import heavy_atoms
from cryosamu.volume.volume import Volume

SHARED = Path(__file__).parents[3].parent / "shared" / "data" / "maps"


def helix(residues, name="ALA", backbone=("N", "CA", "C", "O", "CB")):
    """An ideal alpha helix along z (rise 1.5 Å, 100° a residue), with numbered residues."""
    cylinder = {  # radius Å, angle °, height Å of each atom relative to its CA
        "N": (1.55, -28.0, -0.9),
        "CA": (2.28, 0.0, 0.0),
        "C": (1.66, 26.0, 1.1),
        "O": (2.0, 24.0, 2.3),
        "CB": (3.3, -18.0, -0.4),
    }
    for number in range(residues):
        residue = gemmi.Residue()
        residue.name = name if isinstance(name, str) else name[number]
        residue.seqid = gemmi.SeqId(number + 1, " ")
        for label in backbone:
            radius, angle, height = cylinder[label]
            turn = np.deg2rad(angle + 100.0 * number)
            atom = gemmi.Atom()
            atom.name = label
            atom.element = gemmi.Element(label[0])
            atom.pos = gemmi.Position(
                radius * np.cos(turn), radius * np.sin(turn), height + 1.5 * number
            )
            atom.b_iso = 30.0
            residue.add_atom(atom)
        yield residue


def sugar(number):
    residue = gemmi.Residue()
    residue.name = "NAG"
    residue.seqid = gemmi.SeqId(number, " ")
    atom = gemmi.Atom()
    atom.name, atom.element = "C1", gemmi.Element("C")
    atom.pos = gemmi.Position(8.0, number, 0)
    residue.add_atom(atom)
    return residue


def nucleotide(number, name):
    residue = gemmi.Residue()
    residue.name = name
    residue.seqid = gemmi.SeqId(number, " ")
    for place, label in enumerate(("P", "C4'", "C1'")):
        atom = gemmi.Atom()
        atom.name, atom.element = label, gemmi.Element(label[0])
        atom.pos = gemmi.Position(12.0 + place, 0, 6.0 * number)
        residue.add_atom(atom)
    return residue


def structure_of(chains, sequences=None):
    """A structure of named chains; `sequences` gives deposited sequences (three-letter lists)."""
    structure = gemmi.Structure()
    structure.add_model(gemmi.Model(1))
    for name, residues in chains.items():
        chain = gemmi.Chain(name)
        for residue in residues:
            chain.add_residue(residue)
        structure[0].add_chain(chain)
    structure.setup_entities()
    for name, sequence in (sequences or {}).items():
        label = structure[0][name].get_polymer().subchain_id()
        structure.get_entity_of(structure[0].get_subchain(label)).full_sequence = list(sequence)
    return structure


def two_helices(residues=(40, 28)):
    """A body without symmetry: two helices, the second beside the first and turned."""
    first, second = (list(helix(count)) for count in residues)
    turn = gemmi.Mat33([[1, 0, 0], [0, 0.5, -0.8660254], [0, 0.8660254, 0.5]])
    for residue in second:
        for atom in residue:
            atom.pos = gemmi.Position(turn.multiply(atom.pos)) + gemmi.Position(11, 4, 8)
    return structure_of({"A": first, "B": second})


def simulated_map(structure, shape, voxel_size, origin, sigma=1.3, noise=0.02, seed=0):
    grid = Volume(np.zeros(shape, np.float32), voxel_size, origin)
    clean = simulate_density(heavy_atoms(structure), grid, sigma)
    noisy = clean.data + noise * clean.data.max() * np.random.default_rng(seed).normal(size=shape)
    return clean.with_data(noisy.astype(np.float32))


def moved(structure, shift):
    other = structure.clone()
    transform = gemmi.Transform(gemmi.Mat33(), gemmi.Vec3(*shift))
    other[0].transform_pos_and_adp(transform)
    return other


def write_cif(structure, path):
    text = structure.make_mmcif_document().as_string()
    path.write_bytes(gzip.compress(text.encode(), mtime=0))
    return path


def record_of(identifier, kind, path):
    """The record of a sound fetch."""
    data = path.read_bytes()
    return FetchRecord(
        id=identifier,
        kind=kind,
        status="ok",
        path=str(path),
        bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        url=f"files.example/{path.name}",
        error=None,
    )


def failed_record(identifier, kind, error):
    return FetchRecord(
        id=identifier, kind=kind, status="failed", path=None, bytes=None, sha256=None,
        url="files.example/nothing", error=error,
    )  # fmt: skip


def entry(**changes):
    """An entry that passes every metadata filter of the recipe."""
    values = {
        "emdb_id": "EMD-9001",
        "pdb_id": "9TST",
        "method": "singleParticle",
        "resolution": 5.0,
        "protein_entities": 2,
        "nucleic_entities": 0,
        "other_entities": 0,
        "deposited_residues": 300,
        "map_file": "emd_9001.map.gz",
        "map_kilobytes": 4001.0,
        "contour_level": 0.1,
        "simulated": False,
    }
    return Entry(**values | changes)
