from collections import defaultdict
from unittest import mock

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from real_proteins import PROTEINS

from cryosamu.config import ClusteringSettings
from cryosamu.curation import clustering
from cryosamu.curation.clustering import cluster_entries
from cryosamu.curation.filters.redundancy import RedundancyFilter, Standing

SETTINGS = ClusteringSettings()


def clustered(sequences, resolutions=None):
    resolutions = resolutions or dict.fromkeys(sequences, 5.0)
    return cluster_entries(sequences, resolutions, SETTINGS)


def clusters_of(members):
    return {emdb_id: member.cluster for emdb_id, member in members.items()}


ENTRIES = {
    "EMD-2001": [PROTEINS["haemoglobin alpha"], PROTEINS["haemoglobin beta"]],
    "EMD-1003": [PROTEINS["hen lysozyme"]],
    "EMD-1500": [PROTEINS["alpha-lactalbumin"], PROTEINS["ubiquitin"]],
    "EMD-0900": [PROTEINS["NEDD8"]],
    "EMD-3000": [PROTEINS["green fluorescent protein"]],
}


def test_entries_are_connected_through_any_chain():
    """Lysozyme ~ lactalbumin, and lactalbumin's partner ubiquitin ~ NEDD8: one component."""
    members = clustered(ENTRIES)
    assert clusters_of(members) == {
        "EMD-2001": "EMD-2001",
        "EMD-1003": "EMD-0900",
        "EMD-1500": "EMD-0900",
        "EMD-0900": "EMD-0900",
        "EMD-3000": "EMD-3000",
    }
    assert members["EMD-1500"].size == 3
    assert members["EMD-2001"].size == 1
    assert members["EMD-2001"].identity is None
    assert members["EMD-0900"].identity == pytest.approx(0.58, abs=0.03)


def test_the_best_resolved_stands_for_the_others_and_ties_go_to_the_older():
    resolutions = {"EMD-2001": 4, "EMD-1003": 6.0, "EMD-1500": 4.2, "EMD-0900": 7, "EMD-3000": 4}
    members = clustered(ENTRIES, resolutions)
    judged = {
        key: RedundancyFilter(0.3, 1).judge(Standing(one, 1 + (key != one.representative)))
        for key, one in members.items()
    }
    assert {key for key, one in judged.items() if one.verdict == "keep"} == {
        "EMD-2001",
        "EMD-1500",
        "EMD-3000",
    }
    assert judged["EMD-1003"].threshold == 0.3
    assert judged["EMD-1003"].value == members["EMD-1003"].identity >= 0.3
    assert "EMD-1500 stands for them, the best resolved at 4.2 Å" in judged["EMD-1003"].reason
    equal = clustered(ENTRIES)
    assert equal["EMD-1500"].representative == "EMD-0900"


def test_a_component_keeps_its_name_when_newer_entries_join():
    before = clusters_of(clustered(ENTRIES))
    grown = ENTRIES | {
        "EMD-50001": [PROTEINS["human lysozyme"]],
        "EMD-50002": [PROTEINS["calmodulin"]],
    }
    after = clusters_of(clustered(grown))
    assert {key: after[key] for key in before} == before
    assert after["EMD-50001"] == "EMD-0900"
    assert after["EMD-50002"] == "EMD-50002"


def test_short_peptides_connect_when_equal_alone():
    peptide = "GIVEQCCTSICSLYQ"
    members = clustered({"EMD-1": [peptide], "EMD-2": [peptide], "EMD-3": [peptide[:-1] + "A"]})
    assert clusters_of(members) == {"EMD-1": "EMD-1", "EMD-2": "EMD-1", "EMD-3": "EMD-3"}
    assert members["EMD-2"].identity == 1.0


def test_unknown_residues_connect_nothing():
    members = clustered({"EMD-1": ["X" * 60], "EMD-2": ["X" * 60], "EMD-3": []})
    assert clusters_of(members) == {"EMD-1": "EMD-1", "EMD-2": "EMD-2", "EMD-3": "EMD-3"}


def test_no_entries_no_clusters():
    assert clustered({}) == {}


def test_copies_of_a_chain_in_an_entry_count_once():
    """A capsid of 60 copies and their X-only neighbours is connected as a single chain is."""
    capsid = [PROTEINS["trypsin"]] * 60 + ["X" * 40] * 60
    members = clustered({"EMD-1": capsid, "EMD-2": [PROTEINS["trypsin"]], "EMD-3": ["X" * 40]})
    assert clusters_of(members) == {"EMD-1": "EMD-1", "EMD-2": "EMD-1", "EMD-3": "EMD-3"}
    assert members["EMD-1"].size == 2


def test_the_identity_told_is_to_another_entry():
    """Haemoglobin's own two chains are similar; what counts is the chain of the other entry."""
    alone = {"EMD-1": ENTRIES["EMD-2001"], "EMD-2": [PROTEINS["green fluorescent protein"]]}
    assert clustered(alone)["EMD-1"].identity is None
    both = clustered(alone | {"EMD-3": [PROTEINS["haemoglobin beta"]]})
    assert both["EMD-1"].identity == both["EMD-3"].identity == 1.0
    near = clustered({"EMD-1": [PROTEINS["ubiquitin"]], "EMD-2": [PROTEINS["NEDD8"]] * 2})
    assert near["EMD-1"].identity == near["EMD-2"].identity == pytest.approx(0.58, abs=0.03)


@settings(deadline=None)
@given(
    st.lists(st.frozensets(st.integers(0, 9), max_size=3), max_size=12),
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=6),
)
def test_components_agree_with_joining_sets(chains, alike):
    """The slow way: join any two groups of entries that share a sequence or similar ones."""
    names = [f"EMD-{number}" for number in range(len(chains))]
    letters = "ACDEFGHIKL"
    texts = [{letters[one] for one in some} for some in chains]
    present = sorted(set().union(*texts)) if texts else []
    places = {text: place for place, text in enumerate(present)}
    links = {
        tuple(sorted((places[letters[a]], places[letters[b]])))
        for a, b in alike
        if a != b and {letters[a], letters[b]} <= set(present)
    }
    table = pd.DataFrame(sorted(links), columns=["first", "second"], dtype="int64")
    with mock.patch.object(clustering, "find_similar", return_value=table.assign(identity=0.5)):
        members = cluster_entries(
            dict(zip(names, texts, strict=True)), dict.fromkeys(names, 5.0), SETTINGS
        )
    groups = [({name}, set(map(places.get, text))) for name, text in zip(names, texts, strict=True)]
    for edge in [*links, *((place, place) for place in places.values())]:
        hit = [group for group in groups if group[1] & set(edge)]
        groups = [group for group in groups if group not in hit]
        if hit:
            groups.append((set().union(*(a for a, _ in hit)), set().union(*(b for _, b in hit))))
    expected = {frozenset(entries) for entries, _ in groups}
    found = defaultdict(set)
    for name, member in members.items():
        found[member.cluster].add(name)
    assert {frozenset(one) for one in found.values()} == expected
