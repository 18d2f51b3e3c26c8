"""What people read of the decisions: one entry's story, the funnel's table and figure."""

import re
from xml.etree import ElementTree

import pandas as pd
import pytest
import typer.testing

from cryosamu.cli import curate
from cryosamu.cli.options import application
from cryosamu.curation.funnel import build_funnel, funnel_lines, funnel_table
from cryosamu.curation.story import explain
from cryosamu.errors import ArchiveError, CryosamuError
from cryosamu.tables import CLUSTERS, DECISIONS, SPLIT, write_table

# Entry, filter, verdict: EMD-0011 to EMD-0013 are one component.
VERDICTS = [
    ("EMD-0010", "resolution", "drop"),
    ("EMD-0011", "resolution", "keep"),
    ("EMD-0012", "resolution", "keep"),
    ("EMD-0013", "resolution", "keep"),
    ("EMD-0014", "resolution", "keep"),
    ("EMD-0014", "model_file", "fail"),
    ("EMD-0015", "resolution", "keep"),
    ("EMD-0011", "redundancy", "drop"),
    ("EMD-0012", "redundancy", "keep"),
    ("EMD-0013", "redundancy", "drop"),
    ("EMD-0015", "redundancy", "keep"),
    ("EMD-0012", "correlation", "drop"),
    ("EMD-0015", "correlation", "keep"),
]


@pytest.fixture
def decisions():
    rows = [
        (emdb_id, f"9X{emdb_id[-2:]}", name, verdict, 1.0, 2.0, f"About {name}.")
        for emdb_id, name, verdict in VERDICTS
    ]
    return pd.DataFrame(rows, columns=DECISIONS.names)


@pytest.fixture
def clusters():
    three = [(f"EMD-00{n}", "EMD-0011", 3, "EMD-0012", 4.1, 0.9) for n in (11, 12, 13)]
    alone = ("EMD-0015", "EMD-0015", 1, "EMD-0015", 5.0, None)
    return pd.DataFrame([*three, alone], columns=CLUSTERS.names)


@pytest.fixture
def split():
    row = dict.fromkeys(SPLIT.names) | {"emdb_id": "EMD-0015", "split": "validation"}
    return pd.DataFrame([row])


def test_an_entry_that_was_kept(decisions, clusters, split):
    assert explain(decisions, "15", clusters, split) == [
        "EMD-0015 with PDB 9X15 was kept by all 3 filters that saw it.",
        "  keep  resolution: About resolution.",
        "  keep  redundancy: About redundancy.",
        "  keep  correlation: About correlation.",
        "No other entry has a similar protein chain: it stands for itself.",
        "It is in the split 'validation'.",
    ]


def test_an_entry_for_which_another_stands_learns_how_that_one_ended(decisions, clusters, split):
    lines = explain(decisions, "EMD-0013", clusters, split)
    assert lines[0] == "EMD-0013 with PDB 9X13 was dropped by the filter 'redundancy'."
    assert lines[-3:] == [
        "Similar protein chains connect it with EMD-0011, EMD-0012 (component EMD-0011).",
        "EMD-0012 is the best resolved of them, at 4.1 Å; "
        "it was dropped by the filter 'correlation'.",
        "None of them is in the data set.",
    ]


def test_an_entry_that_stands_for_others(decisions, clusters):
    lines = explain(decisions, "emd-0012", clusters)
    assert lines[0].endswith("was dropped by the filter 'correlation'.")
    assert lines[-2] == "It is the best resolved of them, at 4.1 Å."
    decisions["verdict"] = decisions["verdict"].where(decisions["filter"] != "correlation", "keep")
    lines = explain(decisions, "EMD-0011", clusters)
    assert lines[-1] == "EMD-0012 stands for them in the data set."


def test_a_large_component_is_not_listed_whole(decisions, clusters):
    many = [(f"EMD-0{n}", "EMD-0011", 14, "EMD-0012", 4.1, 0.9) for n in range(100, 111)]
    joined = pd.concat([clusters[:3], pd.DataFrame(many, columns=CLUSTERS.names)])
    (line,) = [one for one in explain(decisions, "11", joined) if one.startswith("Similar")]
    assert line.endswith("EMD-0105 and 5 more (component EMD-0011).")


def test_entries_that_failed_or_were_never_seen(decisions, clusters, split):
    lines = explain(decisions, "EMD-0014", clusters, split)
    assert "could not be judged: 'model_file' failed; the next run tries again" in lines[0]
    assert len(lines) == 3
    with pytest.raises(CryosamuError, match="EMD-0099: no filter saw it"):
        explain(decisions, "EMD-0099")
    with pytest.raises(ArchiveError, match="is not an EMDB id"):
        explain(decisions, "haemoglobin")


def test_the_funnel_counts_each_filter(decisions):
    assert list(funnel_lines(decisions)) == [
        "resolution: 5 kept, 1 dropped, 0 failed",
        "model_file: 0 kept, 0 dropped, 1 failed",
        "redundancy: 2 kept, 2 dropped, 0 failed",
        "correlation: 1 kept, 1 dropped, 0 failed",
    ]
    assert list(funnel_lines(decisions[:0])) == []
    rows = funnel_table(build_funnel(decisions)).to_numpy().tolist()
    assert rows[0] == ["candidates", "", "", "", 6]
    assert rows[2:4] == [["model file", 1, 0, 1, 0], ["redundancy", 4, 2, 0, 2]]


def run(*arguments):
    root = application()
    curate.register(root)
    return typer.testing.CliRunner().invoke(root, ["curate", *arguments], terminal_width=100)


def test_explain_finds_the_tables_where_the_workflow_leaves_them(
    tmp_path, monkeypatch, decisions, clusters, split
):
    monkeypatch.chdir(tmp_path)
    write_table("results/curate/decisions.parquet", decisions, DECISIONS)
    told = run("--explain", "EMD-0015")
    assert told.exit_code == 0
    assert len(told.stdout.splitlines()) == 4
    write_table("results/curate/clusters.parquet", clusters, CLUSTERS)
    write_table("results/split/split.parquet", split, SPLIT)
    assert run("--explain", "EMD-0015").stdout.splitlines() == explain(
        decisions, "EMD-0015", clusters, split
    )
    missing = run("--explain", "EMD-0015", "--decisions", "elsewhere.parquet")
    assert "elsewhere.parquet: this table does not exist" in str(missing.exception)
    assert "metadata" in run("--decisions", "x").stdout  # nothing asked: the help


def test_the_funnel_as_a_table_and_as_the_same_figure_each_time(tmp_path, decisions):
    write_table(tmp_path / "d.parquet", decisions, DECISIONS)
    drawings = []
    for name in ("a.svg", "b.svg"):
        told = run("funnel", str(tmp_path / "d.parquet"), "-o", str(tmp_path / name))
        assert re.search(r"redundancy +4 +2 +0 +2", told.stdout)
        drawings.append((tmp_path / name).read_bytes())
    assert drawings[0] == drawings[1]
    figure = ElementTree.fromstring(drawings[0])
    assert figure.tag == "{http://www.w3.org/2000/svg}svg"
    assert "var(" not in drawings[0].decode()
    assert {"catalogue", "redundancy", "2  (−2)"} <= {one.strip() for one in figure.itertext()}
