"""The server of the embedded archive: files, ranges, search, descriptions, refusals."""

from __future__ import annotations

import http.client
import json

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from tiny_archive import DESCRIPTIONS, ENTRIES, MAPS, description, entry, incompressible

from cryosamu.archive.client import RefusalError
from cryosamu.archive.fetch import fetch, wanted_map, wanted_model
from cryosamu.archive.server import ArchiveServer, _requested
from cryosamu.errors import CryosamuError

SEARCH = "www.ebi.ac.uk/emdb/api/search"


@pytest.fixture
def get(served):
    with requests.Session() as session:
        session.trust_env = False
        yield lambda path, **options: session.get(f"{served.url}/{path}", timeout=5, **options)


def test_an_entry_is_served_at_the_real_path(archive, get):
    archive.add_entry("EMD-3488")
    answer = get("www.ebi.ac.uk/emdb/api/entry/EMD-3488")
    assert answer.json() == entry("EMD-3488")
    assert answer.headers["Content-Type"] == "application/json"


def test_the_client_fetches_a_map_and_a_model(archive, served, client_for, tmp_path):
    map_data = archive.add_map("EMD-3488", incompressible(1000))
    model_data = archive.add_model("5NI1", b"data_5NI1")
    client = client_for(served.url)
    for wanted, data in (
        (wanted_map("EMD-3488", client.settings, tmp_path), map_data),
        (wanted_model("5ni1", client.settings, tmp_path), model_data),
    ):
        fetched = fetch(client, wanted)
        assert wanted.path.read_bytes() == data
        assert fetched.record.bytes == len(data)


@pytest.mark.parametrize(
    ("header", "code", "span"),
    [
        (None, 200, slice(None)),
        ("bytes=0-9", 206, slice(0, 10)),
        ("bytes=100-", 206, slice(100, None)),
        ("bytes=-7", 206, slice(-7, None)),
        ("bytes=5-100000", 206, slice(5, None)),
        ("bytes=100000-", 416, None),
        ("bytes=9-3", 416, None),
        ("lines=1-2", 416, None),
    ],
)
def test_ranges(archive, get, header, code, span):
    data = archive.add_map("EMD-3488", incompressible(3000))
    answer = get(f"{MAPS}/EMD-3488/map/emd_3488.map.gz", headers={"Range": header})
    assert answer.status_code == code
    if span is None:
        assert answer.headers["Content-Range"] == f"bytes */{len(data)}"
    else:
        assert answer.content == data[span]
    if code == 206:
        start, end, _ = span.indices(len(data))
        assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/{len(data)}"


@given(start=st.integers(0, 60), end=st.integers(0, 60), size=st.integers(1, 50))
def test_a_range_lies_within_the_file(start, end, size):
    span = _requested(f"bytes={start}-{end}", size)
    wanted = [byte for byte in range(size) if start <= byte <= end]
    assert (list(range(*span)) if span else []) == wanted


@pytest.mark.parametrize(
    "path",
    [
        "www.ebi.ac.uk/emdb/api/entry/EMD-0002",
        f"{MAPS}/EMD-3488/map/emd_3488.map.gz",
        "files.rcsb.org/pub/emdb/structures/EMD-3488/map/emd_3488.map.gz",
        "truncated.json",
        "secret.txt",
        "ftp.ebi.ac.uk",
        "",
    ],
)
def test_what_is_not_there(archive, get, path):
    archive.add_entry("EMD-3488")
    archive.write("truncated.json", [])
    assert get(path).status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt",
        "/www.ebi.ac.uk/../../secret.txt",
        "/www.ebi.ac.uk/%2e%2e/%2e%2e/secret.txt",
        "/www.ebi.ac.uk/..%2f..%2fsecret.txt",
        "//secret.txt",
        "/www.ebi.ac.uk//emdb",
        "/www.ebi.ac.uk/link.txt",
        "/www.ebi.ac.uk/%00",
    ],
)
def test_nothing_outside_the_root_is_served(archive, served, path):
    secret = archive.root.parent / "secret.txt"
    secret.write_text("secret")
    (archive.root / "www.ebi.ac.uk" / "link.txt").symlink_to(secret)
    connection = http.client.HTTPConnection("127.0.0.1", served.server_port, timeout=5)
    connection.request("GET", path)
    answer = connection.getresponse()
    assert answer.status == 404
    assert b"secret\n" not in answer.read().replace(b"secret.txt", b"")
    connection.close()


def test_a_cut_file_always_breaks_off(archive, served, client_for, tmp_path):
    data = archive.add_map("EMD-3488", incompressible(5000))
    archive.write("truncated.json", ["emd_3488.map.gz"])
    client = client_for(served.url)
    wanted = wanted_map("EMD-3488", client.settings, tmp_path)
    with pytest.raises(RefusalError, match=f"after {len(data) // 2} of {len(data)} bytes"):
        fetch(client, wanted)
    assert not wanted.path.exists()
    archive.write("truncated.json", [])
    assert fetch(client, wanted).downloaded


