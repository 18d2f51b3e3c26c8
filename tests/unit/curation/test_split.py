import math
from bisect import bisect_right

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryosamu.config import SplitSettings
from cryosamu.curation.split import SPLITS, balance, empty_splits, split_pairs
from cryosamu.errors import ConfigError
from cryosamu.tables import CLUSTERS, PAIRS, SPLIT, read_table, write_table

RECIPE = SplitSettings()


def pairs_of(clusters, resolutions=None):
    """A PAIRS table from EMDB id to cluster; resolutions by EMDB id, 5 Å elsewhere."""
    rows = [
        dict.fromkeys(PAIRS.names)
        | {
            "emdb_id": emdb_id,
            "pdb_id": "9TST",
            "resolution": (resolutions or {}).get(emdb_id, 5.0),
            "cluster": cluster,
        }
        for emdb_id, cluster in clusters.items()
    ]
    return pd.DataFrame(rows, columns=PAIRS.names)


def clusters_of(clusters):
    rows = [dict.fromkeys(CLUSTERS.names) | {"emdb_id": k, "cluster": v} for k, v in
            clusters.items()]  # fmt: skip
    return pd.DataFrame(rows, columns=CLUSTERS.names)


def alone(count, first=1):
    return {f"EMD-{n}": f"EMD-{n}" for n in range(first, first + count)}


def split_of(assignment):
    return dict(zip(assignment.table["emdb_id"], assignment.table["split"], strict=True))


def memory_of(assignment):
    return {emdb_id: name for emdb_id, (_, name) in assignment.remembered.items()}


resolutions = st.floats(3.0, 9.0)
settings = st.builds(
    lambda seed, shares: SplitSettings(
        seed=seed, train=shares[0], validation=shares[1], test=shares[2]
    ),
    st.integers(0, 5),
    st.sampled_from([(0.65, 0.15, 0.2), (0.5, 0.25, 0.25), (0.8, 0.2, 0.0), (1.0, 0.0, 0.0)]),
)


@given(st.lists(resolutions, min_size=1, max_size=120), settings)
def test_a_fresh_split_is_within_one_component_of_the_shares_in_each_stratum(values, settings):
    entries = alone(len(values))
    table = split_pairs(pairs_of(entries, dict(zip(entries, values, strict=True))), settings).table
    for stratum in range(4):
        inside = table[[bisect_right(settings.strata, r) == stratum for r in table["resolution"]]]
        for name in SPLITS:
            target = getattr(settings, name) * len(inside)
            count = (inside["split"] == name).sum()
            assert math.floor(target + 1e-9) <= count <= math.ceil(target - 1e-9)
    for name in SPLITS:
        target = getattr(settings, name) * len(table)
        assert abs((table["split"] == name).sum() - target) < 2


@st.composite
def growth(draw):
    """Steps of a data set: which entries are there, connected by which links so far."""
    present, links, steps = set(), [], []
    for _ in range(draw(st.integers(1, 5))):
        present |= draw(st.sets(st.integers(1, 40), max_size=12))
        present -= draw(st.sets(st.integers(1, 40), max_size=3))
        links += draw(st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), max_size=4))
        steps.append((frozenset(present), tuple(links)))
    return steps


def components(present, links):
    """Names by entry: the lowest number of the entries that links among those present connect."""
    name = {one: one for one in present}
    for _ in present:
        for first, second in links:
            if first in present and second in present:
                low = min(name[first], name[second])
                name[first] = name[second] = low
        for one in present:
            name[one] = name[name[one]]
    return {f"EMD-{one}": f"EMD-{low}" for one, low in name.items()}


@given(growth(), st.integers(0, 3))
def test_growth_moves_an_entry_only_where_components_merge(steps, seed):
    settings = SplitSettings(seed=seed)
    memory = {}
    for present, links in steps:
        clusters = components(present, links)
        best = {cluster: emdb_id for emdb_id, cluster in clusters.items()}  # any one of each
        pairs = pairs_of({emdb_id: cluster for cluster, emdb_id in best.items()})
        table = clusters_of(clusters)
        assignment = split_pairs(pairs, settings, memory, table)
        members = {}
        for emdb_id, cluster in clusters.items():
            members.setdefault(cluster, []).append(emdb_id)
        merged = 0
        for cluster, ones in members.items():
            now = {assignment.remembered[one] for one in ones}
            assert len(now) == 1
            before = {memory[one] for one in ones if one in memory}
            if len(before) > 1:
                merged += 1
                expected = next(name for name in SPLITS if name in before)
                assert now == {(cluster, expected)}
            elif before:
                assert now == {(cluster, *before)}
        assert len(assignment.warnings) == merged
        memory |= memory_of(assignment)
        again = split_pairs(pairs, settings, memory, table)
        assert split_of(again) == split_of(assignment)
        assert not again.warnings


