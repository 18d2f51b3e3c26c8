"""The records of the embedded archive, in the shapes that EMDB and RCSB answer with.

Field names follow EMDB's JSON of its 3.0 schema and RCSB's Data API, as their public clients and
tests show them; what does not exist for a simulated map is left out rather than made up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gemmi
import numpy as np

from cryosamu.volume.volume import FileFrame, Volume

Json = dict[str, Any]

_AXES = {1: "X", 2: "Y", 3: "Z"}
_CUBIC_ANGSTROM_PER_DALTON = 1.21
_POLYMERS = {
    gemmi.PolymerType.PeptideL: ("polypeptide(L)", "Protein", "protein_or_peptide"),
    gemmi.PolymerType.Dna: ("polydeoxyribonucleotide", "DNA", "dna"),
    gemmi.PolymerType.Rna: ("polyribonucleotide", "RNA", "rna"),
}


@dataclass(frozen=True)
class Description:
    """What the records say that the files do not.

    Attributes
    ----------
    emdb_id, pdb_id, title, resolution (Å), method
        As in the archives.
    resolution_method, released
        Kind of resolution, and date of release (ISO); None where our sources do not tell.
    contour
        (level, source): source is AUTHOR, or SOFTWARE where the level was computed.
    simulation
        Parameters and seed of a simulated map; None for a real one.
    protein_only
        Name the proteins alone, whatever the model holds.
    """

    emdb_id: str
    pdb_id: str
    title: str
    resolution: float
    contour: tuple[float, str]
    method: str = "singleParticle"
    resolution_method: str | None = None
    released: str | None = None
    simulation: Mapping[str, Any] | None = None
    protein_only: bool = False


def emdb_entry(about: Description, structure: gemmi.Structure, volume: Volume) -> Json:
    """Return the record of an entry as `/emdb/api/entry/EMD-N` gives it."""
    entry: Json = {
        "emdb_id": about.emdb_id,
        "version": "3.0.2.8",
        "admin": {
            "current_status": {"code": {"valueOf_": "REL"}},
            "cryosamu_simulated": about.simulation is not None,
            "key_dates": (
                {"map_release": about.released, "update": about.released} if about.released else {}
            ),
            "title": about.title,
        },
        "crossreferences": {
            "pdb_list": {
                "pdb_reference": [
                    {
                        "instance_type": "pdb_reference",
                        "pdb_id": about.pdb_id.lower(),
                        "relationship": {"in_frame": "FULLOVERLAP"},
                    }
                ]
            }
        },
        "interpretation": {},
        "map": _map_section(about, volume),
        "sample": {
            "macromolecule_list": {
                "macromolecule": [
                    _macromolecule(entity, about) for entity in _polymers(structure, about)
                ]
            },
            "name": {"valueOf_": about.title},
        },
        "structure_determination_list": {"structure_determination": [_determination(about)]},
    }
    if about.simulation is not None:
        entry["cryosamu_simulation"] = dict(about.simulation)
    return entry


def rcsb_entry(about: Description, structure: gemmi.Structure, title: str) -> Json:
    """Return a model's object in the `entries` of an answer of RCSB's GraphQL."""
    polymers = _polymers(structure, about)
    kinds = [_POLYMERS[entity.polymer_type][1] for entity in polymers]
    deposited = sum(len(entity.full_sequence) * len(entity.subchains) for entity in polymers)
    return {
        "rcsb_id": about.pdb_id,
        "struct": {"title": title},
        "exptl": [{"method": value} for key, value in structure.info.items() if "exptl" in key],
        "rcsb_accession_info": {"revision_date": about.released},
        "rcsb_entry_container_identifiers": {
            "entry_id": about.pdb_id,
            "emdb_ids": [about.emdb_id],
        },
        "rcsb_entry_info": {
            "deposited_modeled_polymer_monomer_count": _modelled(structure, polymers),
            "deposited_polymer_monomer_count": deposited,
            "polymer_entity_count": len(kinds),
            "polymer_entity_count_DNA": kinds.count("DNA"),
            "polymer_entity_count_RNA": kinds.count("RNA"),
            "polymer_entity_count_nucleic_acid": len(kinds) - kinds.count("Protein"),
            "polymer_entity_count_protein": kinds.count("Protein"),
            "selected_polymer_entity_types": (
                "Protein (only)" if set(kinds) == {"Protein"} else "Protein/NA"
            ),
        },
        "polymer_entities": [_polymer_entity(entity, structure, about) for entity in polymers],
    }


def enclosing_level(volume: Volume, structure: gemmi.Structure) -> float:
    """Return the level that encloses the polymers' volume at 1.21 Å³ per dalton.

    Not below the lowest positive voxel: a segmented map is zero where it was not selected.
    """
    mass = sum(site.atom.element.weight for site in structure[0].all())
    voxels = mass * _CUBIC_ANGSTROM_PER_DALTON / float(np.prod(volume.voxel_size))
    share = min(voxels / volume.data.size, 1.0)
    lowest = volume.data[volume.data > 0].min()
    return float(f"{max(np.quantile(volume.data, 1 - share), lowest):.4g}")


def _polymers(structure: gemmi.Structure, about: Description) -> list[gemmi.Entity]:
    return [
        entity
        for entity in structure.entities
        if entity.entity_type == gemmi.EntityType.Polymer
        and (not about.protein_only or entity.polymer_type == gemmi.PolymerType.PeptideL)
    ]


def _modelled(structure: gemmi.Structure, polymers: list[gemmi.Entity]) -> int:
    spans = [structure[0].get_subchain(one) for entity in polymers for one in entity.subchains]
    return sum(span.length() for span in spans)


def _letters(entity: gemmi.Entity) -> str:
    names = [gemmi.Entity.first_mon(item) for item in entity.full_sequence]
    return "".join(
        code.upper() if code.strip() else "X"
        for code in (gemmi.find_tabulated_residue(name).one_letter_code for name in names)
    )


def _polymer_entity(entity: gemmi.Entity, structure: gemmi.Structure, about: Description) -> Json:
    kind, name, _ = _POLYMERS[entity.polymer_type]
    authors = [
        chain.name
        for chain in structure[0]
        if {residue.subchain for residue in chain} & set(entity.subchains)
    ]
    sequence = _letters(entity)
    return {
        "rcsb_id": f"{about.pdb_id}_{entity.name}",
        "entity_poly": {
            "type": kind,
            "rcsb_entity_polymer_type": name,
            "rcsb_sample_sequence_length": len(sequence),
            "pdbx_seq_one_letter_code_can": sequence,
            "pdbx_strand_id": ",".join(authors),
        },
        "rcsb_polymer_entity_container_identifiers": {
            "entry_id": about.pdb_id,
            "entity_id": entity.name,
            "asym_ids": list(entity.subchains),
            "auth_asym_ids": authors,
        },
    }


def _macromolecule(entity: gemmi.Entity, about: Description) -> Json:
    return {
        "instance_type": _POLYMERS[entity.polymer_type][2],
        "macromolecule_id": int(entity.name),
        "name": {"valueOf_": f"{about.pdb_id} entity {entity.name}"},
        "number_of_copies": str(len(entity.subchains)),
        "sequence": {"string": _letters(entity)},
    }


def _determination(about: Description) -> Json:
    return {
        "aggregation_state": "filament" if about.method == "helical" else "particle",
        "instance_type": "structure_determination",
        "method": about.method,
        "structure_determination_id": 1,
        "image_processing": [
            {
                "image_processing_id": 1,
                "instance_type": f"{about.method.lower()}_processing",
                "final_reconstruction": {
                    "resolution": {
                        "res_type": "BY AUTHOR",
                        "units": "Å",
                        "valueOf_": f"{about.resolution:g}",
                    },
                    "resolution_method": about.resolution_method,
                },
            }
        ],
    }


def _map_section(about: Description, volume: Volume) -> Json:
    frame = volume.frame
    if frame is None:
        raise ValueError("the record of a map needs its header")
    columns, rows, sections = (volume.data.shape[3 - axis] for axis in frame.axis_order)
    level, source = about.contour
    x, y, z = volume.voxel_size
    return {
        "axis_order": dict(
            zip(("fast", "medium", "slow"), (_AXES[one] for one in frame.axis_order), strict=True)
        ),
        "cell": _cell(frame),
        "contour_list": {
            "contour": [
                {"instance_type": "contour", "level": level, "primary": True, "source": source}
            ]
        },
        "data_type": "IMAGE STORED AS FLOATING POINT NUMBER (4 BYTES)",
        "dimensions": {"col": columns, "row": rows, "sec": sections},
        "file": f"{about.emdb_id.lower().replace('-', '_')}.map.gz",
        "format": "CCP4",
        "label": f"::::EMDATABANK.org::::{about.emdb_id}::::",
        "origin": dict(zip(("col", "row", "sec"), frame.nstart, strict=True)),
        "pixel_spacing": {
            name: {"units": "Å", "valueOf_": f"{value:.6g}"}
            for name, value in zip("xyz", (x, y, z), strict=True)
        },
        "size_kbytes": (1024 + 4 * volume.data.size) // 1000,
        "spacing": dict(zip("xyz", frame.sampling, strict=True)),
        "statistics": {
            "average": float(f"{volume.data.mean():.6g}"),
            "maximum": float(f"{volume.data.max():.6g}"),
            "minimum": float(f"{volume.data.min():.6g}"),
            "std": float(f"{volume.data.std():.6g}"),
        },
        "symmetry": {"space_group": str(frame.space_group)},
    }


def _cell(frame: FileFrame) -> Json:
    lengths = {
        name: {"units": "Å", "valueOf_": f"{value:.6g}"}
        for name, value in zip("abc", frame.cell, strict=True)
    }
    angles = {name: {"units": "deg", "valueOf_": "90.0"} for name in ("alpha", "beta", "gamma")}
    return lengths | angles