def search(get, query, **parameters):
    return get(f"{SEARCH}/{requests.utils.quote(query, safe='')}", params=parameters)


@pytest.fixture
def three(archive):
    archive.add_entry("EMD-0001", resolution="3.2", pdb=["1abc", "2abc"], title='One, "first"')
    archive.add_entry("EMD-0002", resolution="5.0", pdb=[])
    archive.add_entry("EMD-0003", resolution="7.5", method="helical", status="OBS")
    archive.write(f"{ENTRIES}/EMD-0004.json", b"not JSON")


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("resolution:[3.2 TO 5]", [1, 2]),
        ("resolution:[* TO 4.9]", [1]),
        ("resolution:[5.1 TO *]", [3]),
        ('xref_links:"pdb"', [1, 3]),
        ('structure_determination_method:"helical"', [3]),
        ('current_status:REL AND xref_links:"pdb"', [1]),
        ('current_status:"REL" AND resolution:[4 TO 8]', [2]),
        ('emdb_id:"EMD-0002"', [2]),
        ('emdb_id:"EMD-0009"', []),
    ],
)
@pytest.mark.usefixtures("three")
def test_the_search_is_really_evaluated(get, query, numbers):
    answer = search(get, query, wt="csv", fl="emdb_id")
    assert answer.text.splitlines() == ["emdb_id", *(f"EMD-000{n}" for n in numbers)]


@pytest.mark.usefixtures("three")
def test_the_search_gives_the_fields_asked_for(get):
    fields = "fitted_pdbs,title,resolution,half_map_filename,map_pixel_spacing_x"
    answer = search(get, 'emdb_id:"EMD-0001"', wt="csv", fl=fields)
    assert answer.text.splitlines() == [
        fields,
        '"1abc,2abc","One, ""first""",3.2,'
        '"emd_0001_half_map_1.map.gz,emd_0001_half_map_2.map.gz",1.35',
    ]


@pytest.mark.usefixtures("three")
def test_the_search_has_pages(get):
    pages = [
        search(get, "resolution:[1 TO 9]", wt="csv", rows=2, page=page).text.split()[1:]
        for page in (1, 2, 3)
    ]
    assert pages == [["EMD-0001", "EMD-0002"], ["EMD-0003"], []]


@pytest.mark.parametrize(
    ("query", "parameters"),
    [
        ("resolution:[4 TO 8]", {}),
        ("resolution:[4 TO 8]", {"wt": "json"}),
        ("resolution:[4 TO 8]", {"wt": "csv", "fl": "emdb_id,colour"}),
        ("resolution:[4 TO 8]", {"wt": "csv", "rows": "many"}),
        ("resolution:[4 TO 8]", {"wt": "csv", "page": "0"}),
        ("resolution:[four TO 8]", {"wt": "csv"}),
        ("resolution:{4 TO 8}", {"wt": "csv"}),
        ('title:"a" OR title:"b"', {"wt": "csv"}),
        ("haemoglobin", {"wt": "csv"}),
        ("colour:red", {"wt": "csv"}),
        ("*", {"wt": "csv"}),
    ],
)
@pytest.mark.usefixtures("three")
def test_the_search_refuses_what_it_does_not_know(get, query, parameters):
    assert search(get, query, **parameters).status_code == 400


def post(served, path="data.rcsb.org/graphql", **options):
    with requests.Session() as session:
        session.trust_env = False
        return session.post(f"{served.url}/{path}", timeout=5, **options)


def test_descriptions_of_the_models_that_there_are(archive, served):
    archive.add_description("1ABC", ("Protein", 10, 1))
    archive.add_description("2ABC", ("RNA", 20, 2))
    question = {"query": "{}", "variables": {"ids": ["2abc", "9ZZZ", "../../../1ABC", "1ABC"]}}
    assert post(served, json=question).json() == {
        "data": {
            "entries": [
                description("2ABC", ("RNA", 20, 2)),
                description("1ABC", ("Protein", 10, 1)),
            ]
        }
    }


@pytest.mark.parametrize("body", ["", "{}", "[]", "nonsense", '{"variables": {"ids": 3}}'])
def test_a_malformed_question_is_refused(served, body):
    assert post(served, data=body).status_code == 400


def test_nothing_else_can_be_posted(archive, served):
    archive.write(f"{DESCRIPTIONS}/1ABC.json", {})
    assert post(served, "data.rcsb.org/other", json={}).status_code == 404


def test_a_folder_that_is_no_archive(tmp_path):
    with pytest.raises(CryosamuError, match="is not an archive"):
        ArchiveServer(tmp_path)


def test_the_descriptions_are_plain_json(archive):
    archive.add_description("1ABC", ("Protein", 10, 1))
    written = (archive.root / DESCRIPTIONS / "1ABC.json").read_text()
    assert json.loads(written)["rcsb_id"] == "1ABC"
