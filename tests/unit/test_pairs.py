"""A pair as a line of a work list, and its files as they arrive."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cryosamu.errors import CryosamuError
from cryosamu.pairs import Pair, read_pairs, write_pairs


@pytest.fixture
def pair(tmp_path: Path, pair_of: Callable[..., Pair]) -> Pair:
    for name in ("map", "model", "moved"):
        (tmp_path / name).write_text(name)
    return pair_of(tmp_path / "map", tmp_path / "model", contour_level=0.1)


def test_pairs_come_back_from_their_shards(tmp_path: Path, pair: Pair) -> None:
    others = [Pair(**{**vars(pair), "emdb_id": f"EMD-{number}"}) for number in range(1000, 1040)]
    write_pairs(tmp_path / "work", others, 7)
    lists = [read_pairs(path) for path in sorted((tmp_path / "work").iterdir())]
    assert len(lists) == 7
    assert sorted((p for work in lists for p in work), key=lambda p: p.emdb_id) == others


def test_a_pair_twice_is_refused(tmp_path: Path, pair: Pair) -> None:
    line = json.dumps(vars(pair))
    (tmp_path / "0.jsonl").write_text(f"{line}\n{line}\n")
    with pytest.raises(CryosamuError, match=r"0\.jsonl: names EMD-1234 twice"):
        read_pairs(tmp_path / "0.jsonl")


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("resolution", "4.5", "line 2: resolution is '4.5', which is no value of its type"),
        ("resolution", None, "line 2: resolution is None, which is"),
        ("resolution", float("nan"), "line 2: a resolution of nan Å is none"),
        ("resolution", -4, "line 2: a resolution of -4 Å is none"),
        ("map", 7, "line 2: map is 7, which is"),
        ("emdb_id", ["EMD-1"], r"line 2: emdb_id is \['EMD-1'\], which is"),
        ("repaired", "no", "line 2: repaired is 'no', which is"),
        ("contour_level", {}, "line 2: contour_level is {}, which is"),
    ],
)
def test_a_value_of_a_wrong_type_is_named(
    tmp_path: Path, pair: Pair, key: str, value: object, sentence: str
) -> None:
    good = json.dumps(vars(pair) | {"emdb_id": "EMD-9", "resolution": 4, "contour_level": None})
    bad = json.dumps(vars(pair) | {key: value})
    (tmp_path / "0.jsonl").write_text(f"{good}\n{bad}\n")
    with pytest.raises(CryosamuError, match=rf"0\.jsonl {sentence}"):
        read_pairs(tmp_path / "0.jsonl")


def test_a_file_that_is_another_than_was_fetched_is_refused(tmp_path: Path, pair: Pair) -> None:
    assert pair.arrived_map() == tmp_path / "map"
    assert pair.arrived_model() == pair.arrived_deposited_model() == tmp_path / "model"
    (tmp_path / "map").write_text("mat")
    with pytest.raises(CryosamuError, match=r"map: is not the map that the work list names"):
        pair.arrived_map()
    (tmp_path / "model").unlink()
    with pytest.raises(CryosamuError, match="model: this model does not exist"):
        pair.arrived_model()
