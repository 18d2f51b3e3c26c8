import gemmi
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_pairs import empty

from cryosamu.errors import MapError, ModelError
from cryosamu.evaluation.building.ca_trace import (
    RESIDUE_VOLUME,
    Trace,
    dense_voxels,
    longest_paths,
    resampled,
    trace_map,
)
from cryosamu.evaluation.building.chain_comparison import AlphaCarbons
from cryosamu.evaluation.building.trace_scores import score_trace, trace_and_score
from cryosamu.evaluation.reference import ModelReference

GRID = empty((44, 40, 42), (1.0, 1.0, 1.0), (-4.0, 3.0, 8.0))


def strand(count=9, y=20.0, z=30.0):
    """CA atoms 3.8 Å apart along x, with N, C and O between them."""
    chain = gemmi.Chain("A")
    for number in range(count):
        residue = gemmi.Residue()
        residue.name, residue.seqid = "ALA", gemmi.SeqId(number + 1, " ")
        for name, along, up in (("N", -1.2, 0.4), ("CA", 0.0, -0.4), ("C", 1.2, 0.4)):
            atom = gemmi.Atom()
            atom.name, atom.element = name, gemmi.Element(name[0])
            atom.pos = gemmi.Position(1 + 3.8 * number + along, y + up, z)
            atom.occ, atom.b_iso = 1.0, 20.0
            residue.add_atom(atom)
        chain.add_residue(residue)
    model = gemmi.Model(1)
    model.add_chain(chain)
    structure = gemmi.Structure()
    structure.add_model(model)
    structure.setup_entities()
    return structure


def test_a_strand_is_traced_end_to_end():
    structure = strand()
    volume = GRID.with_data(ModelReference(GRID, structure, 3.0).calculated)
    trace, scores = trace_and_score(volume, structure)
    longest = trace.positions[trace.paths == np.argmax(np.bincount(trace.paths))]
    assert np.ptp(longest[:, 0]) > 0.8 * 8 * 3.8
    assert abs(longest[:, 1] - 20).max() < 2
    assert scores.catrace_coverage > 85
    assert scores.catrace_connectivity > 70
    assert scores.null_connectivity < 40
    assert scores.points == len(trace.positions)


def test_the_expected_volume_is_filled_with_the_densest_voxels_above_zero():
    data = np.arange(GRID.data.size, dtype=np.float32).reshape(GRID.shape)
    volume = GRID.with_data(data)
    found = dense_voxels(volume, 10)
    assert len(found) == round(10 * RESIDUE_VOLUME)
    values = data[found[:, 2], found[:, 1], found[:, 0]]
    assert values.min() == data.size - len(found)
    few = GRID.with_data(np.where(data > data.size - 50, data, 0).astype(np.float32))
    assert len(dense_voxels(few, 10)) == 49


def test_paths_are_taken_out_longest_first():
    #  0 - 1 - 2 - 3 - 4 with a branch 5 - 6 at 2, and 7 - 8 far away
    line = [(3.0 * i, 0, 0) for i in range(5)]
    points = np.array([*line, (6, 3, 0), (6, 6, 0), (90, 0, 0), (93, 0, 0)], float)
    paths = [sorted(path.tolist()) for path in longest_paths(points)]
    assert sorted(map(len, paths)) == [2, 2, 5]
    assert sorted(points[:5].tolist()) in paths
    assert sorted(points[5:7].tolist()) in paths


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 1000), count=st.integers(1, 60))
def test_paths_hold_every_point_once(seed, count):
    points = np.random.default_rng(seed).uniform(0, 15, (count, 3))
    paths = longest_paths(points)
    together = np.concatenate(paths)
    assert sorted(together.tolist()) == sorted(points.tolist())


def test_steps_are_of_3_8_along_the_arc():
    bent = np.array([[0.0, 0, 0], [5, 0, 0], [5, 6, 0]])
    expected = [[0, 0, 0], [3.8, 0, 0], [5, 2.6, 0]]
    np.testing.assert_allclose(resampled(bent), expected, atol=1e-9)


def test_scores_of_a_known_trace():
    target = AlphaCarbons(np.array([[3.8 * i, 0, 0] for i in range(5)]), ("ALA",) * 5)
    # Four points in two paths; one is far from everything.
    positions = np.array([[0, 1, 0], [3.8, 1, 0], [7.6, 1, 0], [99, 0, 0]], float)
    region = np.full((10, 3), 500.0)
    trace = Trace(positions, np.array([0, 0, 1, 1]), region)
    scores = score_trace(trace, target)
    assert scores.catrace_coverage == pytest.approx(60)
    assert scores.catrace_precision == pytest.approx(75)
    # Bonds 0-1 of four: 1-2 lies in two paths, 2-3 and 3-4 are not matched.
    assert scores.catrace_connectivity == pytest.approx(25)
    assert scores.catrace_coverage_excess == pytest.approx(60)
    assert scores == score_trace(trace, target)


def test_what_cannot_be_traced_is_refused():
    with pytest.raises(MapError, match="no density above zero"):
        trace_map(GRID.with_data(-1 - GRID.data), 5)
    with pytest.raises(ModelError, match="no CA atoms"):
        trace_and_score(GRID, strand(0))


def test_a_speck_is_no_path():
    data = GRID.data.copy()
    data[10, 10, 10] = 1
    trace = trace_map(GRID.with_data(data), 5)
    assert len(trace.positions) == 0
    scores = score_trace(trace, AlphaCarbons(np.zeros((3, 3)), ("ALA",) * 3))
    assert scores.catrace_coverage == scores.catrace_precision == 0
