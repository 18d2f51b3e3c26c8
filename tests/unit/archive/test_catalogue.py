"""The catalogue: from the archives' answers to the table, whatever single entries look like."""

from __future__ import annotations

import json
import re

import pytest
from tiny_archive import DESCRIPTIONS, ENTRIES, sequence, told

from cryosamu.archive import catalogue, descriptions, listing
from cryosamu.config import Config, parse_config
from cryosamu.tables import CATALOGUE, read_table, write_table


@pytest.fixture
def build(served, client_for, snapshot):
    def run(config=None, **changes):
        client = client_for(served.url, **changes)
        return catalogue.build_catalogue(client, config or Config(), snapshot)

    return run


def test_every_column_of_a_complete_entry(archive, build):
    archive.add_entry("EMD-4321", title='A "quoted", awkward title', pdb=["1abc", "2DEF"])
    archive.add_description(
        "1ABC", ("Protein", 100, 2), ("Protein", 7, 1), maps=("EMD-4321",), modelled=180
    )
    archive.add_description("2DEF", ("Protein", 300, 2), maps=("EMD-1",), modelled=600)
    (row,) = build().to_dict("records")
    assert row == {
        "emdb_id": "EMD-4321",
        "pdb_id": "1ABC",
        "pdb_ids": "1ABC;2DEF",
        "model_choice": "Of 2 the one built from this map.",
        "built_from_map": True,
        "exclusion": None,
        "title": 'A "quoted", awkward title',
        "method": "singleParticle",
        "resolution": 5.2,
        "resolution_method": "FSC 0.143 CUT-OFF",
        "release_date": "2020-03-04",
        "revision_date": "2021-05-06",
        "model_revision_date": "2022-07-08",
        "polymer_types": "Protein",
        "protein_entities": 2,
        "nucleic_entities": 0,
        "other_entities": 0,
        "deposited_residues": 100 * 2 + 7,
        "modelled_residues": 180,
        "sequences": f"{sequence(100)};{sequence(7)}",
        "map_file": "emd_4321.map.gz",
        "map_kilobytes": 33.0,
        "map_columns": 16,
        "map_rows": 20,
        "map_sections": 24,
        "voxel_size": 1.35,
        "contour_level": 0.02,
        "half_maps": 2,
        "half_map_files": "emd_4321_half_map_1.map.gz;emd_4321_half_map_2.map.gz",
        "half_map_kilobytes": 64.0,
        "simulated": False,
    }


def test_the_query_chooses(archive, build):
    archive.add_entry("EMD-0001", resolution="2.0")
    archive.add_entry("EMD-0002", resolution="10")
    archive.add_entry("EMD-0003", resolution="1.99")
    archive.add_entry("EMD-0004", resolution="10.01")
    archive.add_entry("EMD-0005", method="helical")
    archive.add_entry("EMD-0006", status="HPUB")
    archive.add_entry("EMD-0007", pdb=[])
    archive.add_entry("EMD-0008", resolution=None)
    assert list(build().emdb_id) == ["EMD-0001", "EMD-0002"]


def test_obsolete_maps_keep_a_row_that_names_their_successor(archive, build):
    old = {"status": "OBS", "obsolete": "2021-02-03T00:00:00"}
    archive.add_entry("EMD-0001", **old, successors=["EMD-0003"])
    archive.add_entry("EMD-0002", **old)
    archive.add_entry("EMD-0003")
    archive.add_entry("EMD-0004", resolution="12", **old)
    frame = build()
    assert list(frame.emdb_id) == ["EMD-0001", "EMD-0002", "EMD-0003"]
    assert told(frame.exclusion) == [
        "Obsolete since 2021-02-03; EMD-0003 took its place.",
        "Obsolete since 2021-02-03.",
        None,
    ]
    assert told(frame.pdb_id) == [None, None, "1ABC"]
    assert list(frame.pdb_ids) == ["1ABC"] * 3


def test_obsolete_models_give_way_to_their_successors(archive, build):
    archive.add_entry("EMD-0001", pdb=["1old"])
    archive.add_entry("EMD-0002", pdb=["2old", "2new"])
    archive.add_entry("EMD-0003", pdb=["3old"])
    archive.add_entry("EMD-0004", pdb=["4odd"])
    archive.add_removal("1OLD", "1MID")
    archive.add_removal("1MID", "1NEW")
    archive.add_removal("2OLD")
    archive.add_removal("3OLD")
    for name in ("1NEW", "2NEW"):
        archive.add_description(name, ("Protein", 50, 1))
    frame = build()
    assert told(frame.pdb_id) == ["1NEW", "2NEW", None, "4ODD"]
    assert list(frame.model_choice)[:2] == [
        "The only one. Obsolete: 1OLD.",
        "The only one. Obsolete: 2OLD.",
    ]
    gone = "Removed from the PDB without a successor: 3OLD."
    assert told(frame.exclusion) == [None, None, gone, None]


def test_a_ring_of_successors_ends(archive, build):
    archive.add_entry("EMD-0001", pdb=["1old"])
    archive.add_removal("1OLD", "2OLD")
    archive.add_removal("2OLD", "1OLD")
    assert list(build().exclusion) == ["Removed from the PDB without a successor: 1OLD."]


def test_models_that_only_rcsb_knows_of_are_found(archive, build):
    archive.add_entry("EMD-0001", pdb=["1abc"])
    archive.add_entry("EMD-0002", pdb=["1abc"])
    archive.add_description("1ABC", ("Protein", 50, 1), maps=("EMD-0001",))
    archive.add_description("9XYZ", ("Protein", 50, 1), maps=("EMD-0002", "EMD-7777"))
    archive.add_description("8XYZ", ("Protein", 50, 1), maps=("EMD-7777",))
    frame = build()
    assert list(frame.pdb_id) == ["1ABC", "9XYZ"]
    assert list(frame.pdb_ids) == ["1ABC", "1ABC;9XYZ"]
    assert list(frame.built_from_map) == [True, True]


