import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from real_proteins import PROTEINS

from cryosamu.config import ClusteringSettings
from cryosamu.curation.clustering import _components, cluster_entries
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


@settings(deadline=None)
@given(
    st.integers(1, 12).flatmap(
        lambda n: st.tuples(
            st.just(n), st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)))
        )
    )
)
def test_components_agree_with_scipy(graph):
    size, edges = graph
    names = [str(index) for index in range(size)]
    found = _components(names, [(names[a], names[b]) for a, b in edges])
    rows, columns = ([a for a, _ in edges], [b for _, b in edges])
    matrix = scipy.sparse.coo_array((np.ones(len(edges)), (rows, columns)), (size, size))
    count, labels = scipy.sparse.csgraph.connected_components(matrix, directed=False)
    expected = {frozenset(names[i] for i in np.flatnonzero(labels == k)) for k in range(count)}
    assert {frozenset(members) for members in found} == expected
    assert sorted(name for members in found for name in members) == sorted(names)
