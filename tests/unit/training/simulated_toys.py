"""Small proteins to simulate maps from: a helix or two, every atom in its place."""

import io
import tarfile
from pathlib import Path

import gemmi
import numpy as np

from cryosamu.embedding.pooling import Pooled
from cryosamu.embedding.tokens import TokensHeader, write_tokens
from cryosamu.structure.model import parse_model
from cryosamu.training.simulated.library import write_library
from cryosamu.training.simulated.packing import packed

WIDTH = 12
LETTERS = {"A": "ALA", "E": "GLU", "K": "LYS", "L": "LEU", "S": "SER", "G": "GLY"}
# Radius, angle and height of an ideal α helix's atoms (Å, degrees): 100° and 1.5 Å a residue.
_PLACES = {"N": (1.55, -27, -0.9), "CA": (2.29, 0, 0.0), "C": (1.66, 26, 1.1), "O": (1.9, 22, 2.3)}
_SIDE = {
    "CB": (3.3, -10, -0.5),
    "OE1": (5.6, -15, -1.0),
    "OE2": (5.4, 5, -1.4),
    "H": (1.6, -40, -1),
}


def helix_text(sequences, spacing=12.0):
    """A PDB file with a helix a chain, side by side."""
    structure = gemmi.Structure()
    model = gemmi.Model("1")
    for number, sequence in enumerate(sequences):
        chain = gemmi.Chain("ABCDEFGH"[number])
        for place, letter in enumerate(sequence):
            residue = gemmi.Residue()
            residue.name, residue.seqid = LETTERS[letter], gemmi.SeqId(str(place + 1))
            names = [*_PLACES, "H"] + ([] if letter == "G" else ["CB"])
            names += ["OE1", "OE2"] if letter == "E" else []
            for name in names:
                residue.add_atom(_atom(name, place, number * spacing))
            chain.add_residue(residue)
        model.add_chain(chain)
    structure.add_model(model)
    structure.setup_entities()
    return structure.make_pdb_string()


def _atom(name, place, shift):
    radius, angle, height = (_PLACES | _SIDE)[name]
    turn = np.radians(angle + 100 * place)
    atom = gemmi.Atom()
    atom.name, atom.element = name, gemmi.Element(name[0])
    atom.pos = gemmi.Position(
        radius * np.cos(turn) + shift, radius * np.sin(turn), height + 1.5 * place
    )
    atom.b_iso, atom.occ = 20.0 + place, 1.0
    return atom


def toy(name="TOY", sequences=("AKELASGKLAEA", "LAKSEGLA")):
    """A packed structure."""
    return packed(parse_model(helix_text(sequences).encode(), name), name)


def toys(count):
    """Structures that differ in sequence and length."""
    letters = np.array(list(LETTERS))
    found = []
    for number in range(count):
        random = np.random.default_rng(number)
        chains = ["".join(random.choice(letters, 14 + number)) for _ in range(1 + number % 2)]
        found.append(toy(f"T{number:02d}", chains))
    return found


def write_toys(folder: Path, count: int):
    """A library and the tokens of its structures, as files."""
    structures = toys(count)
    left_out = [{"name": "GONE", "reason": "chain 1 is 40% identical to chain A of X"}]
    about = {"left_out": left_out, "evaluated": ["judged"]}
    write_library(folder / "structures.safetensors", structures, about)
    header = TokensHeader(
        backend="protein_mpnn",
        fingerprint="ab12",
        width=WIDTH,
        mode="per_chain",
        precision="float32",
        copies="once",
        pooling={"tokens": 5, "scaled": True},
    )
    pooled = {one.name: _tokens(number) for number, one in enumerate(structures)}
    write_tokens(folder / "structure_tokens.safetensors", pooled, header)
    return folder / "structures.safetensors", folder / "structure_tokens.safetensors"


def _tokens(number):
    import torch

    generator = torch.Generator().manual_seed(number)
    mask = torch.tensor([True, True, True, False, False])
    one = torch.ones(1)
    tokens = torch.randn(5, WIDTH, generator=generator) * mask[:, None]
    return Pooled(tokens, mask, torch.arange(5), one, one, torch.tensor(5))


def tar_of(path, members):
    """A gzipped tar archive of names and texts."""
    with tarfile.open(path, "w:gz") as archive:
        for name, text in members.items():
            member = tarfile.TarInfo(name)
            content = text.encode()
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path
