"""What the page says of all maps together."""

import re

import pandas as pd
import pytest

from cryosamu import tables
from cryosamu.errors import CryosamuError
from cryosamu.report.comparison_charts import median_chart, scatter_chart
from cryosamu.report.cost_table import cost_table
from cryosamu.report.entries import list_entries
from cryosamu.report.inputs import InputFiles, Inputs, read_inputs
from cryosamu.report.overview import overview_table
from cryosamu.report.page import render
from cryosamu.report.statistics_table import statistics_table
from cryosamu.report.verdict import conditions_in


@pytest.fixture
def entries(evaluation, curves, split):
    return list_entries(Inputs(evaluation=evaluation, curves=curves, split=split))


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


@pytest.fixture
def summary():
    """Two metrics; one gain is sure, one is not, one has too few clusters, one bin is empty."""
    rows = [
        ("cc_mask", "all", 9, 1, 0.61, 0.58, 0.03, 0.031, 0.01, 0.05, 8, 0, 2, 0.01),
        ("cc_mask", "5-6", 2, 0, 0.60, 0.59, 0.01, 0.012, None, None, 1, 1, 0, None),
        ("cc_mask", "7-8", 0, 0, None, None, None, None, None, None, 0, 0, 0, None),
        ("cc_box", "all", 9, 0, 0.70, 0.70, -0.002, -0.001, -0.01, 0.004, 4, 0, 5, 0.8),
    ]
    names = [
        "metric", "bin", "maps", "failures", "mean", "reference_mean", "mean_gain", "median_gain",
        "gain_low", "gain_high", "wins", "ties", "losses", "p_holm",
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=names)
    frame = frame.assign(method="enhanced", reference="low_pass", low_passed=False, undefined=0)
    return frame.assign(median=frame["mean"], p=frame["p_holm"])[tables.SUMMARY.names]


class TestStatistics:
    def test_gains_intervals_and_marks(self, summary):
        table = statistics_table(summary)
        rows = [dict(zip(table.headers, row, strict=True)) for row in table.rows]
        assert [row["Resolution (Å)"].text for row in rows] == ["all", "all", "5-6"]
        box, sure, few = rows
        assert (sure["Mean gain"].text, sure["Mean gain"].mark) == ("0.0300", "better")
        assert sure["Interval"].text == "+0.0100 to +0.0500"
        assert (sure["Failed"].text, sure["Losses"].text) == ("1", "2")
        assert (box["Mean gain"].text, box["Mean gain"].mark) == ("−0.0020", "")
        assert (few["Interval"].text, few["p (Holm)"].text) == ("—", "—")
        assert "Deposited, low-passed" in table.caption

    def test_on_the_page(self, summary, evaluation, split, page):
        one = evaluation[evaluation["emdb_id"] == "EMD-1"]
        with_tests = render(Inputs(evaluation=one, split=split, summary=summary), "t")
        assert 'id="statistics"' in with_tests
        assert "without a statistical test" not in with_tests
        assert "statistics" not in page.tables
        assert "without a statistical test" in page.words

    def test_is_read_from_its_file(self, tmp_path, summary):
        tables.write_table(tmp_path / "s.parquet", summary, tables.SUMMARY)
        read = read_inputs(InputFiles(summary=tmp_path / "s.parquet"))
        assert len(read.summary) == 4
        assert [name for name, _ in read.files] == ["s.parquet"]


class TestCosts:
    @pytest.fixture
    def methods(self):
        rows = [
            ("EMD-1", "enhanced", "ok", None, 10.0, 900.0, "cryosamu", "0.1", False, "ab"),
            ("EMD-2", "enhanced", "ok", None, 30.0, 700.0, "cryosamu", "0.1", False, "ab"),
            ("EMD-3", "enhanced", "failed", "memory", 99.0, 9999.0, "cryosamu", "0.1", False, "ab"),
            ("EMD-1", "emready", "ok", None, None, None, None, None, True, "cd"),
        ]
        return pd.DataFrame(rows, columns=tables.METHODS.names)

    def test_over_the_maps_that_were_made(self, methods):
        table = cost_table(methods)
        shown = [[cell.text for cell in row] for row in table.rows]
        assert shown == [
            ["Enhanced", "3", "1", "20.0", "30.0", "900", "cryosamu 0.1"],
            ["EMReady", "1", "0", "—", "—", "—", "—"],
        ]

    def test_is_read_from_its_files(self, methods, tmp_path):
        for name, rows in (("a", methods[:2]), ("b", methods[2:])):
            tables.write_table(tmp_path / name, rows, tables.METHODS)
        read = read_inputs(InputFiles(methods=(tmp_path / "a", tmp_path / "b")))
        assert len(read.methods) == 4
        assert 'id="costs"' in render(read, "t")
        with pytest.raises(CryosamuError, match="hold the method enhanced for EMD-1 more than"):
            read_inputs(InputFiles(methods=(tmp_path / "a", tmp_path / "a")))


class TestOverview:
    def test_each_entry_leads_to_its_article(self, entries, page):
        table, html = overview_table(entries), page.html
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
