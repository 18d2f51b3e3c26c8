"""Answers that cannot be trusted: refused with the address and the field, or named and left out."""

from __future__ import annotations

import pytest
from hostile_server import page, status
from tiny_archive import ENTRIES, told

from cryosamu.archive import listing, urls
from cryosamu.archive.catalogue import build_catalogue
from cryosamu.archive.client import RefusalError
from cryosamu.config import ArchiveSettings, Config
from cryosamu.errors import ArchiveError

HEADER = ",".join(urls.SEARCH_FIELDS)
MODELS = "data.rcsb.org/graphql"
NO_MODELS = page('{"data": {"entries": []}}')


def path_of(query):
    return urls.search_url(ArchiveSettings(), query, 1, 1, ["x"]).split("://")[1].split("?")[0]


@pytest.fixture
def ask_hostile(hostile, client_for, snapshot):
    """Return a function that builds a catalogue from pages of CSV in the hostile server."""
    config = Config()
    hostile.behaviours[path_of(urls.obsolete_query(config.catalogue))] = [page(HEADER + "\n")]
    hostile.behaviours["search.rcsb.org/rcsbsearch/v2/query"] = [
        lambda handler: handler.head(204, {})
    ]
    hostile.behaviours[MODELS] = [NO_MODELS]

    def run(*pages, **changes):
        hostile.behaviours[path_of(urls.search_query(config.catalogue))] = list(pages)
        return build_catalogue(client_for(hostile.url, **changes), config, snapshot)

    return run


def row(identifier="EMD-0001", code="REL", resolution="5", fitted="1abc"):
    released = "2020-01-02T00:00:00Z"
    return f"{identifier},Title,{code},singleParticle,{resolution},{fitted},,{released},,,,\n"


def test_repetitions_in_a_page_count_once_and_what_is_not_released_is_excluded(ask_hostile):
    text = HEADER + "\n" + row() + row() + row("EMD-0002", code="") + row("EMD-0003", code="HOLD")
    frame = ask_hostile(page(text, "text/csv"), retries=0)
    assert list(frame.emdb_id) == ["EMD-0001", "EMD-0002", "EMD-0003"]
    assert told(frame.exclusion) == [
        None,
        "Not listed as released (status unknown).",
        "Not listed as released (status HOLD).",
    ]
    assert frame.release_date[0] == "2020-01-02"
    assert frame.resolution_method.isna().all()


@pytest.mark.parametrize(
    ("fitted", "chosen"),
    [("5ni1", "5NI1"), ('"6vyb,5ni1"', "6VYB"), ("\"['7sgd', '1abc']\"", "7SGD"), ("", None)],
)
def test_lists_of_models_however_they_are_written(ask_hostile, fitted, chosen):
    frame = ask_hostile(page(f"{HEADER}\n{row(fitted=fitted)}"))
    assert told(frame.pdb_id) == [chosen]
    assert told(frame.exclusion) == [None]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("<!DOCTYPE html><p>Down for maintenance</p>", "no column 'emdb_id'"),
        ("emdb_id,title\nEMD-0001,One\n", "no column 'current_status'"),
        (f"{HEADER}\n{row(identifier='EMPIAR-1')}", "'emdb_id' is not as expected"),
        (f"{HEADER}\n{row(resolution='high')}", "'resolution' is not as expected"),
        (f"{HEADER}\n{row(resolution='nan')}", "'resolution' is not as expected"),
        (f"{HEADER}\n{row(fitted='toolongid')}", r"row 1: 'fitted_pdbs\.0'"),
        (f'{HEADER}\nEMD-0001,"unclosed', "not CSV"),
    ],
)
def test_a_search_that_cannot_be_trusted_is_refused(ask_hostile, text, sentence):
    with pytest.raises(ArchiveError, match=sentence) as caught:
        ask_hostile(page(text, "text/csv"))
    assert "https://www.ebi.ac.uk/emdb/api/search/" in str(caught.value)


def test_columns_that_we_can_do_without_are_missed_aloud(ask_hostile, capsys):
    names = ",".join(urls.REQUIRED_FIELDS)
    frame = ask_hostile(page(f"{names}\nEMD-0001,Title,REL,singleParticle,5,1abc\n"))
    assert frame.revision_date.isna().all()
    assert "no column 'update_date'; it stays empty" in capsys.readouterr().err


