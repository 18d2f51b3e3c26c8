import json

import numpy as np
import pytest
from small_pairs import empty, molecule, noise

from cryosamu.config import EvaluationSettings
from cryosamu.errors import MapError
from cryosamu.evaluation.correlation import map_model_correlations
from cryosamu.evaluation.definitions import METRICS
from cryosamu.evaluation.entry import judge_entry
from cryosamu.evaluation.fsc import map_model_fsc
from cryosamu.evaluation.measurement import half_map_resolutions
from cryosamu.evaluation.reference import ModelReference
from cryosamu.evaluation.rows import curves_table, evaluation_table, residues_table
from cryosamu.tables import CURVES, EVALUATION, RESIDUES, read_table, write_table
from cryosamu.volume.fourier import low_pass
from cryosamu.volume.io import write_map

RESOLUTION = 4.0
FAILED = ("absent", "elsewhere", "flat")


@pytest.fixture(scope="module")
def deposited():
    grid = empty((40, 38, 36), (1.2, 1.2, 1.2))
    calculated = ModelReference(grid, molecule(spread=10), RESOLUTION).calculated
    return grid.with_data(calculated / calculated.std() + noise(grid).data)


@pytest.fixture(scope="module")
def judged(deposited, tmp_path_factory):
    folder = tmp_path_factory.mktemp("maps")
    finished = {name: folder / f"{name}.mrc" for name in ("inverted", *FAILED)}
    write_map(finished["inverted"], deposited.with_data(-deposited.data), "a test")
    write_map(finished["elsewhere"], empty((40, 38, 36), (1.2, 1.2, 1.2), (90, 0, 0)), "a test")
    write_map(finished["flat"], deposited.with_data(0 * deposited.data), "a test")
    structure = molecule(spread=10)
    return judge_entry(deposited, structure, RESOLUTION, EvaluationSettings(), finished)


def one(judged, method, low_passed=False):
    (found,) = [j for j in judged if j.method == method and j.low_passed == low_passed]
    return found


def test_every_method_is_judged_as_it_is_and_low_passed(judged):
    names = [
        "deposited", "low_pass", "low_pass_masked", "sharpened", "locally_sharpened",
        "inverted", *FAILED, "envelope", "random_phases",
    ]  # fmt: skip
    assert [(j.method, j.low_passed) for j in judged] == [
        (name, low_passed) for name in names for low_passed in (False, True)
    ]
    assert all(list(j.metrics) == list(METRICS) or j.method in FAILED for j in judged)


@pytest.mark.parametrize("low_passed", [False, True])
def test_figures_are_those_of_the_single_functions(deposited, judged, low_passed):
    volume = low_pass(deposited, RESOLUTION) if low_passed else deposited
    structure = molecule(spread=10)
    correlations = map_model_correlations(volume, structure, RESOLUTION)
    curves = map_model_fsc(volume, structure, RESOLUTION)
    found = one(judged, "deposited", low_passed).metrics
    for name in ("cc_box", "cc_mask", "cc_volume", "cc_peaks"):
        assert found[name] == pytest.approx(getattr(correlations, name), abs=1e-6)
    assert found["d_fsc_05_masked"] == curves.d_fsc_05_masked
    assert found["fsc_average_unmasked"] == curves.unmasked.average


def test_low_passed_deposited_is_the_low_pass_method(judged):
    filtered = one(judged, "deposited", low_passed=True).metrics
    for low_passed in (False, True):
        assert one(judged, "low_pass", low_passed).metrics == pytest.approx(filtered, abs=1e-5)
    assert filtered["cc_box"] > one(judged, "deposited").metrics["cc_box"] + 0.05


def test_a_finished_map_stands_beside_the_deposited_one(judged):
    upright, inverted = one(judged, "deposited").metrics, one(judged, "inverted").metrics
    assert inverted["cc_box"] == pytest.approx(-upright["cc_box"], abs=1e-6)
    assert inverted["fsc_average_masked"] == pytest.approx(-upright["fsc_average_masked"], abs=1e-6)


@pytest.mark.parametrize(
    ("method", "reason"),
    [("absent", "does not exist"), ("elsewhere", "is elsewhere"), ("flat", "constant")],
)
def test_a_method_that_fails_counts(judged, method, reason):
    for low_passed in (False, True):
        found = one(judged, method, low_passed)
        assert set(found.metrics) == set(METRICS)
        assert set(found.metrics.values()) == {None}
        assert reason in found.settings["error"]
        assert found.curves is None


