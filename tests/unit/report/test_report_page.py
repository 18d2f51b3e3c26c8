import base64
import hashlib
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from cryosamu import tables
from cryosamu.config import parse_config
from cryosamu.errors import CryosamuError
from cryosamu.report.inputs import InputFiles, Inputs, read_inputs
from cryosamu.report.listing import number
from cryosamu.report.page import render, write_report
from cryosamu.report.pairing import parse_pairing
from cryosamu.report.run import RunFacts

HOSTILE = '<script>alert("x")</script><img src=x onerror=alert(1)>'
VOID = {"meta", "img", "br", "link", "path", "use", "rect", "input"}


class Page(HTMLParser):
    """Takes the tables, the attributes and the visible text out of a page."""

    def __init__(self, html):
        super().__init__()
        self.tables, self.attributes, self.tags, self.text = {}, [], [], []
        self.open, self.scripts = [], []
        self._table = self._cell = None
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attributes]
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self._table = self.tables.setdefault(values["id"], [])
        elif tag == "tr" and self._table is not None:
            self._table.append([])
        elif tag in ("td", "th") and self._table is not None:
            self._cell = ["", values.get("data-value"), None]
            self._table[-1].append(self._cell)
        elif tag == "span" and self._cell is not None:
            self._cell[2] = values.get("aria-label")

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attributes]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes something else"
        if tag == "table":
            self._table = None
        elif tag in ("td", "th"):
            self._cell = None

    def handle_data(self, data):
        if self.open and self.open[-1] in ("script", "style"):
            self.scripts.append(data)
            return
        self.text.append(data)
        if self._cell is not None:
            self._cell[0] += data if self._cell[2] is None else ""

    @property
    def words(self):
        return " ".join(" ".join(self.text).split())

    def rows(self, name):
        """The rows of a table below its header, as dictionaries of [text, value, mark]."""
        header, *rows = self.tables[name]
        titles = [" ".join(cell[0].split()) for cell in header]
        return [dict(zip(titles, row, strict=True)) for row in rows]


@pytest.fixture(scope="module")
def inputs(evaluation, split, decisions, history, curves):
    catalogue = decisions[["emdb_id", "pdb_id"]].drop_duplicates().reset_index(drop=True)
    titles = {"EMD-1": HOSTILE, "EMD-2": "A protein & its friend"}
    catalogue = catalogue.assign(
        title=catalogue["emdb_id"].map(titles), resolution=4.0, simulated=False
    )
    return Inputs(
        catalogue=catalogue,
        decisions=decisions,
        split=split,
        history=history,
        evaluation=evaluation,
        curves=curves,
        run=RunFacts("compact", "protein_mpnn", 300_000, 400, [("Network", "compact")], ()),
        config=parse_config({"network": {"name": "compact"}, "training": {"steps": 400}}),
        files=[("split.parquet", "ab" * 32)],
    )


