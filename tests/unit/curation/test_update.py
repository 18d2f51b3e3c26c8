"""What a new query would do to a locked data set, told beforehand."""

import json

import pytest
from small_data_set import CANDIDATES, catalogue_of, run

from cryosamu.tables import CATALOGUE, write_table

pytestmark = pytest.mark.usefixtures("finished")


def update(catalogue, settings="{}"):
    """The update as JSON, and the lines that people read."""
    write_table("new.parquet", catalogue, CATALOGUE)
    with open("c.yaml", "w") as file:
        file.write(settings)
    told = run(
        *("update", "dataset.lock", "--catalogue", "new.parquet"),
        *("--json", "update.json", "--config", "c.yaml"),
    )
    with open("update.json") as file:
        return json.load(file), told.stdout.splitlines()


def test_the_same_catalogue_changes_nothing_but_tries_failures_again():
    plan, lines = update(catalogue_of())
    assert (plan["drop"], plan["change"], plan["settings"]) == ([], [], [])
    (again,) = plan["add"]
    assert (again["emdb_id"], again["why"]) == ("EMD-1204", "measurement failed before")
    assert lines[-1].startswith("1 to judge (maps of at most 0.5 GB), 0 to drop, 0 to look at")


def test_new_entries_are_those_never_judged_that_the_metadata_let_through():
    new = [
        ("EMD-9001", "9NEW", 7.0, None),
        ("EMD-9002", "9OUT", 9.0, None),
        ("EMD-9003", None, 5.0, None),
        ("EMD-9004", "9BIG", 5.0, None),
    ]
    catalogue = catalogue_of(
        CANDIDATES + new,
        EMD_1205={"resolution": 4.0},  # was out of the window: metadata may be corrected
        EMD_1203={"resolution": 6.0},  # was rejected for its correlation: judged already
        EMD_9004={"map_kilobytes": None},
    )
    plan, lines = update(catalogue)
    assert {one["emdb_id"]: one["why"] for one in plan["add"]} == {
        "EMD-1204": "measurement failed before",
        "EMD-1205": "rejected by resolution before",
        "EMD-9001": "never judged",
        "EMD-9004": "never judged",
    }
    assert plan["gigabytes"] == pytest.approx(1.5)
    assert plan["of_unknown_size"] == 1
    assert "add     EMD-9001    9NEW       7 Å   0.500 GB  never judged" in lines
    assert "1.5 GB and 1 of unknown size" in lines[-1]


def test_pairs_that_are_withdrawn_or_pass_no_more_are_dropped():
    plan, _ = update(catalogue_of(CANDIDATES[1:]))
    assert plan["drop"] == [
        {"emdb_id": "EMD-0201", "reason": "The archive does not list it any more."}
    ]
    plan, lines = update(catalogue_of(EMD_1202={"exclusion": "It is obsolete."}))
    assert plan["drop"] == [{"emdb_id": "EMD-1202", "reason": "It is obsolete."}]
    assert plan["change"] == []  # it goes: how it changed is beside the point
    assert "drop    EMD-1202    It is obsolete." in lines
    plan, _ = update(catalogue_of(EMD_0201={"resolution": 3.9}))
    assert plan["drop"][0]["reason"].endswith("is outside 4–8 Å.")


def test_locked_numbers_meet_the_thresholds_of_now():
    plan, lines = update(catalogue_of(), "curation: {correlation: {minimum: 0.75}}")
    assert [one["emdb_id"] for one in plan["drop"]] == ["EMD-1202"]
    assert plan["drop"][0]["reason"] == "Its CC_mask, 0.700, is below 0.75."
    assert lines[0] == "setting curation.correlation.minimum: expected 0.65, found 0.75"


def test_changes_of_a_pair_are_named_column_by_column():
    catalogue = catalogue_of(
        EMD_1202={
            "pdb_id": "9NEW", "resolution": 6.5, "contour_level": None, "map_kilobytes": 7.0,
            "title": "Another title", "sequences": "A" * 100,
        }
    )  # fmt: skip
    plan, lines = update(catalogue, "catalogue: {snapshot: later}")
    found = {one["column"]: (one["locked"], one["now"]) for one in plan["change"]}
    assert found == {
        "pdb_id": ("9BBB", "9NEW"),
        "resolution": (6.6, 6.5),
        "contour_level": (0.1, None),
        "map_kilobytes": (500_000.0, 7.0),
        "sequences": (None, "A" * 100),
    }
    assert "change  EMD-1202    contour_level: 0.1 → nothing" in lines
    assert f"change  EMD-1202    sequences: nothing → {'A' * 37}..." in lines
    assert lines[-1].endswith("0 to drop, 1 to look at again.")
    assert plan["settings"] == []  # another label is what an update is
