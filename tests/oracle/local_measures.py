"""What cctbx says of single residues and atoms: `map_model_cc` and `qscore`."""

# cctbx comes first: it crashes when scipy is loaded before it.
import mmtbx.maps.correlation
import mmtbx.maps.mtriage
import mmtbx.model
from cctbx.array_family import flex
from iotbx.map_manager import map_manager
from iotbx.map_model_manager import map_model_manager

import numpy as np  # isort: skip

KEPT = 60
"""Residues and atoms whose figures are kept, evenly over the model."""


def measure_residues(data, structure, hierarchy, resolution):
    """Return the radius, each chain's correlation, and that of some residue groups."""
    radius = mmtbx.maps.mtriage.get_atom_radius(xray_structure=structure, resolution=resolution)
    calculator = mmtbx.maps.correlation.from_map_and_xray_structure_or_fmodel(
        xray_structure=structure, map_data=data, d_min=resolution
    )
    chains = {}
    for chain in hierarchy.chains():
        chains.setdefault(chain.id.strip(), flex.size_t()).extend(chain.atoms().extract_i_seq())
    groups = list(hierarchy.residue_groups())
    rows = []
    for group in groups[:: max(1, len(groups) // KEPT)]:
        names = group.unique_resnames()
        if len(names) == 1:
            found = calculator.cc(selection=group.atoms().extract_i_seq(), atom_radius=radius)
            identity = [group.parent().id.strip(), group.resid().strip(), names[0].strip()]
            rows.append([*identity, round(found, 5)])
    return {
        "local_radius": round(radius, 4),
        "cc_chains": {
            name: round(calculator.cc(selection=selection, atom_radius=radius), 5)
            for name, selection in chains.items()
        },
        "cc_residues": rows,
    }


def measure_q_scores(data, structure, hierarchy, symmetry):
    """Return the mean Q-score and that of some atoms, hydrogens left out."""
    from cctbx.maptbx.qscore import calc_qscore

    moved = hierarchy.deep_copy()
    moved.atoms().set_xyz(structure.sites_cart())
    managed = map_manager(
        map_data=data,
        unit_cell_grid=data.all(),
        unit_cell_crystal_symmetry=symmetry,
        wrapping=False,
    )
    model = mmtbx.model.manager(model_input=None, pdb_hierarchy=moved, crystal_symmetry=symmetry)
    pair = map_model_manager(model=model, map_manager=managed)
    found = calc_qscore(pair, shells=list(np.linspace(0.1, 2, 20)), n_probes=32)
    scores = np.array(found["qscore_per_atom"])
    atoms = list(pair.model().get_hierarchy().atoms())
    rows = []
    for place in range(0, len(atoms), max(1, len(atoms) // KEPT)):
        labels = atoms[place].fetch_labels()
        identity = [labels.chain_id.strip(), labels.resid().strip(), labels.name.strip()]
        rows.append([*identity, labels.altloc.strip(), round(float(scores[place]), 4)])
    return {
        "q_score": round(float(np.nanmean(scores)), 5),
        "q_atoms": len(scores),
        "q_score_atoms": rows,
    }
