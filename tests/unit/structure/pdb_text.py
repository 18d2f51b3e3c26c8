"""Models as PDB text, written atom by atom."""


def pdb_atom(
    serial, name, residue, chain, number, xyz, element, *, altloc=" ", icode=" ", het=False,
    occupancy=1.0, b=20.0,
):  # fmt: skip
    """One ATOM record, its columns as wwPDB's format 3.30 gives them."""
    padded = f" {name:<3}" if len(element) == 1 and len(name) < 4 else f"{name:<4}"
    x, y, z = xyz
    return (
        f"{'HETATM' if het else 'ATOM  '}{serial:5d} {padded}{altloc}{residue:>3} {chain}"
        f"{number:4d}{icode}   {x:8.3f}{y:8.3f}{z:8.3f}{occupancy:6.2f}{b:6.2f}"
        f"          {element:>2}"
    )


def backbone(chain, number, residue="ALA", start=1, shift=0.0, atoms=("N", "CA", "C", "O"), **more):
    offsets = {"N": 0.0, "CA": 1.0, "C": 2.0, "O": 3.0, "CB": 4.0}
    return [
        pdb_atom(
            start + place, name, residue, chain, number,
            (10 * number + offsets[name] + shift, 0.5, -1.25), name[0], **more,
        )
        for place, name in enumerate(atoms)
    ]  # fmt: skip


def written(tmp_path, lines, name="a.pdb"):
    path = tmp_path / name
    path.write_text("\n".join([*lines, "END", ""]))
    return path


def three_residues(chain, start=1):
    return [line for n in (1, 2, 3) for line in backbone(chain, n, start=start + 4 * n)]