def test_records_are_asked_for_only_where_they_may_matter(archive, build, served):
    archive.add_entry("EMD-0001", resolution="3.9", pdb=["1abc"])
    archive.add_entry("EMD-0002", resolution="4", pdb=["1abc"])
    archive.add_entry("EMD-0003", resolution="5", pdb=["1rna"])
    archive.add_description("1ABC", ("Protein", 50, 1))
    archive.add_description("1RNA", ("Protein", 50, 1), ("RNA", 50, 1))
    frame = build()
    assert [path for path in served.asked if path.startswith(ENTRIES)] == [f"{ENTRIES}/EMD-0002"]
    assert list(frame.contour_level.isna()) == [True, False, True]
    assert list(frame.voxel_size) == [1.35] * 3
    assert list(frame.half_map_files.str.count(";")) == [1] * 3
    served.asked.clear()
    wider = {"resolution": {"minimum": 3.5}, "composition": {"protein_only": False}}
    assert not build(parse_config({"curation": wider})).contour_level.isna().any()
    assert served.asked == [f"{ENTRIES}/EMD-0001", f"{ENTRIES}/EMD-0003"]


def test_all_records_are_asked_for_on_demand(archive, build):
    archive.add_entry("EMD-0001", resolution="9.9")
    archive.add_entry("EMD-0002", resolution="2.5")
    everything = parse_config({"catalogue": {"full_records": "all"}})
    assert build().contour_level.isna().all()
    assert not build(everything).contour_level.isna().any()


def test_models_are_asked_for_in_batches(archive, build, served, monkeypatch):
    monkeypatch.setattr(descriptions, "_MODELS_A_QUESTION", 2)
    monkeypatch.setattr(descriptions, "_MAPS_A_QUESTION", 3)
    monkeypatch.setattr(descriptions, "_HITS_A_PAGE", 2)
    for number in range(1, 6):
        archive.add_entry(f"EMD-000{number}", pdb=[f"{number}xyz"])
        archive.add_description(f"{number}XYZ", ("Protein", number, 1), maps=(f"EMD-000{number}",))
    assert list(build().deposited_residues) == [1, 2, 3, 4, 5]
    assert served.asked.count(DESCRIPTIONS) == 3
    assert served.asked.count("search.rcsb.org/rcsbsearch/v2/query") == 2 + 1


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
        (
            b'{"emdb_id": "EMD-0002", "admin": {}, "map": {}, "interpretation":'
            b' {"half_map_list": {"half_map": {"file": "../../etc/passwd"}}}}',
            r"'interpretation\.half_map_list\.half_map\.0\.file'",
        ),
    ],
)
def test_a_malformed_record_does_not_stop_the_rest(
    archive, build, served, capsys, monkeypatch, record, said
):
    for number in (1, 2, 3):
        archive.add_entry(f"EMD-000{number}")
    path = archive.root / ENTRIES / "EMD-0002.json"
    sound = path.read_bytes()
    read = listing.read_listing

    def read_then_damage(*arguments):
        found = read(*arguments)
        path.write_bytes(record)
        return found

    monkeypatch.setattr(catalogue, "read_listing", read_then_damage)
    frame = build()
    assert list(frame.emdb_id) == ["EMD-0001", "EMD-0002", "EMD-0003"]
    assert list(frame.map_file.isna()) == [False, True, False]
    assert frame.resolution[1] == 5.2
    warning = capsys.readouterr().err
    assert "https://www.ebi.ac.uk/emdb/api/entry/EMD-0002: " in warning
    assert re.search(said, warning)
    # The next run asks for the one that failed, and for nothing else.
    monkeypatch.undo()
    path.write_bytes(sound)
    served.asked.clear()
    assert not build().map_file.isna().any()
    assert served.asked == [f"{ENTRIES}/EMD-0002"]


def test_empty_sections_are_null_in_emdb(archive, build):
    archive.add_entry("EMD-0001")
    path = archive.root / ENTRIES / "EMD-0001.json"
    record = json.loads(path.read_text())
    record["interpretation"] = None
    record["map"] |= {"contour_list": None, "dimensions": None, "pixel_spacing": None}
    record["admin"]["superseded_by_list"] = None
    path.write_text(json.dumps(record))
    (row,) = build().to_dict("records")
    assert row["map_kilobytes"] == 33
    assert row["half_maps"] == 0
    assert row["contour_level"] is None or row["contour_level"] != row["contour_level"]


def test_models_that_rcsb_does_not_describe_leave_nulls(archive, build, capsys):
    for number, name in enumerate(("1abc", "2abc", "3abc"), 1):
        archive.add_entry(f"EMD-000{number}", pdb=[name])
    archive.add_description("1ABC", ("Protein", 50, 1))
    archive.write(f"{DESCRIPTIONS}/2ABC.json", {"rcsb_id": "2ABC", "polymer_entities": [{}]})
    frame = build()
    assert list(frame.deposited_residues.isna()) == [False, True, True]
    assert list(frame.pdb_id) == ["1ABC", "2ABC", "3ABC"]
    warning = capsys.readouterr().err
    assert "(2ABC): 'polymer_entities.0.entity_poly'" in warning


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
    assert frame.sequences.isna().all()


def test_an_empty_answer_is_an_empty_table(archive, build, tmp_path):
    write_table(tmp_path / "empty.parquet", build(), CATALOGUE)
    assert len(read_table(tmp_path / "empty.parquet", CATALOGUE)) == 0
