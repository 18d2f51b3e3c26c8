import base64
import hashlib
import re
from dataclasses import replace

import numpy as np
import pytest
from parsed_page import HOSTILE, Page

from cryosamu import tables
from cryosamu.config import parse_config
from cryosamu.report.inputs import Inputs
from cryosamu.report.listing import number
from cryosamu.report.page import render, write_report


class TestTables:
    def test_metrics_are_those_of_the_evaluation(self, page, evaluation):
        columns = {"CC_box ↑": "cc_box", "CC_mask ↑": "cc_mask"}
        columns["FSC-0.5 masked (Å) ↓"] = "d_fsc_05_masked"
        names = {
            "Deposited": ("deposited", False),
            "Deposited, low-passed to 3.2 Å — the fair baseline": ("deposited", True),
            "Enhanced": ("enhanced", False),
            "Enhanced, low-passed to 3.2 Å": ("enhanced", True),
            "Enhanced, no structure given": ("enhanced_no_structure", False),
        }
        shown = page.rows("metrics-1")
        assert [row["Method"][0] for row in shown] == list(names)
        given = evaluation.set_index(["emdb_id", "method", "low_passed", "metric"])["value"]
        for row in shown:
            for title, metric in columns.items():
                value = given["EMD-1", *names[row["Method"][0]], metric]
                assert float(row[title][1]) == value
                digits = 2 if "Å" in title else 3
                assert row[title][0].strip() == f"{value:.{digits}f}"

    def test_marks_against_the_fair_baseline(self, page):
        marks = {row["Method"][0]: [cell[2] for cell in row.values()][1:] for row in
                 page.rows("metrics-1")}  # fmt: skip
        assert marks["Enhanced"] == ["worse", "equal", "worse"]
        assert marks["Enhanced, low-passed to 3.2 Å"] == ["better", "better", "worse"]
        assert marks["Deposited, low-passed to 3.2 Å — the fair baseline"] == [None] * 3

    def test_a_failed_value_is_shown_as_missing(self, page):
        (row,) = [r for r in page.rows("metrics-2") if r["Method"][0] == "Enhanced"]
        assert row["CC_mask ↑"] == ["—", None, "no value"]

    def test_differences_on_the_first_screen(self, page):
        rows = {(r["Entry"][0], r["Compared"][0]): r for r in page.rows("comparisons")}
        row = rows["EMD-1", "Enhanced"]
        assert row["CC_box ↑"][0].strip() == "−0.030"
        assert row["CC_box ↑"][2] == "worse"
        assert row["FSC-0.5 masked (Å) ↓"][0].strip() == "+0.20"
        assert (row["Better"][0], row["Worse"][0]) == ("0", "2")

    def test_every_rejected_entry_with_filter_number_threshold_and_reason(self, page, decisions):
        rejected = decisions[decisions["verdict"] != "keep"]
        shown = page.rows("rejected")
        assert len(shown) == len(rejected) == 3
        for row, (_, given) in zip(shown, rejected.iterrows(), strict=True):
            assert row["Entry"][0] == given["emdb_id"]
            assert row["Filter"][0] == given["filter"]
            assert row["Reason"][0] == given["reason"]
            for title, column in (("Number", "value"), ("Threshold", "threshold")):
                missing = np.isnan(given[column])
                assert (row[title][1] is None) == missing
                assert missing or float(row[title][1]) == given[column]

    def test_the_split_with_resolution_and_kind(self, page, split):
        shown = {row["Entry"][0]: row for row in page.rows("split")}
        for given in split.itertuples():
            row = shown[given.emdb_id]
            assert row["Split"][0] == given.split
            assert float(row["Reported (Å)"][1]) == given.resolution
            assert row["Map"][0] == ("simulated" if given.simulated else "real")

    def test_counts_of_the_verdict_in_one_size(self, page):
        body = [row for row in page.tables["tally"][2:] if len(row) > 1]
        assert [row[0][0] for row in body[:3]] == [
            "Enhanced",
            "Enhanced, low-passed",
            "Enhanced, no structure given",
        ]
        # better, equal, worse, no value: against the fair baseline, then against deposited.
        assert [cell[0] for cell in body[0][1:]] == ["0", "1", "2", "0", "1", "0", "2", "0"]
        assert [cell[0] for cell in body[1][1:5]] == ["2", "0", "1", "0"]
        assert [cell[0] for cell in body[3][1:5]] == ["2", "0", "0", "1"]
        classes = {value for tag, name, value in page.attributes if tag == "td" and name == "class"}
        assert {"count", "count first"} <= classes

    def test_settings_that_differ_from_the_recipe(self, page):
        assert "training.steps 400 (recipe: 60000)" in page.words
        assert "training.batch_size" not in page.words


