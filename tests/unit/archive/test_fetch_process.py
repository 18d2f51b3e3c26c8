"""`cryosamu fetch` and `cryosamu catalogue` as real processes: killed, refused, repeated."""

from __future__ import annotations

import gzip
import json
import time

import pytest
from hostile_server import give, page, status
from tiny_archive import entry, incompressible

from cryosamu.archive.record import FetchRecord, read_record, write_record
from cryosamu.errors import ArchiveError
from cryosamu.tables import CATALOGUE, read_table

PATH = "ftp.ebi.ac.uk/pub/databases/emdb/structures/EMD-3488/map/emd_3488.map.gz"
DATA = gzip.compress(incompressible(200_000), mtime=0)
OK = FetchRecord(
    id="EMD-1", kind="map", status="ok", path="p", bytes=1, sha256="0", url="u", error=None
)


@pytest.fixture
def fetch_map(start, hostile, config_file):
    """Return a function that starts `fetch map EMD-3488` on the hostile server."""

    def run(*more):
        options = ("--config", config_file(hostile.url), "--store", "store", *more)
        return start("fetch", "map", "EMD-3488", *options)

    return run


@pytest.fixture
def place(tmp_path):
    return tmp_path / "store" / "archive" / "maps" / "88" / "emd_3488.map.gz"


def finish(process):
    _, err = process.communicate(timeout=60)
    return process.returncode, err


def test_killed_in_a_trickle_it_goes_on_from_there(fetch_map, hostile, place, tmp_path):
    hostile.behaviours[PATH] = [give(DATA, piece=2000, delay=0.02)]
    process = fetch_map("--record", "record.json")
    part = place.with_name(f"{place.name}.part")
    deadline = time.monotonic() + 30
    while not (part.exists() and part.stat().st_size > 40_000) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert not place.exists()
    assert not (tmp_path / "record.json").exists()
    kept = part.stat().st_size
    assert 40_000 < kept < len(DATA)
    assert part.read_bytes() == DATA[:kept]

    hostile.behaviours[PATH] = [give(DATA)]
    code, err = finish(fetch_map("--record", "record.json"))
    assert (code, err) == (0, f"fetched EMD-3488 map ({len(DATA)} bytes)\n")
    assert place.read_bytes() == DATA
    assert hostile.asked(PATH)[-1]["Range"] == f"bytes={kept}-"
    assert [file.name for file in place.parent.iterdir()] == [place.name]


def test_a_refusal_with_and_without_a_record(fetch_map, tmp_path):
    code, err = finish(fetch_map())
    sentence = f"https://{PATH}: answers 404 (Not Found)."
    assert (code, err) == (1, f"cryosamu: {sentence}\n")

    code, err = finish(fetch_map("--record", "records/EMD-3488.json"))
    assert (code, err) == (0, f"failed EMD-3488 map: {sentence}\n")
    assert json.loads((tmp_path / "records" / "EMD-3488.json").read_text()) == {
        "id": "EMD-3488", "kind": "map", "status": "failed", "path": None, "bytes": None,
        "sha256": None, "url": PATH, "error": sentence,
    }  # fmt: skip


def test_a_failed_record_is_tried_again_and_a_good_one_is_not(fetch_map, hostile, tmp_path):
    finish(fetch_map("--record", "r.json"))
    hostile.behaviours[PATH] = [give(DATA)]
    code, err = finish(fetch_map("--record", "r.json"))
    assert (code, err) == (0, f"fetched EMD-3488 map ({len(DATA)} bytes)\n")
    first = (tmp_path / "r.json").read_bytes()
    assert json.loads(first)["path"] == "store/archive/maps/88/emd_3488.map.gz"

    asked = len(hostile.requests)
    code, err = finish(fetch_map("--record", "r.json"))
    assert (code, err) == (0, "already in the store: EMD-3488 map\n")
    assert (tmp_path / "r.json").read_bytes() == first
    assert len(hostile.requests) == asked


def test_an_archive_that_is_down_fails_even_with_a_record(fetch_map, hostile, tmp_path):
    hostile.behaviours[PATH] = [status(503)]
    code, err = finish(fetch_map("--record", "r.json"))
    assert code == 1
    assert "503 (Service Unavailable) after 2 tries" in err
    assert err.count("\n") == 1
    assert not (tmp_path / "r.json").exists()


def test_a_full_disk_is_one_sentence_and_gives_the_room_back(
    start, hostile, config_file, place, tmp_path
):
    hostile.behaviours[PATH] = [give(DATA)]
    limited = ("bash", "-c", 'ulimit -f 100; exec "$@"', "bash")
    options = ("--config", config_file(hostile.url), "--record", "r.json")
    code, err = finish(start("fetch", "map", "EMD-3488", *options, through=limited))
    assert code == 1
    assert "could not be written" in err
    assert err.count("\n") == 1
    assert list(place.parent.iterdir()) == []
    assert not (tmp_path / "r.json").exists()


