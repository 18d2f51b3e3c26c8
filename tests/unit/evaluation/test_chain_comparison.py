"""Against figures of cctbx 2025.11: golden_chains.json, of tests/oracle/compare_chains.py."""

import importlib.util
import json
from dataclasses import asdict
from pathlib import Path

import gemmi
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryosamu.evaluation.building.chain_comparison import (
    AlphaCarbons,
    alpha_carbons,
    compare_chains,
    match_residues,
)
from cryosamu.structure.model import read_model

REPOSITORY = Path(__file__).resolve().parents[3]
MODELS = REPOSITORY / "src/cryosamu/archive/embedded/files.rcsb.org/download"
GOLDEN = json.loads((Path(__file__).parent / "golden_chains.json").read_text())

SPEC = importlib.util.spec_from_file_location(
    "chain_cases", REPOSITORY / "tests/oracle/chain_cases.py"
)
chain_cases = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(chain_cases)


def rows_of(structure):
    """CA atoms as `chain_cases` takes them: what `alpha_carbons` gives, with chains beside it."""
    found = alpha_carbons(structure)
    chains = [
        chain.name
        for chain in structure[0]
        for residue in chain
        if residue.het_flag != "H"
        and any(a.name == "CA" and a.element.name == "C" for a in residue)
    ]
    positions = found.positions.tolist()
    return [
        (chain, "", name, tuple(place))
        for chain, name, place in zip(chains, found.names, positions, strict=True)
    ]


@pytest.mark.parametrize("name", ["5NI1", "6VYB", "1AKE", "1HVR", "4ZHL"])
def test_figures_are_those_of_cctbx(name):
    structure = read_model(MODELS / f"{name}.cif.gz")
    target = alpha_carbons(structure)
    cases = chain_cases.queries(rows_of(structure))
    assert {f"{name}: {case}" for case in cases} < set(GOLDEN)
    for case, atoms in cases.items():
        query = gemmi.read_pdb_string(chain_cases.pdb_text(atoms))
        found = asdict(compare_chains(alpha_carbons(query), target))
        expected = dict(GOLDEN[f"{name}: {case}"])
        ours, theirs = found.pop("rmsd"), expected.pop("rmsd")
        assert ours == (None if theirs is None else pytest.approx(theirs, abs=1e-9)), case
        assert found == pytest.approx(expected, rel=1e-9), case


def line(count, start=(0.0, 0.0, 0.0), step=(3.8, 0.0, 0.0)):
    return np.array(start) + np.arange(count)[:, None] * np.array(step)


def test_a_taken_residue_is_left_to_the_first_and_the_next_nearest_tried_once():
    target = line(3)
    query = np.array([[0.1, 0, 0], [1.5, 0, 0], [1.4, 0, 0], [9.0, 0, 0]])
    pairs, distances = match_residues(query, target)
    # The second goes to its next nearest at 2.3 Å, the third finds both taken, the last is 1.4 off.
    assert pairs == [(0, 0), (1, 1), (3, 2)]
    assert distances == pytest.approx([0.1, 2.3, 1.4])


def test_hetero_atoms_and_calcium_are_no_residues():
    structure = gemmi.read_pdb_string(
        "ATOM      1  CA  GLY A   1       0.000   0.000   0.000  1.00 30.00           C\n"
        "ATOM      2  CA AALA A   2       3.800   0.000   0.000  0.40 30.00           C\n"
        "ATOM      3  CA BALA A   2       3.900   0.500   0.000  0.60 30.00           C\n"
        "HETATM    4  CA  MSE A   3       7.600   0.000   0.000  1.00 30.00           C\n"
        "HETATM    5 CA    CA A   4       9.600   0.000   0.000  1.00 30.00          CA\n"
    )
    found = alpha_carbons(structure)
    assert found.names == ("GLY", "ALA")
    assert found.positions[1].tolist() == [3.9, 0.5, 0.0]


def test_nothing_built_and_nothing_to_build():
    nothing = AlphaCarbons(np.zeros((0, 3)), ())
    some = AlphaCarbons(line(4), ("GLY",) * 4)
    for query, target in ((nothing, some), (some, nothing)):
        found = compare_chains(query, target)
        assert (found.residue_coverage, found.sequence_match, found.rmsd) == (0, 0, None)
        assert found.far == len(query.names)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10_000), noise=st.floats(0, 4), cut=st.integers(0, 20))
def test_counts_add_up_and_pairs_are_one_to_one(seed, noise, cut):
    rng = np.random.default_rng(seed)
    target = AlphaCarbons(np.cumsum(rng.normal(0, 2.2, (30, 3)), axis=0), ("ALA",) * 30)
    moved = target.positions[cut:] + rng.normal(0, noise + 1e-6, (30 - cut, 3))
    query = AlphaCarbons(moved, ("ALA",) * (30 - cut))
    found = compare_chains(query, target)
    assert found.close + found.far == 30 - cut
    assert found.forward + found.reverse + found.unaligned == found.close
    assert found.residue_coverage == pytest.approx(100 * found.close / 30)
    pairs, distances = match_residues(query.positions, target.positions)
    assert len({j for _, j in pairs}) == len(pairs) == len({i for i, _ in pairs})
    assert max(distances, default=0) <= 3
