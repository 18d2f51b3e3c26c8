"""Every address that is asked of an archive, in one place, easy to correct.

The shapes were read from public clients of EMDB and RCSB. A mirror root replaces `https://` by
its own address: `https://HOST/PATH` is asked as `MIRROR_ROOT/HOST/PATH`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from cryosamu.config import ArchiveSettings, CatalogueSettings
from cryosamu.errors import ArchiveError

REQUIRED_FIELDS = (
    "emdb_id",
    "title",
    "current_status",
    "structure_determination_method",
    "resolution",
    "fitted_pdbs",
)
"""The columns of the EMDB search that there is no catalogue without."""

SEARCH_FIELDS = (
    *REQUIRED_FIELDS,
    "resolution_method",
    "map_release_date",
    "update_date",
    "obsolete_date",
    "map_pixel_spacing_x",
    "half_map_filename",
)
"""All columns asked of the EMDB search; what it does not hold is in the entry's own record."""

PDB_ID = "[A-Z0-9]{4}|PDB_[A-Z0-9]{8}"
"""Classic and extended PDB ids, in upper case."""

FILE_NAME = r"\w[\w.-]*"
"""What a file of an entry may be called: no path, nothing hidden."""

RCSB_QUERY = """query ($ids: [String!]!) {
  entries(entry_ids: $ids) {
    rcsb_id
    rcsb_accession_info { revision_date }
    rcsb_entry_container_identifiers { emdb_ids }
    rcsb_entry_info { deposited_modeled_polymer_monomer_count }
    polymer_entities {
      entity_poly {
        rcsb_entity_polymer_type
        rcsb_sample_sequence_length
        pdbx_seq_one_letter_code_can
      }
      rcsb_polymer_entity_container_identifiers { asym_ids }
    }
  }
}"""

MODELS_OF_MAPS = "rcsb_entry_container_identifiers.emdb_ids"
"""RCSB's attribute for the maps that a model was built from."""


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
    return f'current_status:"REL" AND {_candidates(settings)}'


def obsolete_query(settings: CatalogueSettings) -> str:
    """Return the Solr query for maps that would be candidates, had they not been made obsolete."""
    return f"obsolete_date:[* TO *] AND {_candidates(settings)}"


def _candidates(settings: CatalogueSettings) -> str:
    window = settings.resolution
    return (
        f'structure_determination_method:"{settings.method}"'
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


def half_map_urls(settings: ArchiveSettings, identifier: str, name: str) -> list[str]:
    """Return the addresses of a half map that the entry calls `name`, one a mirror.

    Raises
    ------
    ArchiveError
        When `name` is not a plain file name.
    """
    if re.fullmatch(FILE_NAME, name) is None:
        raise ArchiveError(
            f"{identifier}: '{name}' is not the name of a half map; look at the entry's record."
        )
    return [f"{base}/{identifier}/other/{name}" for base in settings.emdb_files]


def map_file_name(identifier: str) -> str:
    """Return the file name of an entry's main map: EMD-3488 has emd_3488.map.gz."""
    return f"{identifier.lower().replace('-', '_')}.map.gz"


def model_urls(settings: ArchiveSettings, identifier: str) -> list[str]:
    """Return the addresses of a model's compressed mmCIF file."""
    return [f"{settings.rcsb_files}/{model_file_name(identifier)}"]


def model_file_name(identifier: str) -> str:
    """Return the file name of a model."""
    return f"{identifier}.cif.gz"


def removed_model_url(settings: ArchiveSettings, identifier: str) -> str:
    """Return the address where RCSB says what became of a model that was removed."""
    return f"{settings.rcsb_holdings}/removed/{identifier}"


def models_of_maps_query(maps: Sequence[str], start: int, rows: int) -> dict[str, Any]:
    """Return the JSON that asks RCSB's search for the models built from any of some maps."""
    return {
        "query": {
            "type": "terminal",
            "service": "text",
            "parameters": {"attribute": MODELS_OF_MAPS, "operator": "in", "value": list(maps)},
        },
        "return_type": "entry",
        "request_options": {
            "paginate": {"start": start, "rows": rows},
            "sort": [{"sort_by": "rcsb_id", "direction": "asc"}],
        },
    }


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
