"""What the archives are expected to answer: each answer is checked against these before use."""

from __future__ import annotations

import re
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from cryosamu.archive.client import RefusalError
from cryosamu.archive.urls import PDB_ID


def _as_list(value: Any) -> Any:
    """The archive writes a list of one as the one."""
    return value if isinstance(value, list) else [value]


def _blank_is_none(value: Any) -> Any:
    return None if isinstance(value, str) and not value.strip() else value


def _as_words(value: Any) -> Any:
    """Split a list that CSV holds as text, however the archive writes its brackets and commas."""
    return re.findall(r"\w+", value.upper()) if isinstance(value, str) else value


PdbId = Annotated[str, Field(pattern=f"^(?:{PDB_ID})$")]
Number = Annotated[float, Field(allow_inf_nan=False)]
OptionalNumber = Annotated[Number | None, BeforeValidator(_blank_is_none)]
OptionalText = Annotated[str | None, BeforeValidator(_blank_is_none)]


class Answer(BaseModel):
    """A part of an answer: fields that we do not read may come and go."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class SearchRow(Answer):
    """One row of the EMDB search; absent values are empty in its CSV."""

    emdb_id: Annotated[str, Field(pattern=r"^EMD-\d{4,6}$")]
    title: OptionalText
    current_status: OptionalText
    structure_determination_method: OptionalText
    resolution: OptionalNumber
    resolution_method: OptionalText
    map_release_date: OptionalText
    fitted_pdbs: Annotated[list[PdbId], BeforeValidator(_as_words)]


class _Measure(Answer):
    value: OptionalNumber = Field(alias="valueOf_")


class _PixelSpacing(Answer):
    x: _Measure


class _Contour(Answer):
    primary: bool = False
    level: OptionalNumber = None


class _ContourList(Answer):
    contour: Annotated[list[_Contour], BeforeValidator(_as_list)] = []


class _MapSection(Answer):
    file: OptionalText = None
    size_kbytes: OptionalNumber = None
    pixel_spacing: _PixelSpacing | None = None
    contour_list: _ContourList = _ContourList()


class _HalfMapList(Answer):
    half_map: Annotated[list[dict[str, Any]], BeforeValidator(_as_list)] = []


class _Interpretation(Answer):
    half_map_list: _HalfMapList = _HalfMapList()


class _Admin(Answer):
    cryosamu_simulated: bool = False


class EmdbEntry(Answer):
    """The record of an EMDB entry, as far as the catalogue needs it."""

    emdb_id: str
    admin: _Admin
    map: _MapSection
    interpretation: _Interpretation = _Interpretation()

    @property
    def simulated(self) -> bool:
        """Whether the entry says that it was made by our own generator, not by a microscope."""
        return self.admin.cryosamu_simulated

    @property
    def voxel_size(self) -> float | None:
        """Voxel edge along x in Å."""
        return None if self.map.pixel_spacing is None else self.map.pixel_spacing.x.value

    @property
    def contour_level(self) -> float | None:
        """The depositors' recommended level: the primary contour, else the first with a level."""
        levelled = [one for one in self.map.contour_list.contour if one.level is not None]
        levelled.sort(key=lambda one: not one.primary)
        return levelled[0].level if levelled else None

    @property
    def half_maps(self) -> int:
        """Number of half maps."""
        return len(self.interpretation.half_map_list.half_map)


class _EntityPolymer(Answer):
    kind: str = Field(alias="rcsb_entity_polymer_type")
    residues: int = Field(alias="rcsb_sample_sequence_length", ge=0)


class _EntityIdentifiers(Answer):
    asym_ids: list[str]


class PolymerEntity(Answer):
    """One polymer of a model: its kind, the length of its sequence and its copies."""

    polymer: _EntityPolymer = Field(alias="entity_poly")
    identifiers: _EntityIdentifiers = Field(alias="rcsb_polymer_entity_container_identifiers")


class RcsbEntry(Answer):
    """A PDB entry's polymers as RCSB describes them."""

    rcsb_id: str
    polymer_entities: list[PolymerEntity] | None = None


class _RcsbEntries(Answer):
    entries: list[dict[str, Any] | None]


class RcsbAnswer(Answer):
    """RCSB's answer to the batched question; its entries are checked one by one."""

    data: _RcsbEntries


Checked = TypeVar("Checked", bound=Answer)


def check_answer(kind: type[Checked], value: Any, url: str) -> Checked:
    """Return `value` as a checked `kind`.

    Raises
    ------
    RefusalError
        Naming the address, the first field that is not as expected, and why.
    """
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        fault = error.errors()[0]
        field = ".".join(str(part) for part in fault["loc"]) or "the whole answer"
        reason = fault["msg"][0].lower() + fault["msg"][1:]
        raise RefusalError(f"{url}: '{field}' is not as expected ({reason}).") from error
