"""What RCSB is expected to answer about models, and the little that is kept of it in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from cryosamu.archive.answers import Answer, OptionalCount, OptionalText, PdbId

_NUCLEIC = frozenset({"DNA", "RNA", "NA-hybrid"})


def _upper(value: Any) -> Any:
    return value.upper() if isinstance(value, str) else value


def _null_is_empty(value: Any) -> Any:
    return [] if value is None else value


UpperPdbId = Annotated[PdbId, BeforeValidator(_upper)]


class _EntityPolymer(Answer):
    kind: str = Field(alias="rcsb_entity_polymer_type")
    residues: int = Field(alias="rcsb_sample_sequence_length", ge=0)
    sequence: OptionalText = Field(default=None, alias="pdbx_seq_one_letter_code_can")


class _EntityIdentifiers(Answer):
    asym_ids: list[str]


class PolymerEntity(Answer):
    """One polymer of a model: its kind, the length of its sequence and its copies."""

    polymer: _EntityPolymer = Field(alias="entity_poly")
    identifiers: _EntityIdentifiers = Field(alias="rcsb_polymer_entity_container_identifiers")


class _Accession(Answer):
    revision_date: OptionalText = None


class _EntryIdentifiers(Answer):
    emdb_ids: Annotated[list[str], BeforeValidator(_null_is_empty)] = Field(default=[])


class _EntryInfo(Answer):
    modelled: OptionalCount = Field(default=None, alias="deposited_modeled_polymer_monomer_count")


class RcsbEntry(Answer):
    """A PDB entry as RCSB's GraphQL describes it."""

    rcsb_id: UpperPdbId
    accession: _Accession | None = Field(default=None, alias="rcsb_accession_info")
    identifiers: _EntryIdentifiers | None = Field(
        default=None, alias="rcsb_entry_container_identifiers"
    )
    info: _EntryInfo | None = Field(default=None, alias="rcsb_entry_info")
    polymer_entities: list[PolymerEntity] | None = None


class _RcsbEntries(Answer):
    entries: list[dict[str, Any] | None]


class RcsbAnswer(Answer):
    """RCSB's answer to the batched question; its entries are checked one by one."""

    data: _RcsbEntries


class _Removal(Answer):
    replaced_by: Annotated[list[UpperPdbId], BeforeValidator(_null_is_empty)] = Field(
        default=[], alias="id_codes_replaced_by"
    )


class RemovedModel(Answer):
    """What became of a model that the PDB made obsolete."""

    removal: _Removal = Field(alias="rcsb_repository_holdings_removed")


class _Hit(Answer):
    identifier: UpperPdbId


class SearchHits(Answer):
    """One page of RCSB's search."""

    total_count: int = Field(ge=0)
    result_set: list[_Hit]


@dataclass(frozen=True, slots=True)
class Model:
    """A model as the catalogue tells of it.

    Attributes
    ----------
    maps
        EMDB ids of the maps that it was built from.
    modelled_residues
        Polymer residues that have coordinates, over all copies; None where RCSB is silent.
    polymer_types
        Kinds of polymer, sorted, joined by semicolons.
    protein_entities, nucleic_entities, other_entities
        Polymer entities by kind; copies of a chain count once.
    deposited_residues
        Length of the sequences over all copies.
    sequences
        One-letter sequences of the protein entities, joined by semicolons; None where there are
        none, or where one lacks.
    """

    pdb_id: str
    revision_date: str | None
    maps: tuple[str, ...]
    modelled_residues: int | None
    polymer_types: str
    protein_entities: int
    nucleic_entities: int
    other_entities: int
    deposited_residues: int
    sequences: str | None


def model_of(entry: RcsbEntry) -> Model:
    """Return what is kept of RCSB's description."""
    entities = entry.polymer_entities or []
    kinds = [entity.polymer.kind for entity in entities]
    sequences = [
        "".join((entity.polymer.sequence or "").split())
        for entity in entities
        if entity.polymer.kind == "Protein"
    ]
    nucleic = sum(kind in _NUCLEIC for kind in kinds)
    revised = entry.accession and entry.accession.revision_date
    return Model(
        pdb_id=entry.rcsb_id,
        revision_date=revised[:10] if revised else None,
        maps=tuple(entry.identifiers.emdb_ids) if entry.identifiers else (),
        modelled_residues=entry.info.modelled if entry.info else None,
        polymer_types=";".join(sorted(set(kinds))),
        protein_entities=len(sequences),
        nucleic_entities=nucleic,
        other_entities=len(kinds) - len(sequences) - nucleic,
        deposited_residues=sum(
            entity.polymer.residues * len(entity.identifiers.asym_ids) for entity in entities
        ),
        sequences=";".join(sequences) if sequences and all(sequences) else None,
    )
