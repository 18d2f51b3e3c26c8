"""The addresses, letter by letter, as the archives publish them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryosamu.archive import urls
from cryosamu.config import ArchiveSettings, CatalogueSettings
from cryosamu.errors import ArchiveError

SETTINGS = ArchiveSettings()


def test_the_search():
    window = {"minimum": 4.0, "maximum": 8.5}
    query = urls.search_query(CatalogueSettings(resolution=window))
    assert query == (
        'current_status:"REL" AND structure_determination_method:"singleParticle"'
        ' AND xref_links:"pdb" AND resolution:[4 TO 8.5]'
    )
    assert urls.obsolete_query(CatalogueSettings(resolution=window)) == (
        'obsolete_date:[* TO *] AND structure_determination_method:"singleParticle"'
        ' AND xref_links:"pdb" AND resolution:[4 TO 8.5]'
    )
    assert urls.search_url(SETTINGS, 'a:"b c" AND d:[1 TO 2]', 100, 3, ["emdb_id", "title"]) == (
        "https://www.ebi.ac.uk/emdb/api/search/a%3A%22b%20c%22%20AND%20d%3A%5B1%20TO%202%5D"
        "?rows=100&page=3&wt=csv&fl=emdb_id,title"
    )


def test_the_files():
    assert urls.entry_url(SETTINGS, "EMD-3488") == "https://www.ebi.ac.uk/emdb/api/entry/EMD-3488"
    assert urls.map_urls(SETTINGS, "EMD-0093") == [
        "https://ftp.ebi.ac.uk/pub/databases/emdb/structures/EMD-0093/map/emd_0093.map.gz",
        "https://files.rcsb.org/pub/emdb/structures/EMD-0093/map/emd_0093.map.gz",
        "https://ftp.pdbj.org/pub/emdb/structures/EMD-0093/map/emd_0093.map.gz",
    ]
    assert urls.model_urls(SETTINGS, "5NI1") == ["https://files.rcsb.org/download/5NI1.cif.gz"]


def test_half_maps_lie_beside_the_map():
    assert urls.half_map_urls(SETTINGS, "EMD-0093", "emd_0093_half_map_2.map.gz") == [
        f"{host}/EMD-0093/other/emd_0093_half_map_2.map.gz"
        for host in (
            "https://ftp.ebi.ac.uk/pub/databases/emdb/structures",
            "https://files.rcsb.org/pub/emdb/structures",
            "https://ftp.pdbj.org/pub/emdb/structures",
        )
    ]
    for name in ("../map/emd_0093.map.gz", "a/b", ".hidden", ""):
        with pytest.raises(ArchiveError, match="is not the name of a half map"):
            urls.half_map_urls(SETTINGS, "EMD-0093", name)


def test_the_questions_about_models():
    assert urls.removed_model_url(SETTINGS, "1OLD") == (
        "https://data.rcsb.org/rest/v1/holdings/removed/1OLD"
    )
    assert urls.models_of_maps_query(["EMD-0093", "EMD-3488"], 1000, 500) == {
        "query": {
            "type": "terminal",
            "service": "text",
            "parameters": {
                "attribute": "rcsb_entry_container_identifiers.emdb_ids",
                "operator": "in",
                "value": ["EMD-0093", "EMD-3488"],
            },
        },
        "return_type": "entry",
        "request_options": {
            "paginate": {"start": 1000, "rows": 500},
            "sort": [{"sort_by": "rcsb_id", "direction": "asc"}],
        },
    }


def test_a_mirror_root_takes_the_place_of_the_scheme():
    mirrored = ArchiveSettings(mirror_root="http://127.0.0.1:8642/")
    url = "https://files.rcsb.org/download/5NI1.cif.gz"
    assert urls.through_mirror(SETTINGS, url) == url
    assert urls.through_mirror(mirrored, url) == (
        "http://127.0.0.1:8642/files.rcsb.org/download/5NI1.cif.gz"
    )


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://127.0.0.1:8642", True),
        ("http://localhost", True),
        ("http://[::1]:80/x", True),
        ("https://files.rcsb.org", False),
        ("http://127.example.org.evil", False),
    ],
)
def test_loopback(url, here):
    assert urls.is_loopback(url) is here


@given(st.integers(0, 999_999))
def test_emdb_ids_are_padded_to_four_digits(number):
    full = f"EMD-{number:04d}"
    assert urls.emdb_id(str(number)) == full
    assert urls.emdb_id(full.lower()) == full
    assert urls.map_file_name(full) == f"emd_{number:04d}.map.gz"


@pytest.mark.parametrize("text", ["", "EMD-", "EMD-1234567", "EMPIAR-10002", "EMD-1/..", "1e3"])
def test_what_is_no_emdb_id(text):
    with pytest.raises(ArchiveError, match="is not an EMDB id"):
        urls.emdb_id(text)


def test_pdb_ids():
    assert urls.pdb_id(" 5ni1 ") == "5NI1"
    assert urls.pdb_id("pdb_00005ni1") == "PDB_00005NI1"
    for text in ("5NI", "5NI12", "../x", "5N 1"):
        with pytest.raises(ArchiveError, match="is not a PDB id"):
            urls.pdb_id(text)