class TestPage:
    def test_says_in_words_that_it_is_worse(self, page):
        assert (
            "On the real held-out map EMD-1, in 3 comparisons with the fair baseline, "
            "the unfiltered enhanced map is more often worse than better: "
            "better in 0 and worse in 2 (equal in 1);" in page.words
        )

    def test_asks_nothing_of_a_network(self, page):
        html = page.html
        addresses = [
            value
            for _, name, value in page.attributes
            if name in ("src", "href", "xlink:href", "srcset", "action", "data", "poster")
        ]
        assert addresses
        assert all(value.startswith(("#", "data:image/png;base64,")) for value in addresses)
        assert not re.search(r"url\((?!#)", html)
        assert "@import" not in html
        assert "link" not in page.tags
        assert "iframe" not in page.tags

    def test_text_of_the_inputs_is_only_text(self, inputs, evaluation, history):
        hostile = replace(
            inputs,
            evaluation=evaluation.replace({"method": {"deposited": HOSTILE}}),
            history=history.replace({"metric": {"loss_with_tokens": HOSTILE}}),
            curves=inputs.curves.replace({"method": {"deposited": HOSTILE}}),
            residues=inputs.residues.replace({"chain": {"A": HOSTILE}}),
            controls=inputs.controls.replace({"reason": {"0.01": HOSTILE}}),
            leakage=inputs.leakage.replace({"chain": {"A": HOSTILE}}),
        )
        page = Page(render(hostile, HOSTILE, HOSTILE))
        assert page.tags.count("script") == 1
        assert page.tags.count("img") == 0
        assert page.words.count('<script>alert("x")</script>') >= 6
        assert not [name for _, name, _ in page.attributes if name.startswith("on")]

    def test_only_its_own_script_may_run(self):
        page = Page(render(Inputs(), "t"))
        (policy,) = [v for t, n, v in page.attributes if n == "content" and "default-src" in v]
        assert policy.startswith("default-src 'none'")
        assert re.search(r"script-src 'sha256-[\w+/]{43}='$", policy)

    def test_each_script_of_a_view_may_run_and_no_other(self, page):
        html = page.html
        (policy,) = [v for t, n, v in page.attributes if n == "content" and "default" in v]
        written = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
        digests = [base64.b64encode(hashlib.sha256(t.encode()).digest()) for t in written]
        allowed = re.search(r"script-src ([^;]*)$", policy).group(1).split()
        assert allowed == [f"'sha256-{digest.decode()}'" for digest in digests]
        assert len(allowed) == 6
        blocks = re.findall(r'<script type="application/json" id="([\w-]+)">', html)
        assert blocks == ["view-1"]

    def test_only_the_first_maps_get_a_view(self, pairing):
        config = parse_config({"report": {"viewers": 0}})
        page = Page(render(Inputs(pairings=(pairing,), config=config), "t"))
        assert "canvas" not in page.tags
        assert page.tags.count("script") == 1
        assert page.tags.count("img") == 12

    def test_ids_are_unique_and_references_resolve(self, page):
        ids = [value for _, name, value in page.attributes if name == "id"]
        assert len(ids) == len(set(ids))
        wanted = {
            value[1:]
            for _, name, value in page.attributes
            if name in ("href", "xlink:href") and value.startswith("#")
        }
        wanted |= {v for _, n, v in page.attributes if n == "aria-labelledby"}
        assert wanted <= set(ids)

    def test_every_picture_has_words(self, page):
        words = [value for tag, name, value in page.attributes if (tag, name) == ("img", "alt")]
        assert len(words) == page.tags.count("img") == 3 + 9
        assert len(set(words)) == len(words)

    def test_the_same_inputs_give_the_same_bytes(self, page, inputs, pairing, tmp_path):
        write_report(replace(inputs, pairings=(pairing,)), tmp_path / "a.html", "A title", "A note")
        assert (tmp_path / "a.html").read_text(encoding="utf-8") == page.html

    def test_what_is_missing_is_said(self):
        words = Page(render(Inputs(), "t")).words
        for sentence in (
            "No evaluation was given: nothing can be said of the enhanced maps.",
            "No checkpoint was given.",
            "No configuration was given.",
            "No decisions were given: the curation was not run.",
            "No split was given: this section was not run.",
            "No training history was given: this section was not run.",
            "No evaluation and no maps were given: this section was not run.",
        ):
            assert sentence in words

    def test_tables_without_rows(self):
        names = ("evaluation", "curves", "residues", "controls", "leakage", "methods")
        empty = {n: getattr(tables, n.upper()).empty_table().to_pandas() for n in names}
        words = Page(render(Inputs(**empty), "t")).words
        assert "The controls were not run" in words
        assert "Could the network have known" not in words
        assert "Time and memory" not in words

    def test_definitions_come_with_their_version(self, page):
        assert "Definition: cctbx 2025.11, five_cc" in page.words


def test_an_entry_that_is_only_drawn(pairing):
    page = Page(render(Inputs(pairings=(pairing,)), "t"))
    assert "EMD-1 with 1AAA" in page.words
    assert "This map was not evaluated." in page.words
    assert page.tags.count("img") == 12


@pytest.mark.parametrize(
    ("value", "digits", "written"),
    [(40213.0, None, "40,213"), (0.412, None, "0.412"), (-0.5, 3, "−0.500"), (None, 2, "—")],
)
def test_numbers_as_they_are_written(value, digits, written):
    assert number(value, digits).text == written
