"""A model small enough to know by heart: residues of N, CA and C in a row along x."""

import gemmi


def write_strand(path, residues, start):
    """Write alanines 3.6 Å apart, the first CA at `start` (Å), as PDB."""
    x, y, z = start
    chain = gemmi.Chain("A")
    for place in range(residues):
        residue = gemmi.Residue()
        residue.name, residue.seqid = "ALA", gemmi.SeqId(place + 1, " ")
        residue.entity_type = gemmi.EntityType.Polymer
        for name, shift in (("N", -1.2), ("CA", 0.0), ("C", 1.2)):
            atom = gemmi.Atom()
            atom.name, atom.element = name, gemmi.Element(name[0])
            atom.pos = gemmi.Position(x + 3.6 * place + shift, y, z)
            residue.add_atom(atom)
        chain.add_residue(residue)
    structure = gemmi.Structure()
    structure.add_model(gemmi.Model(1))
    structure[0].add_chain(chain)
    structure.write_pdb(str(path))
