"""Derive the golden figures of chain comparison from cctbx: golden_chains.json.

Run by `make oracle`, as `derive_golden.py` is.
"""

from __future__ import annotations

import gzip
import io
import json
import sys
from pathlib import Path

import iotbx.pdb
from chain_cases import pdb_text, queries
from mmtbx.validation.chain_comparison import get_params, run

REPOSITORY = Path(__file__).resolve().parents[2]
GOLDEN = REPOSITORY / "tests/unit/evaluation/golden_chains.json"
MODELS = REPOSITORY / "src/cryosamu/archive/embedded/files.rcsb.org/download"
TARGETS = ("5NI1", "6VYB", "1AKE", "1HVR", "4ZHL")


def alpha_carbons(hierarchy):
    """Return the CA atoms of a hierarchy as `chain_cases` takes them."""
    rows = []
    for atom in hierarchy.atoms():
        labels = atom.fetch_labels()
        identity = (labels.chain_id.strip(), labels.resid().strip(), labels.resname.strip())
        rows.append((*identity, atom.xyz))
    return rows


def compare(target, query_text):
    """Return cctbx's figures for a query model against a target hierarchy."""
    params = get_params(
        ["test_unique_part_of_target_only=False", "unique_part_of_target_only=False"],
        out=io.StringIO(),
    )
    query = iotbx.pdb.input(source_info=None, lines=query_text).construct_hierarchy()
    found = run(
        params=params,
        target_hierarchy=target.deep_copy(),
        chain_hierarchy=query,
        quiet=True,
        use_crystal_symmetry=False,
        out=io.StringIO(),
    )
    rmsd, close = found.get_values("close")
    return {
        "residue_coverage": found.get_close_to_target_percent("close"),
        "sequence_match": found.get_match_percent("close"),
        "rmsd": rmsd,
        "close": close,
        "far": found.get_values("far_away")[1],
        "forward": found.n_forward,
        "reverse": found.n_reverse,
        "unaligned": found.get_values("unaligned")[1],
        "fragments": found.get_n_fragments("forward") + found.get_n_fragments("reverse"),
        "input_fragments": found.input_fragments,
        "incorrect_connections": found.incorrect_connections,
        "target_residues": found.used_target,
    }


def main():
    """Compare every made-up model of every target."""
    figures = {}
    for name in TARGETS:
        text = gzip.decompress((MODELS / f"{name}.cif.gz").read_bytes()).decode()
        hierarchy = iotbx.pdb.input(source_info=None, lines=text).construct_hierarchy()
        for model in hierarchy.models()[1:]:
            hierarchy.remove_model(model)
        target = hierarchy.apply_atom_selection("not hetero and name ca and (not element Ca)")
        target.remove_alt_confs(always_keep_one_conformer=True)
        for case, atoms in queries(alpha_carbons(target)).items():
            figures[f"{name}: {case}"] = compare(target, pdb_text(atoms))
        print(f"{name}: {len(target.atoms())} residues", file=sys.stderr)
    lines = [f"{json.dumps(name)}: {json.dumps(case)}" for name, case in figures.items()]
    GOLDEN.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
