"""Derive the golden figures of the evaluation from cctbx, which this package never imports.

Run by the Python of an environment that holds `cctbx-base==2025.11` and nothing of ours:

    make oracle

It writes tests/unit/evaluation/golden.json: for each map-model pair of cases.json, the five
correlations of `mmtbx.maps.correlation.five_cc`, the map-model FSC of `mmtbx.maps.mtriage`, what
`local_measures` says of chains, residues and atoms, the
SHA-256 of the files that they came from, and the versions. A pair whose files are not there
(those of `../shared`) keeps its figures.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.metadata
import json
import platform
import sys
from pathlib import Path

# cctbx comes first: it crashes when scipy is loaded before it.
import iotbx.pdb
import mmtbx.maps.correlation
import mmtbx.maps.mtriage
from cctbx import crystal
from local_measures import measure_q_scores, measure_residues
from scitbx.array_family import flex

import mrcfile  # isort: skip
import numpy as np  # isort: skip

REPOSITORY = Path(__file__).resolve().parents[2]
GOLDEN = REPOSITORY / "tests/unit/evaluation/golden.json"
CURVE_STEP = 12
"""Every twelfth point of a curve is kept: enough to compare shapes, small enough to read."""


def load_cases():
    """Return name -> (folder, map, model, resolution) of the pairs to measure."""
    text = (Path(__file__).parent / "cases.json").read_text()
    return json.loads(text)


def read_map(path):
    """Return (flex map x y z, origin Å, crystal symmetry) of a map in any axis order."""
    with mrcfile.open(path, permissive=True) as handle:
        header = handle.header
        stored = np.asarray(handle.data, np.float64)
        order = (int(header.mapc), int(header.mapr), int(header.maps))
        places = [order.index(axis) for axis in (1, 2, 3)]
        cell = np.array([float(header.cella[name]) for name in "xyz"])
        sampling = np.array([int(header.mx), int(header.my), int(header.mz)])
        origin = np.array([float(header.origin[name]) for name in "xyz"])
        start = np.array([int(header.nxstart), int(header.nystart), int(header.nzstart)])
    data = np.ascontiguousarray(stored.transpose([2 - place for place in places]))
    voxel = cell / sampling
    if not origin.any():
        origin = start[places] * voxel
    lengths = voxel * np.array(data.shape)
    symmetry = crystal.symmetry(unit_cell=(*lengths, 90, 90, 90), space_group_symbol="P1")
    return flex.double(data), origin, symmetry


def read_model(path, symmetry, origin):
    """Return the first model: X-ray structure with electron scattering factors, hierarchy."""
    text = gzip.decompress(path.read_bytes()).decode()
    hierarchy = iotbx.pdb.input(source_info=None, lines=text).construct_hierarchy()
    for model in hierarchy.models()[1:]:
        hierarchy.remove_model(model)
    for atom in hierarchy.atoms():
        atom.charge = ""  # the electron table has neutral atoms; an O1- stops cctbx
    structure = hierarchy.extract_xray_structure(crystal_symmetry=symmetry)
    structure.set_sites_cart(structure.sites_cart() - tuple(float(length) for length in origin))
    structure.scattering_type_registry(table="electron")
    return structure, hierarchy


def measure(map_path, model_path, resolution):
    """Return the oracle's figures for one pair."""
    data, origin, symmetry = read_map(map_path)
    structure, hierarchy = read_model(model_path, symmetry, origin)
    found = mmtbx.maps.correlation.five_cc(
        map=data,
        xray_structure=structure,
        d_min=resolution,
        compute_cc_box=True,
        compute_cc_image=True,
    )
    parameters = mmtbx.maps.mtriage.master_params().extract()
    parameters.resolution = resolution
    parameters.compute.d_model = False
    parameters.compute.d_model_b0 = False
    parameters.compute.d99 = False
    curves = mmtbx.maps.mtriage.mtriage(
        map_data=data, xray_structure=structure, params=parameters
    ).get_results()
    figures = {
        "n_inside": found.n_nodes_inside,
        "cc_box": found.result.cc_box,
        "cc_mask": found.result.cc_mask,
        "cc_volume": found.result.cc_volume,
        "cc_peaks": found.result.cc_peaks,
        "cc_image": found.result.cc_image,
    }
    for name in ("unmasked", "masked"):
        result = getattr(curves, name)
        curve = result.fsc_curve_model
        figures[f"d_fsc_05_{name}"] = result.d_fsc_model_05
        figures[f"curve_{name}"] = [
            [round(s, 5), round(fsc, 5)]
            for s, fsc in list(zip(curve.d_inv, curve.fsc, strict=True))[::CURVE_STEP]
        ]
    figures |= measure_residues(data, structure, hierarchy, resolution)
    figures |= measure_q_scores(data, structure, hierarchy, symmetry)
    return figures


def main():
    """Measure every pair whose files are there, and keep the figures of those that are not."""
    known = json.loads(GOLDEN.read_text())["cases"] if GOLDEN.exists() else {}
    cases = {}
    for name, (folder, map_name, model_name, resolution) in load_cases().items():
        root = (REPOSITORY / folder).resolve()
        paths = {"map": root / map_name, "model": root / model_name}
        if not all(path.exists() for path in paths.values()):
            print(f"{name}: files are not here, figures kept", file=sys.stderr)
            if name in known:
                cases[name] = known[name]
            continue
        cases[name] = {
            "folder": folder,
            "resolution": resolution,
            **{
                role: {"path": given, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
                for (role, path), given in zip(paths.items(), (map_name, model_name), strict=True)
            },
            **measure(paths["map"], paths["model"], resolution),
        }
        print(f"{name}: CC_mask {cases[name]['cc_mask']:.4f}", file=sys.stderr)
    oracle = {
        "python": platform.python_version(),
        "cctbx-base": importlib.metadata.version("cctbx-base"),
        "numpy": np.__version__,
    }
    lines = [f"{json.dumps(name)}: {json.dumps(case)}" for name, case in cases.items()]
    text = ",\n".join(lines)
    GOLDEN.write_text(f'{{"oracle": {json.dumps(oracle)},\n"cases": {{\n{text}\n}}}}\n')


if __name__ == "__main__":
    main()
