"""What the page says of all maps together."""

import re

import numpy as np
import pandas as pd
import pytest

from cryosamu.report.comparison_charts import median_chart, median_curve, scatter_chart
from cryosamu.report.entries import list_entries
from cryosamu.report.inputs import Inputs
from cryosamu.report.overview import overview_table
from cryosamu.report.page import render
from cryosamu.report.verdict import conditions_in


@pytest.fixture
def entries(evaluation, curves, split):
    return list_entries(Inputs(evaluation=evaluation, curves=curves, split=split))


def curve(frequencies, values):
    return pd.DataFrame({"spatial_frequency": frequencies, "fsc": values})


class TestMedianCurve:
    def test_quartiles_are_those_of_the_values(self):
        grid = np.linspace(0.02, 0.3, 15)
        values = [0.1, 0.2, 0.4, 0.7, 0.9]
        middle = median_curve([curve(grid, np.full(15, value)) for value in values])
        np.testing.assert_allclose(middle.lower, 0.2)
        np.testing.assert_allclose(middle.median, 0.4)
        np.testing.assert_allclose(middle.upper, 0.7)
        assert middle.maps == 5

    def test_curves_of_other_samplings_are_brought_together(self):
        fine, coarse = np.linspace(0.0, 0.4, 81), np.linspace(0.0, 0.4, 9)
        middle = median_curve([curve(f, 1 - 2 * f) for f in (fine, coarse, fine[::-1])])
        np.testing.assert_allclose(middle.median, 1 - 2 * middle.frequency, atol=1e-12)

    def test_ends_where_fewer_than_half_have_a_value(self):
        ends = (0.2, 0.3, 0.4, 0.5)
        middle = median_curve([curve([0.0, end], [1.0, 1.0]) for end in ends])
        assert middle.frequency[-1] == pytest.approx(0.4)
        assert np.isfinite(middle.median).all()


class TestCharts:
    def test_a_panel_for_each_metric_with_both_values(self, entries, evaluation):
        svg = scatter_chart(entries, conditions_in(evaluation))
        titles = [title for title in ("CC_mask", "CC_box", "FSC-0.5 masked") if title in svg]
        assert len(titles) == 3
        assert "Mean FSC" not in svg
        # Deposited low-passed maps are what is compared with, not a row of points.
        assert "low-passed<" not in svg

    def test_nothing_to_compare_gives_no_chart(self, entries, evaluation):
        assert scatter_chart([], conditions_in(evaluation)) is None

    def test_two_maps_have_no_median(self, entries):
        assert median_chart(entries) is None

    def test_three_maps_have_one(self, evaluation, curves):
        third = {"EMD-2": "EMD-3"}
        more = Inputs(
            evaluation=pd.concat([evaluation, evaluation.replace(third)]).drop_duplicates(
                ["emdb_id", "method", "metric", "low_passed"]
            ),
            curves=pd.concat([curves, curves[curves["emdb_id"] == "EMD-2"].replace(third)]),
        )
        svg = median_chart(list_entries(more))
        assert "Enhanced (3 maps)" in svg
        assert "Median map–model FSC of 3 maps" in svg


class TestOverview:
    def test_each_entry_leads_to_its_article(self, entries, evaluation, curves, split):
        table = overview_table(entries)
        html = render(Inputs(evaluation=evaluation, curves=curves, split=split), "t")
        for row, emdb_id in zip(table.rows, ("EMD-1", "EMD-2"), strict=True):
            assert row[0].text == emdb_id
            anchor = row[0].link.removeprefix("#")
            assert re.search(rf'<article class="entry" id="{anchor}".*?{emdb_id} with', html, re.S)
            assert f'<a href="#{anchor}">{emdb_id}</a>' in html

    def test_values_and_counts(self, entries):
        table = overview_table(entries)
        titles = [" ".join(title.split()) for title in table.headers]
        rows = [dict(zip(titles, row, strict=True)) for row in table.rows]
        first = {title: cell.text for title, cell in rows[0].items()}
        assert first["CC_mask ↑, baseline"] == "0.600"
        assert first["CC_mask ↑, enhanced"] == "0.600"
        # An unfiltered map's FSC-0.5 is compared with the unfiltered deposited map's.
        assert first["FSC-0.5 masked (Å) ↓, baseline"] == "6.00"
        assert first["FSC-0.5 masked (Å) ↓, enhanced"] == "6.20"
        assert (first["Better"], first["Worse"], first["Part"]) == ("0", "2", "held out")
        assert rows[1]["CC_mask ↑, enhanced"].mark == "no value"

    def test_an_entry_that_was_not_evaluated(self, pairing):
        (row,) = overview_table(list_entries(Inputs(pairings=(pairing,)))).rows
        assert [cell.text for cell in row[5:]] == ["—"] * 6
