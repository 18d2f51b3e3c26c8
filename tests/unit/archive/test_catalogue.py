"""The catalogue: from the archives' answers to the table, whatever single entries look like."""

from __future__ import annotations

import json
import re

import pytest
from hostile_server import page, status
from tiny_archive import DESCRIPTIONS, ENTRIES

from cryosamu.archive import catalogue
from cryosamu.archive.client import RefusalError
from cryosamu.archive.urls import SEARCH_FIELDS
from cryosamu.config import CatalogueSettings
from cryosamu.errors import ArchiveError
from cryosamu.tables import CATALOGUE, read_table, write_table

SETTINGS = CatalogueSettings()
HEADER = ",".join(SEARCH_FIELDS)


@pytest.fixture
def build(served, client_for):
    return lambda **changes: catalogue.build_catalogue(client_for(served.url, **changes), SETTINGS)


@pytest.fixture
def ask_hostile(hostile, client_for):
    """Return a function that builds a catalogue from pages of CSV in the hostile server."""

    def run(*pages, **changes):
        query = catalogue.urls.search_url(
            client_for(hostile.url).settings, catalogue.urls.search_query(SETTINGS), 1, 1, ["x"]
        )
        path = query.split("://")[1].split("?")[0]
        hostile.behaviours[path] = list(pages)
        return catalogue.build_catalogue(client_for(hostile.url, **changes), SETTINGS)

    return run


def test_every_column_of_a_complete_entry(archive, build):
    archive.add_entry("EMD-4321", title='A "quoted", awkward title', pdb=["1abc", "2DEF"])
    archive.add_description("1ABC", ("Protein", 100, 2), ("Protein", 7, 1), ("RNA", 30, 3))
    (row,) = build().to_dict("records")
    assert row == {
        "emdb_id": "EMD-4321",
        "pdb_id": "1ABC",
        "title": 'A "quoted", awkward title',
        "method": "singleParticle",
        "resolution": 5.2,
        "resolution_method": "FSC 0.143 CUT-OFF",
        "release_date": "2020-03-04",
        "polymer_types": "Protein;RNA",
        "protein_entities": 2,
        "nucleic_entities": 1,
        "other_entities": 0,
        "deposited_residues": 100 * 2 + 7 + 30 * 3,
        "map_file": "emd_4321.map.gz",
        "map_kilobytes": 33.0,
        "voxel_size": 1.35,
        "contour_level": 0.02,
        "half_maps": 2,
        "simulated": False,
    }


def test_the_query_chooses(archive, build):
    archive.add_entry("EMD-0001", resolution="2.0")
    archive.add_entry("EMD-0002", resolution="10")
    archive.add_entry("EMD-0003", resolution="1.99")
    archive.add_entry("EMD-0004", resolution="10.01")
    archive.add_entry("EMD-0005", method="helical")
    archive.add_entry("EMD-0006", status="OBS")
    archive.add_entry("EMD-0007", pdb=[])
    archive.add_entry("EMD-0008", resolution=None)
    assert list(build().emdb_id) == ["EMD-0001", "EMD-0002"]


def test_rows_come_by_rising_number_through_all_pages(archive, build, monkeypatch):
    for number in (10001, 999, 20, 30, 40):
        archive.add_entry(f"EMD-{number:04d}")
    monkeypatch.setattr(catalogue, "_ROWS_A_PAGE", 2)
    identifiers = ["EMD-0020", "EMD-0030", "EMD-0040", "EMD-0999", "EMD-10001"]
    assert list(build().emdb_id) == identifiers


def test_a_full_last_page_ends_the_search(archive, build, monkeypatch):
    archive.add_entry("EMD-0001")
    archive.add_entry("EMD-0002")
    monkeypatch.setattr(catalogue, "_ROWS_A_PAGE", 2)
    assert len(build()) == 2


def test_models_are_asked_for_in_batches(archive, build, monkeypatch):
    monkeypatch.setattr(catalogue, "_MODELS_A_QUESTION", 2)
    for number in range(1, 6):
        archive.add_entry(f"EMD-000{number}", pdb=[f"{number}xyz"])
        archive.add_description(f"{number}XYZ", ("Protein", number, 1))
    assert list(build().deposited_residues) == [1, 2, 3, 4, 5]


def test_simulated_entries_say_so(archive, build):
    archive.add_entry("EMD-0001", simulated=True, title="Simulated map")
    archive.add_entry("EMD-0002", simulated=False)
    archive.add_entry("EMD-0003", title="Growth in simulated microgravity")
    assert list(build().simulated) == [True, False, False]


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (b"<html>", "not JSON"),
        (b"[1]", "the whole answer"),
        (b'{"emdb_id": "EMD-0002", "admin": {}}', "'map'"),
        (b'{"emdb_id": "EMD-9999", "admin": {}, "map": {}}', "another entry's"),
        (
            b'{"emdb_id": "EMD-0002", "admin": {}, "map": {"pixel_spacing":'
            b' {"x": {"valueOf_": "wide"}}}}',
            r"'map\.pixel_spacing\.x\.valueOf_'",
        ),
    ],
)
def test_a_malformed_record_does_not_stop_the_rest(
    archive, build, capsys, monkeypatch, record, said
):
    for number in (1, 2, 3):
        archive.add_entry(f"EMD-000{number}")
    path = archive.root / ENTRIES / "EMD-0002.json"
    listed = json.loads(path.read_text())
    read = catalogue.search

    def search_then_damage(*arguments):
        found = read(*arguments)
        path.write_bytes(record)
        return found

    monkeypatch.setattr(catalogue, "search", search_then_damage)
    frame = build()
    assert listed["emdb_id"] == "EMD-0002"
    assert list(frame.emdb_id) == ["EMD-0001", "EMD-0002", "EMD-0003"]
    assert list(frame.map_file.isna()) == [False, True, False]
    assert list(frame.half_maps.isna()) == [False, True, False]
    assert frame.resolution[1] == 5.2
    warning = capsys.readouterr().err
    assert "https://www.ebi.ac.uk/emdb/api/entry/EMD-0002: " in warning
    assert re.search(said, warning)


