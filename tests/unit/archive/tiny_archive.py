"""A folder of the embedded archive's layout, with a few small entries."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path
from typing import Any

import pandas as pd

ENTRIES = "www.ebi.ac.uk/emdb/api/entry"
MAPS = "ftp.ebi.ac.uk/pub/databases/emdb/structures"
MODELS = "files.rcsb.org/download"
DESCRIPTIONS = "data.rcsb.org/graphql"
REMOVED = "data.rcsb.org/rest/v1/holdings/removed"


def incompressible(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


def entry(identifier: str, **changes: Any) -> dict[str, Any]:
    """Return an entry's record, shaped as EMDB's."""
    values = {
        "title": f"Protein {identifier}",
        "status": "REL",
        "method": "singleParticle",
        "resolution": "5.2",
        "pdb": ["1abc"],
        "half_maps": 2,
        "simulated": None,
        "obsolete": None,
        "successors": [],
    } | changes
    number = identifier.removeprefix("EMD-")
    record: dict[str, Any] = {
        "emdb_id": identifier,
        "admin": {
            "title": values["title"],
            "current_status": {"code": {"valueOf_": values["status"]}, "processing_site": "PDBe"},
            "key_dates": {"map_release": "2020-03-04T00:00:00", "update": "2021-05-06T00:00:00"},
        },
        "crossreferences": {
            "pdb_list": {"pdb_reference": [{"pdb_id": one} for one in values["pdb"]]}
        },
        "map": {
            "file": f"emd_{number}.map.gz",
            "size_kbytes": 33,
            "dimensions": {"col": 16, "row": 20, "sec": 24},
            "pixel_spacing": {axis: {"units": "Å", "valueOf_": "1.35"} for axis in "xyz"},
            "contour_list": {
                "contour": [
                    {"level": 0.5, "primary": False},
                    {"level": 0.02, "primary": True, "source": "AUTHOR"},
                ]
            },
        },
        "interpretation": {
            "half_map_list": {
                "half_map": [
                    {"file": f"emd_{number}_half_map_{n + 1}.map.gz", "size_kbytes": 32}
                    for n in range(values["half_maps"])
                ]
            }
        },
        "structure_determination_list": {
            "structure_determination": [
                {
                    "method": values["method"],
                    "image_processing": [
                        {
                            "final_reconstruction": {
                                "resolution": {"units": "Å", "valueOf_": values["resolution"]},
                                "resolution_method": "FSC 0.143 CUT-OFF",
                            }
                        }
                    ],
                }
            ]
        },
    }
    if values["simulated"] is not None:
        record["admin"]["cryosamu_simulated"] = values["simulated"]
    if values["obsolete"] is not None:
        record["admin"]["key_dates"]["obsolete"] = values["obsolete"]
        record["admin"]["superseded_by_list"] = {
            "entry": [{"entry": one} for one in values["successors"]]
        }
    return record


def sequence(residues: int) -> str:
    return ("ACDEFGHIKLMNPQRSTVWY" * (residues // 20 + 1))[:residues]


def description(
    identifier: str, *polymers: tuple[str, int, int], maps: tuple[str, ...] = (), modelled: int = 0
) -> dict[str, Any]:
    """Return RCSB's description of a model: (type, residues, copies) a polymer entity.

    `maps` it was built from, with coordinates for so many `modelled` residues.
    """
    return {
        "rcsb_id": identifier,
        "rcsb_accession_info": {"revision_date": "2022-07-08T00:00:00Z"},
        "rcsb_entry_container_identifiers": {"emdb_ids": list(maps) or None},
        "rcsb_entry_info": {"deposited_modeled_polymer_monomer_count": modelled},
        "polymer_entities": [
            {
                "entity_poly": {
                    "rcsb_entity_polymer_type": kind,
                    "rcsb_sample_sequence_length": residues,
                    "pdbx_seq_one_letter_code_can": sequence(residues),
                },
                "rcsb_polymer_entity_container_identifiers": {
                    "asym_ids": [chr(ord("A") + copy) for copy in range(copies)]
                },
            }
            for kind, residues, copies in polymers
        ],
    }


def removal(identifier: str, *successors: str) -> dict[str, Any]:
    """Return RCSB's word on a model that was removed."""
    return {
        "rcsb_id": identifier,
        "rcsb_repository_holdings_removed": {
            "status_code": "OBS",
            "remove_date": "2021-01-01T00:00:00Z",
            **({"id_codes_replaced_by": list(successors)} if successors else {}),
        },
    }


def told(column: pd.Series) -> list[Any]:
    """Return a column's values with None for all kinds of null."""
    return [None if pd.isna(value) else value for value in column]


class TinyArchive:
    """Writes entries, maps, models and descriptions below a root."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / ENTRIES).mkdir(parents=True)

    def write(self, path: str, content: bytes | dict[str, Any] | list[str]) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        file.write_bytes(data)
        return file

    def add_entry(self, identifier: str, **changes: Any) -> None:
        self.write(f"{ENTRIES}/{identifier}.json", entry(identifier, **changes))

    def add_description(
        self, identifier: str, *polymers: tuple[str, int, int], **more: Any
    ) -> None:
        self.write(f"{DESCRIPTIONS}/{identifier}.json", description(identifier, *polymers, **more))

    def add_removal(self, identifier: str, *successors: str) -> None:
        self.write(f"{REMOVED}/{identifier}.json", removal(identifier, *successors))

    def add_map(self, identifier: str, content: bytes) -> bytes:
        """Write a map file and return its compressed bytes."""
        data = gzip.compress(content, mtime=0)
        name = identifier.lower().replace("-", "_")
        self.write(f"{MAPS}/{identifier}/map/{name}.map.gz", data)
        return data

    def add_model(self, identifier: str, content: bytes) -> bytes:
        data = gzip.compress(content, mtime=0)
        self.write(f"{MODELS}/{identifier}.cif.gz", data)
        return data
