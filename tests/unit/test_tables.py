import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cryosamu.errors import CryosamuError
from cryosamu.tables import (
    CATALOGUE,
    HISTORY,
    PAIRS,
    SPLIT,
    join_tables,
    read_table,
    read_tables,
    write_table,
)

ROWS = {
    "step": [1, 2],
    "split": ["train", "validation"],
    "metric": ["loss", "loss"],
    "value": [0.5, None],
    "learning_rate": [1e-4, 1e-4],
}


def test_a_table_comes_back_as_it_went_in_whatever_its_folder_is_called(tmp_path):
    path = tmp_path / "run=3" / "shard=001" / "history.parquet"  # no partition keys are made up
    frame = pd.DataFrame(ROWS)[["metric", "value", "step", "learning_rate", "split"]]
    write_table(path, frame, HISTORY)
    back = read_table(path, HISTORY)
    assert list(back.columns) == HISTORY.names
    pd.testing.assert_frame_equal(back, pd.DataFrame(ROWS), check_dtype=False)
    write_table(tmp_path / "again.parquet", back, HISTORY)
    assert (tmp_path / "again.parquet").read_bytes() == path.read_bytes()


def test_absent_values_stay_absent_in_every_kind_of_column(tmp_path):
    path = tmp_path / "catalogue.parquet"
    write_table(path, pd.DataFrame([dict.fromkeys(CATALOGUE.names)]), CATALOGUE)
    assert read_table(path, CATALOGUE).isna().all(axis=None)
    write_table(path, read_table(path, CATALOGUE), CATALOGUE)
    assert pq.read_schema(path).remove_metadata() == CATALOGUE


def test_an_empty_table_keeps_its_columns(tmp_path):
    write_table(tmp_path / "a.parquet", pd.DataFrame(columns=PAIRS.names), PAIRS)
    assert list(read_table(tmp_path / "a.parquet", PAIRS).columns) == PAIRS.names


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"step": [1.5, 2.0]}, "step"),
        ({"step": ["one", "two"]}, "step"),
        ({"split": [1, 2]}, "split"),
        ({"value": ["a", "b"]}, "value"),
        ({"surplus": [1, 2]}, "surplus"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_written(tmp_path, change, words):
    path = tmp_path / "a.parquet"
    with pytest.raises(CryosamuError, match=words) as caught:
        write_table(path, pd.DataFrame(ROWS | change), HISTORY)
    assert str(path) in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_and_a_doubled_column_are_named(tmp_path):
    frame = pd.DataFrame(ROWS)
    with pytest.raises(CryosamuError, match="columns metric"):
        write_table(tmp_path / "a", frame.drop(columns="metric"), HISTORY)
    doubled = pd.concat([frame, frame[["value"]]], axis=1)
    with pytest.raises(CryosamuError, match="columns value"):
        write_table(tmp_path / "a", doubled, HISTORY)


def test_a_table_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "a.parquet"
    write_table(path, pd.DataFrame(columns=SPLIT.names), SPLIT)
    with pytest.raises(
        CryosamuError, match=r"another table.* \(it has beside split\); make it anew"
    ):
        read_table(path, PAIRS)
    pq.write_table(pa.table({name: [1] for name in HISTORY.names}), path)
    with pytest.raises(CryosamuError, match="of another type split, metric"):
        read_table(path, HISTORY)
    pq.write_table(pq.read_table(path).select([0]), path)
    with pytest.raises(CryosamuError, match="it lacks split, metric, value, learning_rate"):
        read_table(path, HISTORY)
    write_table(path, pd.DataFrame(columns=SPLIT.names), SPLIT)
    pq.write_table(pq.read_table(path).select(SPLIT.names[::-1]), path)
    with pytest.raises(CryosamuError, match="another order"):
        read_table(path, SPLIT)


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.99])
def test_half_a_table_is_refused_in_one_line(tmp_path, keep):
    path = tmp_path / "a.parquet"
    write_table(path, pd.DataFrame(ROWS), HISTORY)
    raw = path.read_bytes()
    path.write_bytes(raw[: int(len(raw) * keep)])
    with pytest.raises(CryosamuError, match="is not a Parquet table") as caught:
        read_table(path, HISTORY)
    assert "\n" not in str(caught.value)


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(CryosamuError, match="this table does not exist"):
        read_table(tmp_path / "none.parquet", HISTORY)


def test_parts_are_joined_in_their_order_and_no_part_is_an_empty_table(tmp_path):
    rows = [
        {"step": step, "split": "train", "metric": "loss", "value": 0.5 * step} for step in range(5)
    ]
    whole = pd.DataFrame(rows).assign(learning_rate=1e-3)
    paths = [tmp_path / f"{number}.parquet" for number in range(3)]
    for path, part in zip(paths, (whole[:2], whole[:0], whole[2:]), strict=True):
        write_table(path, part, HISTORY)
    pd.testing.assert_frame_equal(read_tables(paths, HISTORY), whole)
    join_tables(tmp_path / "joined.parquet", paths, HISTORY)
    pd.testing.assert_frame_equal(read_table(tmp_path / "joined.parquet", HISTORY), whole)
    join_tables(tmp_path / "none.parquet", [], HISTORY)
    assert read_table(tmp_path / "none.parquet", HISTORY).empty
    assert list(read_tables([], HISTORY).columns) == HISTORY.names
    with pytest.raises(CryosamuError, match="is another table"):
        join_tables(tmp_path / "mixed.parquet", paths, SPLIT)
    assert not (tmp_path / "mixed.parquet").exists()
