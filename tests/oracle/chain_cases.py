"""Built models that differ from a target in known ways, made by formula, without any library.

The oracle and the tests make them from the same CA atoms: (chain, number, name, (x, y, z)).
"""

import math


def queries(atoms):
    """Return name -> CA atoms of a made-up built model."""
    chains = {}
    for atom in atoms:
        chains.setdefault(atom[0], []).append(atom)
    reversed_chains = [atom for chain in chains.values() for atom in reversed(chain)]
    return {
        "itself": atoms,
        "wavy": [_moved(atom, _wave(place, 2.6)) for place, atom in enumerate(atoms)],
        "very wavy": [_moved(atom, _wave(place, 5.0)) for place, atom in enumerate(atoms)],
        "against the chain": [
            _moved(atom, _wave(place, 1.5)) for place, atom in enumerate(reversed_chains)
        ],
        "one register off": [
            (*atoms[place][:2], atoms[place + 1][2], atoms[place][3])
            for place in range(len(atoms) - 1)
        ],
        "with gaps": [atom for place, atom in enumerate(atoms) if place * 7 % 23 > 5],
        "scattered": [atoms[place * 37 % len(atoms)] for place in range(0, len(atoms), 2)],
        "twice": [_moved(atom, _wave(place, 1.0)) for place, atom in enumerate(atoms + atoms)],
        "elsewhere": [_moved(atom, (90.0, 0.0, 0.0)) for atom in atoms],
    }


def pdb_text(atoms):
    """Return a PDB file of CA atoms, numbered anew."""
    lines = [
        f"ATOM  {place % 99999 + 1:5d}  CA  {name:>3s} A{place % 9999 + 1:4d}    "
        f"{x:8.3f}{y:8.3f}{z:8.3f}  1.00 30.00           C"
        for place, (_, _, name, (x, y, z)) in enumerate(atoms)
    ]
    return "\n".join([*lines, "END", ""])


def _moved(atom, shift):
    return (*atom[:3], tuple(a + b for a, b in zip(atom[3], shift, strict=True)))


def _wave(place, amplitude):
    return tuple(amplitude * math.sin(place * step) for step in (0.7, 1.3, 2.1))