@pytest.fixture(scope="module")
def page(inputs):
    return Page(render(inputs, "A title", "A note"))


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

    def test_asks_nothing_of_a_network(self, inputs, pairing):
        html = render(Inputs(**{**vars(inputs), "pairings": (pairing,)}), "t")
        page = Page(html)
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
        hostile = Inputs(
            **{
                **vars(inputs),
                "evaluation": evaluation.replace({"method": {"deposited": HOSTILE}}),
                "history": history.replace({"metric": {"loss_with_tokens": HOSTILE}}),
                "curves": inputs.curves.replace({"method": {"deposited": HOSTILE}}),
            }
        )
        page = Page(render(hostile, HOSTILE, HOSTILE))
        assert page.tags.count("script") == 1
        assert page.tags.count("img") == 0
        assert page.words.count('<script>alert("x")</script>') >= 4
        assert not [name for _, name, _ in page.attributes if name.startswith("on")]

    def test_only_its_own_script_may_run(self, page):
        (policy,) = [v for t, n, v in page.attributes if n == "content" and "default-src" in v]
        assert policy.startswith("default-src 'none'")
        assert re.search(r"script-src 'sha256-[\w+/]{43}='$", policy)

    def test_each_script_of_a_view_may_run_and_no_other(self, inputs, pairing):
        html = render(Inputs(**{**vars(inputs), "pairings": (pairing,)}), "t")
        (policy,) = [v for t, n, v in Page(html).attributes if n == "content" and "default" in v]
        written = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
        digests = [base64.b64encode(hashlib.sha256(t.encode()).digest()) for t in written]
        allowed = re.search(r"script-src ([^;]*)$", policy).group(1).split()
        assert allowed == [f"'sha256-{digest.decode()}'" for digest in digests]
        assert len(allowed) == 6
        blocks = re.findall(r'<script type="application/json" id="([\w-]+)">', html)
        assert blocks == ["view-1"]

    def test_only_the_first_maps_get_a_view(self, inputs, pairing):
        config = parse_config({"report": {"viewers": 0}})
        html = render(Inputs(**{**vars(inputs), "pairings": (pairing,), "config": config}), "t")
        page = Page(html)
        assert "canvas" not in page.tags
        assert page.tags.count("script") == 1
        assert page.tags.count("img") == 12

    def test_ids_are_unique_and_references_resolve(self, inputs, pairing):
        page = Page(render(Inputs(**{**vars(inputs), "pairings": (pairing,)}), "t"))
        ids = [value for _, name, value in page.attributes if name == "id"]
        assert len(ids) == len(set(ids))
        wanted = {
            value[1:]
            for _, name, value in page.attributes
            if name in ("href", "xlink:href") and value.startswith("#")
        }
        wanted |= {v for _, n, v in page.attributes if n == "aria-labelledby"}
        assert wanted <= set(ids)

    def test_every_picture_has_words(self, inputs, pairing):
        page = Page(render(Inputs(**{**vars(inputs), "pairings": (pairing,)}), "t"))
        words = [value for tag, name, value in page.attributes if (tag, name) == ("img", "alt")]
        assert len(words) == page.tags.count("img") == 3 + 9
        assert len(set(words)) == len(words)

    def test_the_same_inputs_give_the_same_bytes(self, inputs, pairing, tmp_path):
        whole = Inputs(**{**vars(inputs), "pairings": (pairing,)})
        write_report(whole, tmp_path / "a.html", "t")
        write_report(whole, tmp_path / "b.html", "t")
        assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()

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

    def test_definitions_come_with_their_version(self, page):
        assert "Definition: cctbx 2025.11, five_cc" in page.words


class TestInputs:
    def test_tables_are_read_as_they_were_written(self, tmp_path, evaluation, split):
        first = evaluation[evaluation["emdb_id"] == "EMD-1"]
        second = evaluation[evaluation["emdb_id"] == "EMD-2"]
        tables.write_table(tmp_path / "1.parquet", first, tables.EVALUATION)
        tables.write_table(tmp_path / "2.parquet", second, tables.EVALUATION)
        tables.write_table(tmp_path / "s.parquet", split, tables.SPLIT)
        both = (tmp_path / "1.parquet", tmp_path / "2.parquet")
        read = read_inputs(InputFiles(split=tmp_path / "s.parquet", evaluations=both))
        assert read.evaluation is not None
        assert len(read.evaluation) == len(evaluation)
        assert [name for name, _ in read.files] == ["s.parquet", "1.parquet", "2.parquet"]
        assert "EMD-2" in Page(render(read, "t")).words

    def test_the_same_table_twice_is_refused(self, tmp_path, evaluation):
        tables.write_table(tmp_path / "1.parquet", evaluation, tables.EVALUATION)
        twice = (tmp_path / "1.parquet", tmp_path / "1.parquet")
        with pytest.raises(CryosamuError, match="more than once"):
            read_inputs(InputFiles(evaluations=twice))

    def test_another_table_is_refused(self, tmp_path, split):
        tables.write_table(tmp_path / "s.parquet", split, tables.SPLIT)
        with pytest.raises(CryosamuError, match=r"s\.parquet: has columns"):
            read_inputs(InputFiles(decisions=tmp_path / "s.parquet"))

    @pytest.mark.parametrize("text", ["EMD-1", "EMD-1=a,b", "=a,b,c", "EMD-1=a,,c", "E=a,b,c,d"])
    def test_a_pairing_of_another_form_is_refused(self, text):
        with pytest.raises(CryosamuError, match="write it as"):
            parse_pairing(text)

    def test_a_pairing(self):
        pairing = parse_pairing("EMD-1=a/b.map.gz,c.mrc,1ABC.cif.gz")
        assert (pairing.emdb_id, pairing.model.name) == ("EMD-1", "1ABC.cif.gz")

    def test_a_pairing_given_twice_is_refused(self, pairing):
        with pytest.raises(CryosamuError, match="more than once for EMD-1"):
            read_inputs(InputFiles(pairings=(pairing, pairing)))


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