def test_a_single_bad_row_is_named_and_left_out(ask_hostile, capsys):
    text = HEADER + "\n" + row("EMD-0001", resolution="high") + row("EMD-0002")
    assert list(ask_hostile(page(text)).emdb_id) == ["EMD-0002"]
    assert "row 1: 'resolution' is not as expected" in capsys.readouterr().err


def test_a_web_page_instead_of_data_is_asked_for_again(ask_hostile, hostile):
    hostile.behaviours[MODELS] = [page("<html>Please wait</html>"), NO_MODELS]
    maintenance = page("<!DOCTYPE html><p>Back soon</p>")
    frame = ask_hostile(maintenance, maintenance, page(f"{HEADER}\n{row()}"))
    assert list(frame.emdb_id) == ["EMD-0001"]


def test_a_page_cut_within_a_row_is_asked_for_again(ask_hostile):
    whole = f"{HEADER}\n{row()}{row('EMD-0002')}"
    frame = ask_hostile(page(whole[:-20]), page(whole))
    assert list(frame.emdb_id) == ["EMD-0001", "EMD-0002"]


def test_a_list_that_moves_between_pages_is_refused_and_forgotten(
    ask_hostile, hostile, snapshot, monkeypatch
):
    monkeypatch.setattr(listing, "_ROWS_A_PAGE", 2)
    first = page(HEADER + "\n" + row("EMD-0001") + row("EMD-0002"))
    second = page(HEADER + "\n" + row("EMD-0002") + row("EMD-0003"))
    with pytest.raises(ArchiveError, match=r"page 2 repeats EMD-0002 .*Run again"):
        ask_hostile(first, second)
    rest = page(HEADER + "\n" + row("EMD-0003"))
    assert list(ask_hostile(first, rest).emdb_id) == ["EMD-0001", "EMD-0002", "EMD-0003"]


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ('{"errors": [{"message": "no such field"}], "data": null}', "'data' is not as expected"),
        ("[]", "'the whole answer'"),
        ("<html>", "not JSON"),
    ],
)
def test_an_unexpected_answer_of_rcsb_names_it(ask_hostile, hostile, answer, sentence):
    hostile.behaviours[MODELS] = [page(answer)]
    with pytest.raises(ArchiveError, match=f"https://data.rcsb.org/graphql: .*{sentence}"):
        ask_hostile(page(f"{HEADER}\n{row()}"))


@pytest.mark.parametrize(
    "answer",
    [
        '{"total_count": -1, "result_set": []}',
        '{"total_count": 3, "result_set": []}',
        '{"result_set": []}',
    ],
)
def test_a_search_for_models_that_goes_wrong_is_missed_aloud(ask_hostile, hostile, capsys, answer):
    hostile.behaviours["search.rcsb.org/rcsbsearch/v2/query"] = [page(answer)]
    assert len(ask_hostile(page(f"{HEADER}\n{row()}"))) == 1
    assert "Models that only RCSB knows of are left out" in capsys.readouterr().err


def test_an_obsolete_list_that_is_refused_is_missed_aloud(ask_hostile, hostile, capsys):
    hostile.behaviours[path_of(urls.obsolete_query(Config().catalogue))] = [status(400)]
    assert len(ask_hostile(page(f"{HEADER}\n{row()}"))) == 1
    assert "left out without being named" in capsys.readouterr().err


def test_what_became_of_a_model_must_be_told_in_the_expected_form(ask_hostile, hostile):
    hostile.behaviours["data.rcsb.org/rest/v1/holdings/removed/1ABC"] = [
        page('{"rcsb_id": "1ABC"}')
    ]
    with pytest.raises(RefusalError, match=r"removed/1ABC: 'rcsb_repository_holdings_removed'"):
        ask_hostile(page(f"{HEADER}\n{row()}"))


def test_an_archive_that_dies_in_the_middle_is_an_error(ask_hostile, hostile, capsys):
    numbers = range(1, 9)
    for number in numbers:
        hostile.behaviours[f"{ENTRIES}/EMD-000{number}"] = [status(503)]
    text = HEADER + "\n" + "".join(row(f"EMD-000{number}") for number in numbers)
    with pytest.raises(ArchiveError, match=r"EMD-0003.*503"):
        ask_hostile(page(text), retries=0)
    assert capsys.readouterr().err.count("warning") == 2
