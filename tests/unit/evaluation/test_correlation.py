import gemmi
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_pairs import empty, molecule, moved, noise

from cryosamu.errors import MapError, ModelError
from cryosamu.evaluation.correlation import (
    correlations,
    map_model_correlations,
    pearson,
)
from cryosamu.evaluation.reference import ModelReference

NAMES = ("cc_box", "cc_mask", "cc_volume", "cc_peaks")
RESOLUTION = 4.0


@pytest.fixture(scope="module")
def reference():
    return ModelReference(empty(), molecule(), RESOLUTION)


def figures(found):
    return [getattr(found, name) for name in NAMES]


def test_calculated_map_correlates_with_itself(reference):
    found = correlations(reference.calculated, reference)
    assert figures(found) == pytest.approx([1.0] * 4, abs=1e-6)
    assert correlations(-reference.calculated, reference).cc_box == pytest.approx(-1, abs=1e-6)


@settings(deadline=None, max_examples=12)
@given(
    scale=st.floats(1e-3, 1e3),
    offset=st.floats(-1, 1),
    seed=st.integers(0, 1000),
)
def test_scale_and_offset_of_the_map_change_nothing(reference, scale, offset, seed):
    data = reference.calculated / reference.calculated.std() + noise(reference.grid, seed).data
    changed = (scale * (data + offset)).astype(np.float32)
    plain = correlations(data, reference)
    assert figures(correlations(changed, reference)) == pytest.approx(figures(plain), abs=2e-3)


def test_each_figure_is_pearsons_over_its_voxels(reference):
    data = reference.calculated / reference.calculated.std() + noise(reference.grid).data
    found = correlations(data, reference)
    calculated, inside = reference.calculated, reference.inside
    count = int(inside.sum())
    assert found.n_inside == count
    by_density = calculated >= np.sort(calculated, axis=None)[::-1][count]
    by_map = data >= np.sort(data, axis=None)[::-1][count]
    for name, voxels in (
        ("cc_box", np.ones_like(inside)),
        ("cc_mask", inside),
        ("cc_volume", by_density),
        ("cc_peaks", by_density | by_map),
    ):
        expected = np.corrcoef(data[voxels].astype(float), calculated[voxels].astype(float))[0, 1]
        assert getattr(found, name) == pytest.approx(expected, abs=1e-6), name
    assert len(set(np.round(figures(found), 3))) == 4


@settings(deadline=None, max_examples=8)
@given(shift=st.tuples(*[st.floats(-500, 500)] * 3))
def test_moving_map_and_model_together_changes_nothing(reference, shift):
    volume = reference.grid.with_data(reference.calculated + noise(reference.grid).data)
    there = empty(origin=shift).with_data(volume.data)
    plain = map_model_correlations(volume, molecule(), RESOLUTION)
    found = map_model_correlations(there, moved(molecule(), shift), RESOLUTION)
    assert found.n_inside == pytest.approx(plain.n_inside, abs=3)  # voxels on the mask's edge
    assert figures(found) == pytest.approx(figures(plain), abs=2e-3)


def test_moving_the_model_alone_changes_much(reference):
    volume = reference.grid.with_data(reference.calculated)
    found = map_model_correlations(volume, moved(molecule(), (6, 0, 0)), RESOLUTION)
    assert found.cc_mask < 0.5


def test_pearson_keeps_its_precision_on_a_large_offset():
    rng = np.random.default_rng(1)
    a = rng.standard_normal(10_000).astype(np.float32)
    b = (a + rng.standard_normal(10_000)).astype(np.float32)
    expected = np.corrcoef(a.astype(float), b.astype(float))[0, 1]
    assert pearson(a, b) == pytest.approx(expected, abs=1e-6)
    assert pearson(a + np.float32(100), b) == pytest.approx(expected, abs=1e-4)
    assert pearson(a, np.ones_like(a)) == 0


def test_a_constant_map_is_refused():
    with pytest.raises(MapError, match="constant"):
        map_model_correlations(empty(), molecule(), RESOLUTION)


@pytest.mark.parametrize(
    ("resolution", "reason"),
    [
        (0.0, "positive"),
        (-3.0, "positive"),
        (float("nan"), "positive"),
        (float("inf"), "positive"),
        (2.0, "finer than this map's voxels"),
    ],
)
def test_an_impossible_resolution_is_refused(resolution, reason):
    with pytest.raises(MapError, match=reason):
        map_model_correlations(noise(empty()), molecule(), resolution)


def test_a_model_outside_the_map_is_refused():
    with pytest.raises(ModelError, match="outside the map: 0 % of its atoms"):
        map_model_correlations(noise(empty()), moved(molecule(), (200, 0, 0)), RESOLUTION)


@pytest.mark.parametrize("change", ["position", "b_factor", "occupancy"])
def test_a_model_with_unknown_numbers_is_refused(change):
    structure = molecule()
    atom = structure[0][0][3][0]
    if change == "position":
        atom.pos = gemmi.Position(1.0, float("nan"), 2.0)
    elif change == "b_factor":
        atom.b_iso = float("nan")
    else:
        atom.occ = float("nan")
    with pytest.raises(ModelError, match="not a number"):
        map_model_correlations(noise(empty()), structure, RESOLUTION)