def test_entries_that_come_one_by_one_keep_the_shares_as_well():
    memory, entries = {}, {}
    for number in range(1, 201):
        entries[f"EMD-{number}"] = f"EMD-{number}"
        assignment = split_pairs(pairs_of(entries), RECIPE, memory)
        memory |= memory_of(assignment)
    counts = assignment.table["split"].value_counts()
    assert counts.to_dict() == pytest.approx({"train": 130, "validation": 30, "test": 40}, abs=1)


def test_which_entries_go_where_depends_on_the_seed_and_not_on_their_order():
    entries = alone(60)
    first = split_of(split_pairs(pairs_of(entries), RECIPE))
    backwards = dict(reversed(entries.items()))
    assert split_of(split_pairs(pairs_of(backwards), RECIPE)) == first
    assert split_of(split_pairs(pairs_of(entries), SplitSettings(seed=7))) != first


def test_a_bridge_between_train_and_test_takes_both_to_train_and_says_so():
    memory = {"EMD-10": "test", "EMD-20": "train"}
    clusters = {"EMD-10": "EMD-10", "EMD-20": "EMD-10", "EMD-30": "EMD-10"}
    # EMD-20 is no pair any more: without the components nobody would know.
    pairs = pairs_of({"EMD-10": "EMD-10"})
    assignment = split_pairs(pairs, RECIPE, memory, clusters_of(clusters))
    assert split_of(assignment) == {"EMD-10": "train"}
    assert memory_of(assignment) == dict.fromkeys(clusters, "train")
    (warning,) = assignment.warnings
    assert warning.startswith("EMD-10 (test), EMD-20 (train) are connected now by EMD-30;")
    assert split_of(split_pairs(pairs, RECIPE, memory)) == {"EMD-10": "test"}


def test_a_component_that_loses_its_oldest_entry_keeps_its_split():
    before = {"EMD-1": "EMD-1", "EMD-2": "EMD-1"}
    for name in SPLITS:
        pinned = SplitSettings(pinned={"EMD-1": name})
        memory = memory_of(
            split_pairs(pairs_of({"EMD-1": "EMD-1"}), pinned, {}, clusters_of(before))
        )
        assert split_of(split_pairs(pairs_of({"EMD-2": "EMD-2"}), RECIPE, memory)) == {
            "EMD-2": name
        }


def test_a_pin_wins_and_takes_its_component_along():
    members = {"EMD-1": "EMD-1", "EMD-2": "EMD-1", "EMD-3": "EMD-3"}
    for name in SPLITS:
        settings = SplitSettings(pinned={"EMD-2": name, "EMD-99": "test"})
        assignment = split_pairs(pairs_of(members), settings, {"EMD-1": "train"})
        split = split_of(assignment)
        assert split["EMD-1"] == split["EMD-2"] == name
        assert bool(assignment.warnings) == (name != "train")
    assert "has seen it" in split_pairs(
        pairs_of(members), SplitSettings(pinned={"EMD-2": "test"}), {"EMD-1": "train"}
    ).warnings[0]  # fmt: skip


def test_two_pins_in_one_component_must_agree():
    members = {"EMD-1": "EMD-1", "EMD-2": "EMD-1"}
    settings = SplitSettings(pinned={"EMD-1": "train", "EMD-2": "test"})
    with pytest.raises(ConfigError, match="EMD-1 into train and EMD-2 into test, which similar"):
        split_pairs(pairs_of(members), settings)


def test_the_balance_counts_pairs_by_stratum_with_the_bound_above():
    frame = pd.DataFrame(
        {
            "resolution": [4.49, 4.5, 5.4, 6.5, 9.0],
            "split": ["train", "train", "test", "train", "validation"],
        }
    )
    counted = balance(frame, (4.5, 5.5, 6.5))
    assert list(counted.index) == ["below 4.5 Å", "4.5–5.5 Å", "5.5–6.5 Å", "from 6.5 Å"]
    assert counted.to_numpy().tolist() == [[1, 0, 0], [1, 0, 1], [0, 0, 0], [1, 1, 0]]
    assert balance(frame, ()).to_numpy().tolist() == [[3, 1, 1]]
    assert list(balance(frame, (5.0,)).index) == ["below 5 Å", "from 5 Å"]


def test_no_pairs_give_an_empty_table(tmp_path):
    frame = split_pairs(pairs_of({}), RECIPE).table
    assert empty_splits(frame) == ["train", "validation", "test"]
    write_table(tmp_path / "split.parquet", frame, SPLIT)
    assert read_table(tmp_path / "split.parquet", SPLIT).empty
