"""Statistics over maps, against other libraries' and hand-made figures, and published means."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from typer.testing import CliRunner

from cryosamu.cli.evaluate_summary import register
from cryosamu.cli.options import application
from cryosamu.errors import CryosamuError
from cryosamu.evaluation.statistics.inference import clustered_interval, holm, signed_rank_p
from cryosamu.evaluation.statistics.pairing import paired_values
from cryosamu.evaluation.statistics.summary import median_curves, summarise
from cryosamu.tables import (
    CURVES,
    EVALUATION,
    MEDIAN_CURVES,
    SCATTER,
    SUMMARY,
    read_table,
    write_table,
)

PUBLISHED = Path(__file__).resolve().parents[4] / "shared/data/published"


def rows(values, metric="cc_mask", resolution=5.0, low_passed=False):
    """EVALUATION rows of {(emdb_id, method): value, or a text where the method failed}."""
    table = [
        {
            "emdb_id": emdb_id, "pdb_id": "1ABC", "method": method, "metric": metric,
            "value": None if isinstance(value, str) else value, "definition": "d", "mask": "m",
            "low_passed": low_passed, "floor": 0.1, "baseline": 0.2,
            "settings": json.dumps(
                {"error": value} if isinstance(value, str) else {"resolution": resolution}
            ),
        }
        for (emdb_id, method), value in values.items()
    ]  # fmt: skip
    return pd.DataFrame(table)


def many(gains, metric="cc_mask", method="mine", resolutions=None):
    resolutions = resolutions or [5.0] * len(gains)
    return pd.concat(
        [
            rows({(f"EMD-{i}", "low_pass"): 0.5, (f"EMD-{i}", method): 0.5 + gain}, metric, d)
            for i, (gain, d) in enumerate(zip(gains, resolutions, strict=True))
        ],
        ignore_index=True,
    )


def test_gains_are_oriented_and_failures_stay():
    table = pd.concat(
        [
            rows({("a", "low_pass"): 0.5, ("a", "mine"): 0.6, ("b", "low_pass"): 0.4,
                  ("b", "mine"): "out of memory"}),
            rows({("a", "low_pass"): 6.0, ("a", "mine"): 5.0}, "d_fsc_05_masked"),
        ]
    )  # fmt: skip
    found = paired_values(table, "low_pass").set_index(["emdb_id", "metric"])
    assert found.loc[("a", "cc_mask"), "gain"] == pytest.approx(0.1)
    assert found.loc[("a", "d_fsc_05_masked"), "gain"] == pytest.approx(1.0)
    assert found.loc[("b", "cc_mask"), "failed"]
    # The failed map's resolution is known from its other rows.
    assert found.loc[("b", "cc_mask"), "resolution"] == 5.0
    assert set(found["method"]) == {"mine"}


def test_figures_of_a_small_table():
    gains = [0.10, 0.05, 0.0005, -0.02, 0.03, 0.04]
    table = pd.concat(
        [
            many(gains, resolutions=[4.0, 4.9, 5.0, 7.99, 8.0, 3.0]),
            rows({("EMD-x", "low_pass"): 0.5, ("EMD-x", "mine"): "crashed"}, resolution=6.5),
        ]
    )
    summary = summarise(paired_values(table, "low_pass")).set_index("bin")
    whole = summary.loc["all"]
    assert (whole["maps"], whole["failures"], whole["undefined"]) == (7, 1, 0)
    assert (whole["wins"], whole["ties"], whole["losses"]) == (4, 1, 2)
    assert whole["mean_gain"] == pytest.approx(np.mean(gains))
    assert whole["median"] == pytest.approx(0.5 + np.median(gains))
    assert summary["maps"].to_dict() == {"all": 7, "4-5": 2, "5-6": 1, "6-7": 1, "7-8": 2}
    assert summary.loc["6-7", "losses"] == 1
    # Ranks by hand: 0.0005 < 0.02 < 0.03 < 0.04 < 0.05 < 0.1 < the failure.
    expected = stats.wilcoxon([6, 5, 1, -2, 3, 4, -7]).pvalue
    assert whole["p"] == pytest.approx(expected)
    assert summary["p"].drop("all").isna().all()


def test_signed_ranks_from_their_definition():
    """All 2^n signs of the ranks, as the exact test has it."""
    gains = np.array([0.3, -0.1, 0.25, 0.6, 0.05, 0.4])
    ranks = np.argsort(np.argsort(abs(gains))) + 1
    observed = ranks[gains > 0].sum()
    sums = np.array([ranks[[bool(n >> i & 1) for i in range(6)]].sum() for n in range(64)])
    tail = min((sums >= observed).mean(), (sums <= observed).mean())
    assert signed_rank_p(gains) == pytest.approx(2 * tail)
    assert signed_rank_p(np.zeros(4)) is None
    assert signed_rank_p(np.zeros(0)) is None


def test_holm_by_hand():
    found = holm(np.array([0.01, 0.04, np.nan, 0.03, 0.005]))
    np.testing.assert_allclose(found, [0.03, 0.06, np.nan, 0.06, 0.02])
    assert holm(np.array([0.9, 0.8])).tolist() == [1, 1]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_keeps_order_and_only_raises(values):
    p = np.array(values)
    corrected = holm(p)
    assert (corrected >= p).all()
    assert (corrected <= 1).all()
    order = np.argsort(p)
    assert (np.diff(corrected[order]) >= 0).all()


def test_interval_of_single_maps_is_scipys_bca_of_the_mean():
    gains = np.random.default_rng(3).normal(0.02, 0.05, 40)
    low, high = clustered_interval(gains, np.arange(40).astype(object))
    expected = stats.bootstrap(
        (gains,), np.mean, n_resamples=9999, method="BCa", rng=np.random.default_rng(5)
    ).confidence_interval
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-3)
    assert low < gains.mean() < high
    again = clustered_interval(gains, np.arange(40).astype(object))
    assert again == (low, high)


def test_maps_of_a_cluster_count_as_one():
    """Ten copies of each map tell no more than one of each."""
    gains = np.random.default_rng(3).normal(0.02, 0.05, 12)
    once = clustered_interval(gains, np.arange(12).astype(object))
    ten = clustered_interval(np.repeat(gains, 10), np.repeat(np.arange(12), 10).astype(object))
    assert ten == pytest.approx(once, abs=1e-9)
    naive = clustered_interval(np.repeat(gains, 10), np.arange(120).astype(object))
    assert naive[1] - naive[0] < 0.5 * (ten[1] - ten[0])
    assert clustered_interval(gains, np.array(["a", "b"] * 6, object)) is None


def test_clusters_come_from_the_split():
    pairs = pd.DataFrame({"emdb_id": ["EMD-0", "EMD-1"], "cluster": ["one", "one"]})
    found = paired_values(many([0.1, 0.2, 0.3]), "low_pass", pairs)
    assert found["cluster"].tolist() == ["one", "one", "EMD-2/1ABC"]


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        (many([0.1]).query("method == 'mine'"), "no method 'low_pass'; they have mine"),
        (many([0.1]).iloc[:0], "hold no rows"),
        (many([0.1]).query("method == 'low_pass'"), "no method beside 'low_pass'"),
        (pd.concat([many([0.1]), many([0.1])]), "cc_mask of low_pass for EMD-0 more than once"),
    ],
)
def test_what_cannot_be_compared_is_refused(table, sentence):
    with pytest.raises(CryosamuError, match=sentence):
        paired_values(table, "low_pass")


def curves_of(maps):
    return pd.DataFrame(
        [
            {"emdb_id": f"EMD-{i}", "method": "mine", "curve": "masked",
             "spatial_frequency": s, "fsc": level - s}
            for i, (level, last) in enumerate(maps)
            for s in np.arange(0, last + 1e-9, 0.01)
        ]
    )  # fmt: skip


def test_median_curve_and_its_quartiles():
    found = median_curves(curves_of([(1.0, 0.2), (0.9, 0.2), (0.7, 0.2), (0.2, 0.1)]), points=20)
    coarse = found[found["spatial_frequency"] < 0.1]
    fine = found[found["spatial_frequency"] > 0.101]
    assert (coarse["maps"] == 4).all()
    assert (fine["maps"] == 3).all()
    np.testing.assert_allclose(coarse["median"], 0.8 - coarse["spatial_frequency"], atol=1e-9)
    np.testing.assert_allclose(fine["median"], 0.9 - fine["spatial_frequency"], atol=1e-9)
    np.testing.assert_allclose(fine["upper"], 0.95 - fine["spatial_frequency"], atol=1e-9)
    np.testing.assert_allclose(fine["lower"], 0.8 - fine["spatial_frequency"], atol=1e-9)


@pytest.fixture(scope="module")
def published():
    """Peers' figures on public test maps, as rows of our table."""
    if not PUBLISHED.exists():
        pytest.skip("the published figures are not in ../shared, beside the repository")
    names = {"fsc_05": "d_fsc_05_unmasked", "cc_box": "cc_box", "cc_mask": "cc_mask",
             "cc_peaks": "cc_peaks", "avg_qscore": "q_score"}  # fmt: skip
    read = {
        method: pd.read_csv(PUBLISHED / f"{method}_primary_maps.csv").set_index("EMDB ID")
        for method in ("deposited", "emready", "cryoten", "deepemhancer")
    }
    resolutions = read["deposited"]["fsc_0143"]
    coarse = resolutions.index[resolutions >= 4]
    return pd.concat(
        [
            rows(
                {
                    (str(entry), method): float(table.loc[entry, column])
                    if entry in table.index else "no figure was published"
                    for method, table in read.items()
                },
                metric,
                float(resolutions[entry]),
            )
            for entry in coarse
            for column, metric in names.items()
        ]
    )  # fmt: skip


