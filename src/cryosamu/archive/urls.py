"""Every address that is asked of an archive, in one place, easy to correct.

The shapes were read from public clients of EMDB and RCSB. A mirror root replaces `https://` by
its own address: `https://HOST/PATH` is asked as `MIRROR_ROOT/HOST/PATH`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import ip_address
from urllib.parse import quote, urlencode, urlsplit

from cryosamu.config import ArchiveSettings, CatalogueSettings
from cryosamu.errors import ArchiveError

SEARCH_FIELDS = (
    "emdb_id",
    "title",
    "current_status",
    "structure_determination_method",
    "resolution",
    "resolution_method",
    "map_release_date",
    "fitted_pdbs",
)
"""The columns asked of the EMDB search; the rest is in the entry's own record."""

PDB_ID = "[A-Z0-9]{4}|PDB_[A-Z0-9]{8}"
"""Classic and extended PDB ids, in upper case."""

RCSB_QUERY = """query ($ids: [String!]!) {
  entries(entry_ids: $ids) {
    rcsb_id
    polymer_entities {
      entity_poly { rcsb_entity_polymer_type rcsb_sample_sequence_length }
      rcsb_polymer_entity_container_identifiers { asym_ids }
    }
  }
}"""


def emdb_id(text: str) -> str:
    """Return an EMDB id in its full form: "EMD-93" and "93" are EMD-0093.

    Raises
    ------
    ArchiveError
        When `text` is not an EMDB id.
    """
    found = re.fullmatch(r"(?:EMD-)?(\d{1,6})", text.strip(), re.IGNORECASE)
    if found is None:
        raise ArchiveError(f"'{text}' is not an EMDB id; write it like EMD-3488.")
    return f"EMD-{int(found[1]):04d}"


def pdb_id(text: str) -> str:
    """Return a PDB id in upper case, classic ("5NI1") or extended ("PDB_00005NI1").

    Raises
    ------
    ArchiveError
        When `text` is not a PDB id.
    """
    identifier = text.strip().upper()
    if re.fullmatch(PDB_ID, identifier) is None:
        raise ArchiveError(f"'{text}' is not a PDB id; write it like 5NI1.")
    return identifier


def search_query(settings: CatalogueSettings) -> str:
    """Return the Solr query for released maps with a model, by one method, in a resolution window.

    The archive's own `sample_type` is left out: it does not keep nucleic acid away.
    """
    window = settings.resolution
    return (
        'current_status:"REL"'
        f' AND structure_determination_method:"{settings.method}"'
        ' AND xref_links:"pdb"'
        f" AND resolution:[{window.minimum:g} TO {window.maximum:g}]"
    )


def search_url(
    settings: ArchiveSettings, query: str, rows: int, page: int, fields: Sequence[str]
) -> str:
    """Return the address of one page (the first is 1) of an EMDB search, answered in CSV."""
    asked = urlencode({"rows": rows, "page": page, "wt": "csv", "fl": ",".join(fields)}, safe=",")
    return f"{settings.emdb_api}/search/{quote(query, safe='')}?{asked}"


def entry_url(settings: ArchiveSettings, identifier: str) -> str:
    """Return the address of an EMDB entry's record in JSON."""
    return f"{settings.emdb_api}/entry/{identifier}"


def map_urls(settings: ArchiveSettings, identifier: str) -> list[str]:
    """Return the addresses of an entry's main map, one a mirror, in the order to try them."""
    return [f"{base}/{identifier}/map/{map_file_name(identifier)}" for base in settings.emdb_files]


def map_file_name(identifier: str) -> str:
    """Return the file name of an entry's main map: EMD-3488 has emd_3488.map.gz."""
    return f"{identifier.lower().replace('-', '_')}.map.gz"


def model_urls(settings: ArchiveSettings, identifier: str) -> list[str]:
    """Return the addresses of a model's compressed mmCIF file."""
    return [f"{settings.rcsb_files}/{model_file_name(identifier)}"]


def model_file_name(identifier: str) -> str:
    """Return the file name of a model."""
    return f"{identifier}.cif.gz"


def through_mirror(settings: ArchiveSettings, url: str) -> str:
    """Return the address to ask instead of `url` when a mirror root is set."""
    if settings.mirror_root is None:
        return url
    return f"{settings.mirror_root.rstrip('/')}/{below_root(url)}"


def below_root(url: str) -> str:
    """Return an address without its scheme: the path below a mirror root."""
    return url.split("://", 1)[-1]


def is_loopback(url: str) -> bool:
    """Return whether an address is on this very machine, where no proxy may stand between."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