def test_a_disk_that_fills_up_stops_a_list_without_a_table(start, hostile, config_file, tmp_path):
    model = "files.rcsb.org/download/{}.cif.gz"
    hostile.behaviours[model.format("1ABC")] = [give(gzip.compress(b"small"))]
    hostile.behaviours[model.format("2ABC")] = [give(DATA)]
    (tmp_path / "list.jsonl").write_text('{"pdb_id": "1ABC"}\n{"pdb_id": "2ABC"}\n')
    limited = ("bash", "-c", 'ulimit -f 100; exec "$@"', "bash")
    options = ("--config", config_file(hostile.url), "-o", "fetches.parquet")
    code, err = finish(start("fetch", "models", "list.jsonl", *options, through=limited))
    assert (code, err.count("\n")) == (1, 1)
    assert "2ABC.cif.gz.part: could not be written" in err
    assert not (tmp_path / "fetches.parquet").exists()
    models = tmp_path / "store" / "archive" / "models"
    assert [file.name for file in models.glob("*/*")] == ["1ABC.cif.gz"]


def test_two_processes_on_one_map_download_it_once(fetch_map, hostile, place, tmp_path):
    hostile.behaviours[PATH] = [give(DATA, piece=20_000, delay=0.1)]
    first, second = (fetch_map("--record", f"{name}.json") for name in "ab")
    assert [finish(first)[0], finish(second)[0]] == [0, 0]
    assert len(hostile.asked(PATH)) == 1
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert place.read_bytes() == DATA


def test_half_maps_with_and_without_their_record(start, hostile, config_file, tmp_path):
    record = "www.ebi.ac.uk/emdb/api/entry/EMD-3488"
    for number in (1, 2):
        hostile.behaviours[PATH.replace("map/emd_3488", f"other/emd_3488_half_map_{number}")] = [
            give(gzip.compress(bytes([number]), mtime=0))
        ]
    options = ("--config", config_file(hostile.url), "--record", "r.json")
    code, err = finish(start("fetch", "half-maps", "3488", *options))
    sentence = f"https://{record}: answers 404 (Not Found)."
    assert (code, err) == (0, f"failed 3488 half maps: {sentence}\n")
    assert [one["error"] for one in json.loads((tmp_path / "r.json").read_text())] == [sentence] * 2
    code, err = finish(start("fetch", "half-maps", "3488", *options[:2]))
    assert (code, err) == (1, f"cryosamu: {sentence}\n")

    hostile.behaviours[record] = [page(json.dumps(entry("EMD-3488")))]
    code, err = finish(start("fetch", "half-maps", "3488", *options))
    assert code == 0, err
    assert [
        (one["kind"], one["path"]) for one in json.loads((tmp_path / "r.json").read_text())
    ] == [
        (f"half_map_{n}", f"store/archive/half_maps/88/emd_3488_half_map_{n}.map.gz")
        for n in (1, 2)
    ]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("map", "3488b"), "'3488b' is not an EMDB id"),
        (("model", "../x"), "'../x' is not a PDB id"),
    ],
)
def test_an_id_that_is_none(start, arguments, sentence):
    code, err = finish(start("fetch", *arguments))
    assert code == 1
    assert sentence in err


def test_the_catalogue_command(start, archive, served, config_file, tmp_path):
    archive.add_entry("EMD-0001", simulated=True)
    archive.add_entry("EMD-0002")
    archive.add_description("1ABC", ("Protein", 12, 1))
    process = start("catalogue", "--config", config_file(served.url), "-o", "catalogue.parquet")
    out, _ = process.communicate(timeout=60)
    full = "2 rows with the entry's full record, 1 of them simulated"
    assert out == f"catalogue.parquet: 2 candidates, {full}\n"
    assert list(read_table(tmp_path / "catalogue.parquet", CATALOGUE).simulated) == [True, False]


def test_a_catalogue_that_fails_leaves_no_table(start, hostile, config_file, tmp_path):
    hostile.behaviours["data.rcsb.org/graphql"] = [page("{}")]
    process = start("catalogue", "--config", config_file(hostile.url), "-o", "catalogue.parquet")
    code, err = finish(process)
    assert code == 1
    assert "answers 404" in err
    assert err.count("\n") == 1
    assert not (tmp_path / "catalogue.parquet").exists()


def test_records_are_read_back_and_others_refused(tmp_path):
    write_record(tmp_path / "r.json", OK)
    assert read_record(tmp_path / "r.json") == OK
    (tmp_path / "r.json").write_text('{"id": "EMD-1"}')
    with pytest.raises(ArchiveError, match="is not a fetch record"):
        read_record(tmp_path / "r.json")