def test_published_means_come_out(published):
    """The means that the sources state of the 27 maps at 4 Å and coarser."""
    summary = summarise(paired_values(published, "deposited"))
    whole = summary[summary["bin"] == "all"].set_index(["method", "metric"])
    stated = {
        "deposited": (7.63, 0.772, 0.780, 0.639, 0.363),
        "emready": (5.04, 0.871, 0.749, 0.719, 0.388),
        "cryoten": (5.37, 0.870, 0.741, 0.711, 0.352),
    }
    metrics = ("d_fsc_05_unmasked", "cc_box", "cc_mask", "cc_peaks", "q_score")
    for method, values in stated.items():
        for metric, value in zip(metrics, values, strict=True):
            row = whole.loc["emready" if method == "deposited" else method, metric]
            found = row["reference_mean"] if method == "deposited" else row["mean"]
            assert row["maps"] == 27
            assert found == pytest.approx(value, abs=5.1e-3 if value > 2 else 5.1e-4), method
    assert whole.loc[("emready", "cc_mask"), "mean_gain"] < 0
    assert whole.loc[("deepemhancer", "cc_mask"), "failures"] == 4
    raw = paired_values(published, "deposited")
    raw = raw[(raw["method"] == "cryoten") & (raw["metric"] == "cc_mask")]
    assert whole.loc[("cryoten", "cc_mask"), "p"] == pytest.approx(
        stats.wilcoxon(raw["y"], raw["x"]).pvalue
    )


