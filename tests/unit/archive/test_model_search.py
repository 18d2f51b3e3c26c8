"""The embedded archive's share of RCSB: search for models, and what became of removed ones."""

from __future__ import annotations

import pytest
import requests

from cryosamu.archive.urls import models_of_maps_query

SEARCH = "search.rcsb.org/rcsbsearch/v2/query"


@pytest.fixture
def post(served):
    return lambda question: requests.post(f"{served.url}/{SEARCH}", json=question, timeout=5)


@pytest.fixture
def filled(archive):
    archive.add_description("1ABC", ("Protein", 5, 1), maps=("EMD-0001", "EMD-0002"))
    archive.add_description("2ABC", ("Protein", 5, 1), maps=("EMD-0002",))
    archive.add_description("3ABC", ("Protein", 5, 1))
    archive.write("data.rcsb.org/graphql/4ABC.json", b"not JSON")
    archive.add_removal("1OLD", "1NEW")


def names(answer):
    return [hit["identifier"] for hit in answer["result_set"]]


def test_models_of_any_of_the_maps_in_pages(filled, post):
    answer = post(models_of_maps_query(["EMD-0002", "EMD-0009"], 0, 1)).json()
    assert (answer["total_count"], names(answer)) == (2, ["1ABC"])
    answer = post(models_of_maps_query(["EMD-0002", "EMD-0009"], 1, 5)).json()
    assert (answer["total_count"], names(answer)) == (2, ["2ABC"])


def test_nothing_found_is_an_answer_without_a_body(filled, post):
    answer = post(models_of_maps_query(["EMD-0009"], 0, 5))
    assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.parametrize(
    "change",
    [
        {"query": {}},
        {"query": {"service": "text", "parameters": {"attribute": "x", "operator": "equals"}}},
        {"return_type": "assembly"},
        {"request_options": {}},
    ],
)
def test_other_questions_are_refused(filled, post, change):
    answer = post(models_of_maps_query(["EMD-0002"], 0, 5) | change)
    assert answer.status_code == 400
    assert post([1]).status_code == 400


def test_what_became_of_a_model(filled, served):
    folder = f"{served.url}/data.rcsb.org/rest/v1/holdings/removed"
    answer = requests.get(f"{folder}/1OLD", timeout=5).json()
    assert answer["rcsb_repository_holdings_removed"]["id_codes_replaced_by"] == ["1NEW"]
    assert requests.get(f"{folder}/1ABC", timeout=5).status_code == 404


def test_obsolete_entries_are_found_by_their_date_and_bear_no_status(archive, served):
    archive.add_entry("EMD-0001", status="OBS", obsolete="2021-02-03T00:00:00")
    archive.add_entry("EMD-0002")
    fields = "?wt=csv&fl=emdb_id,current_status,obsolete_date"
    found = requests.get(
        f"{served.url}/www.ebi.ac.uk/emdb/api/search/obsolete_date:[* TO *]{fields}", timeout=5
    )
    assert found.text.splitlines()[1:] == ["EMD-0001,,2021-02-03T00:00:00"]