def test_models_that_rcsb_does_not_describe_leave_nulls(archive, build, capsys):
    archive.add_entry("EMD-0001", pdb=["1abc"])
    archive.add_entry("EMD-0002", pdb=["2abc"])
    archive.add_entry("EMD-0003", pdb=["3abc"])
    archive.add_description("1ABC", ("Protein", 50, 1))
    archive.write(f"{DESCRIPTIONS}/2ABC.json", {"rcsb_id": "2ABC", "polymer_entities": [{}]})
    frame = build()
    assert list(frame.deposited_residues.isna()) == [False, True, True]
    assert "'polymer_entities.0.entity_poly'" in capsys.readouterr().err


def test_the_table_can_be_written_with_nulls(archive, build, tmp_path):
    archive.add_entry("EMD-0001")
    archive.add_entry("EMD-0002", pdb=["2abc"], half_maps=0)
    archive.add_description("2ABC", ("Other", 5, 1))
    write_table(tmp_path / "one.parquet", build(), CATALOGUE)
    write_table(tmp_path / "two.parquet", build(), CATALOGUE)
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()
    frame = read_table(tmp_path / "one.parquet", CATALOGUE)
    assert list(frame.half_maps) == [2, 0]
    assert list(frame.other_entities.isna()) == [True, False]


def test_an_empty_answer_is_an_empty_table(archive, build, tmp_path):
    frame = build()
    write_table(tmp_path / "empty.parquet", frame, CATALOGUE)
    assert len(read_table(tmp_path / "empty.parquet", CATALOGUE)) == 0


def row(identifier="EMD-0001", code="REL", resolution="5", fitted="1abc"):
    return f"{identifier},Title,{code},singleParticle,{resolution},,2020-01-02T00:00:00Z,{fitted}\n"


def test_obsolete_entries_and_repetitions_are_left_out(ask_hostile, hostile):
    text = HEADER + "\n" + row() + row() + row("EMD-0002", code="") + row("EMD-0003", code="OBS")
    hostile.behaviours["data.rcsb.org/graphql"] = [page('{"data": {"entries": []}}')]
    frame = ask_hostile(page(text, "text/csv"), retries=0)
    assert list(frame.emdb_id) == ["EMD-0001"]
    assert frame.release_date[0] == "2020-01-02"
    assert frame.resolution_method.isna().all()


@pytest.mark.parametrize(
    ("fitted", "chosen"),
    [("5ni1", "5NI1"), ('"6vyb,5ni1"', "6VYB"), ("\"['7sgd', '1abc']\"", "7SGD"), ("", None)],
)
def test_the_first_fitted_model_stands_for_the_map(ask_hostile, hostile, fitted, chosen):
    hostile.behaviours["data.rcsb.org/graphql"] = [page('{"data": {"entries": []}}')]
    frame = ask_hostile(page(f"{HEADER}\n{row(fitted=fitted)}"))
    assert list(frame.pdb_id) == [chosen]


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


def test_a_single_bad_row_is_named_and_left_out(ask_hostile, hostile, capsys):
    hostile.behaviours["data.rcsb.org/graphql"] = [page('{"data": {"entries": []}}')]
    text = HEADER + "\n" + row("EMD-0001", resolution="high") + row("EMD-0002")
    assert list(ask_hostile(page(text)).emdb_id) == ["EMD-0002"]
    assert "row 1: 'resolution' is not as expected" in capsys.readouterr().err


def test_pages_that_repeat_are_refused(ask_hostile, monkeypatch):
    monkeypatch.setattr(catalogue, "_ROWS_A_PAGE", 1)
    with pytest.raises(RefusalError, match="page 2 repeats"):
        ask_hostile(page(f"{HEADER}\n{row()}"))


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ('{"errors": [{"message": "no such field"}], "data": null}', "'data' is not as expected"),
        ("[]", "'the whole answer'"),
        ("<html>", "not JSON"),
    ],
)
def test_an_unexpected_answer_of_rcsb_names_it(ask_hostile, hostile, answer, sentence):
    hostile.behaviours["data.rcsb.org/graphql"] = [page(answer)]
    with pytest.raises(RefusalError, match=f"https://data.rcsb.org/graphql: .*{sentence}"):
        ask_hostile(page(f"{HEADER}\n{row()}"))


def test_an_archive_that_dies_in_the_middle_is_an_error(ask_hostile, hostile, capsys):
    numbers = range(1, 9)
    for number in numbers:
        hostile.behaviours[f"{ENTRIES}/EMD-000{number}"] = [status(503)]
    text = HEADER + "\n" + "".join(row(f"EMD-000{number}") for number in numbers)
    with pytest.raises(ArchiveError, match=r"EMD-0003.*503"):
        ask_hostile(page(text), retries=0)
    assert capsys.readouterr().err.count("warning") == 2