def test_command(tmp_path):
    write_table(tmp_path / "a.parquet", many([0.1, 0.2, 0.05, -0.01]), EVALUATION)
    curves = curves_of([(1.0, 0.2), (0.9, 0.2)])
    write_table(tmp_path / "a.curves.parquet", curves, CURVES)
    group = application()
    group.callback()(lambda: None)
    register(group)

    def run(*arguments):
        return CliRunner().invoke(group, ["summary", *map(str, arguments)])

    # A pattern of the shell takes the curves too.
    inputs = (tmp_path / "a.parquet", tmp_path / "a.curves.parquet")
    options = ("--curves", tmp_path / "a.curves.parquet", "--scatter", tmp_path / "s.parquet",
               "--median-fsc", tmp_path / "m.parquet")  # fmt: skip
    assert run(*inputs, "-o", tmp_path / "o.parquet", *options).exit_code == 0
    summary = read_table(tmp_path / "o.parquet", SUMMARY)
    assert set(summary["reference"]) == {"low_pass"}
    assert summary.iloc[0]["wins"] == 3
    assert len(read_table(tmp_path / "s.parquet", SCATTER)) == 4
    assert read_table(tmp_path / "m.parquet", MEDIAN_CURVES)["maps"].max() == 2
    assert run(*inputs, "-o", tmp_path / "o.json", *options).exit_code == 0
    record = json.loads((tmp_path / "o.json").read_text())
    assert record["comparisons"][0]["wins"] == 3
    assert record["comparisons"][1]["p"] is None
    assert {len(record[name]) > 0 for name in ("scatter", "median_fsc")} == {True}
    for arguments, words in (
        ((*inputs, "-o", tmp_path / "o.txt"), "must end in .parquet or .json"),
        ((inputs[1], "-o", tmp_path / "o.json"), "no table"),
        ((*inputs, "-o", tmp_path / "o.json", "--median-fsc", "m.parquet"), "needs the tables"),
    ):
        assert words in str(run(*arguments).exception)