def test_tables_cross_to_the_next_stage(judged, tmp_path):
    table = evaluation_table(judged, "EMD-1", "1ABC")
    write_table(tmp_path / "table.parquet", table, EVALUATION)
    read = read_table(tmp_path / "table.parquet", EVALUATION)
    assert len(read) == len(judged) * len(METRICS)
    row = read[(read["method"] == "deposited") & (read["metric"] == "cc_mask")].iloc[0]
    assert row["value"] == one(judged, "deposited").metrics["cc_mask"]
    assert row["definition"] == "cctbx-2025.11 five_cc"
    assert json.loads(row["settings"])["resolution"] == RESOLUTION
    assert row["mask"] == "model, r_vdw + 1.1 Å, shrunk by 0.9 Å"
    failed = read[read["method"] == "absent"]
    assert failed["value"].isna().all()
    assert len(failed) == 2 * len(METRICS)

    curves = curves_table(judged, "EMD-1")
    write_table(tmp_path / "curves.parquet", curves, CURVES)
    read = read_table(tmp_path / "curves.parquet", CURVES)
    assert set(read["method"]) == {j.method for j in judged} - set(FAILED)
    curve = read[(read["method"] == "deposited") & (read["curve"] == "masked")]
    expected = one(judged, "deposited").curves.masked.shells
    np.testing.assert_array_equal(curve["spatial_frequency"], expected.spatial_frequency)
    np.testing.assert_array_equal(curve["fsc"], expected.fsc)
    assert (np.diff(curve["spatial_frequency"]) > 0).all()


@pytest.mark.parametrize("low_passed", [False, True])
def test_each_row_knows_floor_and_baseline(judged, low_passed):
    table = evaluation_table(judged, "EMD-1", "1ABC").set_index(["method", "metric", "low_passed"])
    for metric, better in (("cc_mask", max), ("q_score", max), ("d_fsc_05_masked", min)):
        floors = [table.loc[f, metric, low_passed]["value"] for f in ("envelope", "random_phases")]
        for method in ("deposited", "inverted", "absent", "envelope"):
            row = table.loc[method, metric, low_passed]
            assert row["floor"] == better(floors)
            assert row["baseline"] == table.loc["low_pass", metric, low_passed]["value"]


def test_residues_cross_as_a_table_of_their_own(deposited, judged, tmp_path):
    structure = molecule(spread=10)
    reference = ModelReference(deposited, structure, RESOLUTION)
    halves = half_map_resolutions(deposited.data, deposited.data, reference)
    table = residues_table(judged, reference.residues, "EMD-1", "1ABC", halves)
    write_table(tmp_path / "residues.parquet", table, RESIDUES)
    read = read_table(tmp_path / "residues.parquet", RESIDUES)
    methods = {j.method for j in judged} - set(FAILED)
    assert set(read["method"]) == methods
    assert len(read) == 40 * len(methods)
    rows = read[read["method"] == "deposited"].set_index("residue")
    figures = one(judged, "deposited").residues
    assert rows.loc["7", "cc"] == figures.correlation[6]
    assert rows.loc["7", "q_score"] == figures.q_score[6]
    assert set(rows["cc_chain"]) == {figures.chains["A"]}
    # A map with itself: nothing below the threshold, down to the Nyquist limit.
    assert set(rows["d_local_half_maps"]) == {2 * deposited.voxel_size[0]}
    medians = one(judged, "deposited").metrics
    assert medians["cc_residue"] == pytest.approx(rows["cc"].median())
    assert medians["d_local_fsc_05"] == pytest.approx(rows["d_local_fsc_05"].median())


def test_fewer_baselines_where_the_configuration_says_so(deposited):
    settings = EvaluationSettings(methods=("low_pass",))
    judged = judge_entry(deposited, molecule(spread=10), RESOLUTION, settings)
    assert {j.method for j in judged} == {"deposited", "low_pass", "envelope", "random_phases"}


def test_a_constant_deposited_map_is_refused(deposited):
    with pytest.raises(MapError, match="constant"):
        judge_entry(
            deposited.with_data(0 * deposited.data), molecule(), RESOLUTION, EvaluationSettings()
        )
