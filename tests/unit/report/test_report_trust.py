"""What the page says of whether a gain is one: floors, controls, leakage, single residues."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cryosamu import tables
from cryosamu.report import residue_charts
from cryosamu.report.control_tables import control_table, controls_summary
from cryosamu.report.entries import list_entries
from cryosamu.report.gain_table import gain_table
from cryosamu.report.inputs import Inputs
from cryosamu.report.leakage_table import about_leakage, leakage_table
from cryosamu.report.residue_charts import (
    about_residues,
    polymer_residues,
    residue_chart,
    with_gaps,
)
from cryosamu.report.statements import statements
from cryosamu.report.summary import summaries
from cryosamu.report.verdict import Condition, compare, tally

ENHANCED_LOW = Condition("enhanced", True)


@pytest.fixture(scope="module")
def entries(inputs):
    return list_entries(inputs)


def cells(table):
    return [dict(zip(table.headers, row, strict=True)) for row in table.rows]


class TestGains:
    def test_value_baseline_floor_and_verdict(self, entries):
        table = gain_table(entries[0], "g")
        assert table.headers[1:5] == ["Enhanced", "Fair baseline", "Floor", "A gain?"]
        assert table.headers[5] == "Enhanced, low-passed"
        box, mask, crossing = [[cell.text for cell in row] for row in table.rows]
        # Enhanced cc_mask 0.6004 equals the baseline and stays below the floor of 0.605.
        assert box[1:] == ["0.690", "0.720", "0.650", "no", "0.740", "0.720", "0.650", "yes"]
        assert mask[1:5] == ["0.600", "0.600", "0.605", "no, below floor"]
        assert mask[5:] == ["0.610", "0.600", "0.605", "yes"]
        # No floor is known; unfiltered, the baseline is the unfiltered deposited map.
        assert crossing[1:5] == ["6.20", "6.00", "—", "no"]

    def test_a_better_value_below_the_floor_is_no_gain(self, entries):
        rows = entries[0].rows
        raised = rows.assign(floor=rows["floor"].where(rows["metric"] != "cc_mask", 0.62))
        entry = replace(entries[0], rows=raised)
        (mask,) = [row for row in gain_table(entry, "g").rows if "CC_mask" in row[0].text]
        assert (mask[5].mark, mask[8].text) == ("better", "no, below floor")
        assert tally(compare(raised, ENHANCED_LOW)).below_floor == 1
        (summary,) = summaries([entry], [ENHANCED_LOW])
        assert summary.sentences[0].end == " (1 of the better ones no better than a floor)"

    def test_a_floor_of_a_resolution_is_cleared_downwards(self, entries):
        rows = entries[0].rows
        for floor, above in ((6.3, True), (6.2, False), (6.0, False)):
            given = rows.assign(floor=floor)
            found = {c.metric.key: c for c in compare(given, Condition("enhanced", False))}
            assert found["d_fsc_05_masked"].above_floor is above

    def test_without_an_enhanced_map_there_is_none(self, entries):
        rows = entries[0].rows
        bare = replace(entries[0], rows=rows[rows["method"] == "deposited"])
        assert gain_table(bare, "g") is None


class TestControls:
    def test_the_first_screen(self, entries):
        summary = controls_summary(entries)
        assert summary.meaning == "Score, 0 to 1"
        assert summary.sentences == [
            "The hallucination score is 0.04 to 0.31 on 2 maps, above the limit of 0.2 on "
            "EMD-1 (0.31).",
            "Of 6 controls on 2 maps, 3 passed, 1 failed and 2 do not apply.",
        ]
        first, second = cells(summary.table)
        assert (first["Entry"].text, second["Entry"].text) == ("EMD-1", "EMD-2")
        assert (first["Hallucination score"].text, first["Hallucination score"].mark) == (
            "0.31", "fail",
        )  # fmt: skip
        assert first["6 Helix deleted"].mark == "fail"
        assert first["6 Helix deleted"].hint == "31 % came back"
        assert second["7 Half maps"].mark == "not applicable"

    def test_the_highest_score_stands_first(self, entries):
        raised = [
            replace(e, controls=e.controls.assign(value=0.5 if e.emdb_id == "EMD-2" else 0.1))
            for e in entries
        ]
        first, second = cells(controls_summary(raised).table)
        assert (first["Entry"].text, second["Entry"].text) == ("EMD-2", "EMD-1")

    def test_all_is_well(self, entries):
        fine = [e for e in entries if e.emdb_id == "EMD-2"]
        assert controls_summary(fine).sentences[0] == (
            "The hallucination score is 0.04 on 1 map, nowhere above the limit of 0.2."
        )

    def test_a_map_without_a_score(self, entries):
        controls = entries[0].controls.assign(value=np.nan, verdict="not_applicable")
        summary = controls_summary([replace(entries[0], controls=controls)])
        assert summary.sentences[0].startswith("No map has a hallucination score")

    def test_each_in_full_with_its_reason(self, entries):
        table = control_table(entries[0], "c")
        rows = {row["Control"].text: row for row in cells(table)}
        assert list(rows) == ["Hallucination score", "No signal", "Helix deleted", "Half maps"]
        assert rows["Helix deleted"]["Verdict"].text == "fail"
        assert rows["Half maps"]["Verdict"].text == "not applicable"
        assert rows["Half maps"]["What was found"].text == "no half maps were given"
        assert rows["No signal"]["What it must show"].text == "Nothing from noise"
        assert (rows["No signal"]["Value"].text, rows["No signal"]["Limit"].text) == (
            "0.010", "0.1",
        )  # fmt: skip

    def test_on_the_page(self, page):
        assert "Is what it shows real? The hallucination score is 0.04 to 0.31" in page.words
        assert ("td", "title", "31 % came back") in page.attributes
        assert {"controls", "controls-1", "controls-2"} <= set(page.tables)

    def test_an_entry_of_controls_alone(self, controls):
        entries = list_entries(Inputs(controls=controls))
        assert [entry.emdb_id for entry in entries] == ["EMD-1", "EMD-2"]
        assert entries[0].rows.empty


class TestLeakage:
    def test_the_closest_chain_of_each_map(self, leakage, entries):
        first, second = cells(leakage_table(leakage, entries))
        assert [first[key].text for key in list(first)[:5]] == [
            "EMD-1", "97.5", "B", "EMD-3, 3CCC chain C", "yes",
        ]  # fmt: skip
        assert second["Greatest identity (%)"].text == "none aligns"
        assert second["Same cluster"].text == "no"

    def test_the_conditions_stand_beside_it(self, leakage, entries):
        first, _ = cells(leakage_table(leakage, entries))
        # Low-passed with low-passed; without a structure it was not low-passed here.
        assert first["CC_mask, fair baseline"].text == "0.600"
        assert first["CC_mask, deposited model"].text == "0.610"
        assert first["CC_mask, no structure given"].text == "—"

    def test_a_cluster_counts_whatever_the_closest_chain(self, leakage, entries):
        moved = leakage.assign(shares_cluster=[True, False, False])
        assert cells(leakage_table(moved, entries))[0]["Same cluster"].text == "yes"

    def test_what_is_said_of_it(self, leakage):
        (line,) = about_leakage(leakage, 0.3)
        assert "EMD-1 is closest" in line
        assert "98 % sequence identity with chain C of EMD-3." in line
        assert "in a cluster of training: EMD-1." in line
        (line,) = about_leakage(leakage.iloc[[0, 2]], 0.3)
        assert line.endswith("None is above 30 % or in a cluster of training.")
        (line,) = about_leakage(leakage.iloc[[2]], 0.3)
        assert line.startswith("No chain of 1 evaluated map aligns")

    def test_no_evaluated_chain(self, leakage):
        assert leakage_table(leakage[:0], []) is None
        assert about_leakage(leakage[:0], 0.3) == []

    def test_the_limit_is_the_configured_one(self, inputs):
        said = " ".join(statements(inputs, list_entries(inputs)))
        assert "Above 30 %, or" in said

    def test_on_the_page(self, page):
        assert "Could the network have known the answer? Embedding the deposited" in page.words
        assert "leakage" in page.tables


class TestResidues:
    def test_lines_break_where_residues_are_not_modelled(self):
        values = np.arange(5.0)
        places, line = with_gaps(["-1", "0", "0A", "7", "8"], values)
        np.testing.assert_array_equal(places, [0, 1, 2, 2.5, 3, 4])
        np.testing.assert_array_equal(line, [0, 1, 2, np.nan, 3, 4])

    def test_ligands_and_single_residues_are_left_out(self, residues):
        kept = polymer_residues(residues)
        assert set(kept["chain"]) == {"A"}
        assert "HEM" not in set(kept["name"])
        assert len(kept) == 3 * 6

    def test_better_and_worse_are_counted_against_the_fair_baseline(self, residues):
        cc, q_score = about_residues(residues)
        assert cc == "CC of 6 residues against the fair baseline: better in 5 and worse in 1."
        assert q_score == (
            "Q-score of 6 residues against the fair baseline: better in 6 and worse in 0."
        )

    def test_a_chart_with_both_measures_of_a_chain(self, residues):
        svg = residue_chart(residues, "r")
        assert "A: CC of the whole chain 0.30 → 0.40" in svg
        assert "A: mean Q-score 0.60 → 0.70" in svg
        assert "B:" not in svg

    def test_many_chains_are_not_all_drawn(self, residues, monkeypatch):
        monkeypatch.setattr(residue_charts, "MOST_CHAINS", 2)
        first = residues[residues["chain"] == "A"]
        many = pd.concat([first.assign(chain=name) for name in "ABC"], ignore_index=True)
        svg = residue_chart(many, "r")
        assert [f"{name}: mean" in svg for name in "ABC"] == [True, True, False]
        assert "the first 2 of 3 chains" in about_residues(many)[-1]

    def test_nothing_to_draw(self, residues):
        assert residue_chart(residues[residues["chain"] == "B"], "r") is None
        assert residue_chart(tables.RESIDUES.empty_table().to_pandas(), "r") is None

    def test_on_the_page(self, page):
        assert "Residue by residue" in page.words
        assert "better in 5 and worse in 1." in page.words
