import hashlib

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryosamu.config import SplitSettings
from cryosamu.curation.split import empty_splits, hashed_split, split_pairs
from cryosamu.errors import ConfigError
from cryosamu.tables import PAIRS, SPLIT, read_table, write_table

RECIPE = SplitSettings()


def pairs_of(clusters):
    """A PAIRS table from EMDB id to cluster."""
    rows = [
        {
            "emdb_id": emdb_id,
            "pdb_id": "9TST",
            "resolution": 5.0,
            "contour_level": None,
            "cluster": cluster,
            "correlation": 0.7,
            "simulated": False,
        }
        for emdb_id, cluster in clusters.items()
    ]
    return pd.DataFrame(rows, columns=PAIRS.names)


def chosen(clusters, settings=RECIPE):
    frame = split_pairs(pairs_of(clusters), settings)
    return dict(zip(frame["emdb_id"], frame["split"], strict=True))


numbers = st.integers(1, 60)
clusters = st.dictionaries(
    numbers.map(lambda n: f"EMD-{n}"), numbers.map(lambda n: f"EMD-{n}"), min_size=1
)


@given(clusters, clusters)
def test_growth_moves_nothing_and_components_stay_together(before, added):
    small = chosen(before)
    large = chosen(added | before)
    assert {key: large[key] for key in small} == small
    of_cluster = {}
    for emdb_id, cluster in (added | before).items():
        assert of_cluster.setdefault(cluster, large[emdb_id]) == large[emdb_id]


def test_the_place_is_the_hash_of_seed_and_cluster():
    for seed in (2024, 7):
        settings = SplitSettings(seed=seed)
        for number in range(50):
            digest = hashlib.sha256(f"{seed}:EMD-{number}".encode()).hexdigest()
            place = int(digest[:16], 16) / 16**16
            expected = "train" if place < 0.65 else "validation" if place < 0.8 else "test"
            assert hashed_split(f"EMD-{number}", settings) == expected


def test_shares_are_met_on_average():
    frame = split_pairs(pairs_of({f"EMD-{n}": f"EMD-{n}" for n in range(4000)}), RECIPE)
    shares = frame["split"].value_counts(normalize=True)
    assert shares["train"] == pytest.approx(0.65, abs=0.025)
    assert shares["validation"] == pytest.approx(0.15, abs=0.02)
    assert shares["test"] == pytest.approx(0.20, abs=0.02)
    assert empty_splits(frame) == []


def test_a_pin_wins_and_takes_its_component_along():
    members = {"EMD-1": "EMD-1", "EMD-2": "EMD-1", "EMD-3": "EMD-3"}
    for name in ("train", "validation", "test"):
        split = chosen(members, SplitSettings(pinned={"EMD-2": name, "EMD-99": "test"}))
        assert split["EMD-1"] == split["EMD-2"] == name
        assert split["EMD-3"] == hashed_split("EMD-3", RECIPE)


def test_two_pins_in_one_component_must_agree():
    members = {"EMD-1": "EMD-1", "EMD-2": "EMD-1"}
    with pytest.raises(ConfigError, match="EMD-2 into test, but a similar entry"):
        chosen(members, SplitSettings(pinned={"EMD-1": "train", "EMD-2": "test"}))


def test_no_pairs_give_an_empty_table(tmp_path):
    frame = split_pairs(pairs_of({}), RECIPE)
    assert empty_splits(frame) == ["train", "validation", "test"]
    write_table(tmp_path / "split.parquet", frame, SPLIT)
    assert read_table(tmp_path / "split.parquet", SPLIT).empty
