"""What EMDB is expected to answer: each answer is checked against these before use."""

from __future__ import annotations

import json
import re
from functools import cache
from hashlib import sha256
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from cryosamu.archive.client import RefusalError
from cryosamu.archive.urls import FILE_NAME, PDB_ID


def _as_list(value: Any) -> Any:
    """The archive writes a list of one as the one, and an empty one as null."""
    return value if isinstance(value, list) else [] if value is None else [value]


def _as_section(value: Any) -> Any:
    """The archive writes an empty section as null."""
    return {} if value is None else value


def _blank_is_none(value: Any) -> Any:
    return None if isinstance(value, str) and not value.strip() else value


def _as_words(value: Any) -> Any:
    """Split a list that CSV holds as text, however the archive writes its brackets and commas."""
    return re.findall(r"\w+", value.upper()) if isinstance(value, str) else value


def _as_file_names(value: Any) -> Any:
    return re.findall(r"[^\s,;'\"\[\]]+", value) if isinstance(value, str) else value


PdbId = Annotated[str, Field(pattern=f"^(?:{PDB_ID})$")]
EmdbId = Annotated[str, Field(pattern=r"^EMD-\d{4,6}$")]
FileName = Annotated[str, Field(pattern=f"^{FILE_NAME}$")]
Number = Annotated[float, Field(allow_inf_nan=False)]
OptionalNumber = Annotated[Number | None, BeforeValidator(_blank_is_none)]
OptionalCount = Annotated[int | None, Field(ge=0)]
OptionalText = Annotated[str | None, BeforeValidator(_blank_is_none)]


class Answer(BaseModel):
    """A part of an answer: fields that we do not read may come and go."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)


class SearchRow(Answer):
    """One row of the EMDB search; absent values are empty in its CSV."""

    emdb_id: EmdbId
    title: OptionalText
    current_status: OptionalText
    structure_determination_method: OptionalText
    resolution: OptionalNumber
    fitted_pdbs: Annotated[list[PdbId], BeforeValidator(_as_words)]
    resolution_method: OptionalText = None
    map_release_date: OptionalText = None
    update_date: OptionalText = None
    obsolete_date: OptionalText = None
    map_pixel_spacing_x: OptionalNumber = None
    half_map_filename: Annotated[list[FileName], BeforeValidator(_as_file_names)] = []


class _Measure(Answer):
    value: OptionalNumber = Field(default=None, alias="valueOf_")


class _PixelSpacing(Answer):
    x: _Measure


class _Dimensions(Answer):
    col: OptionalCount = None
    row: OptionalCount = None
    sec: OptionalCount = None


class _Contour(Answer):
    primary: bool = False
    level: OptionalNumber = None


class _ContourList(Answer):
    contour: Annotated[list[_Contour], BeforeValidator(_as_list)] = []


class _MapSection(Answer):
    file: FileName | None = None
    size_kbytes: OptionalNumber = None
    dimensions: Annotated[_Dimensions, BeforeValidator(_as_section)] = _Dimensions()
    pixel_spacing: _PixelSpacing | None = None
    contour_list: Annotated[_ContourList, BeforeValidator(_as_section)] = _ContourList()


class _HalfMap(Answer):
    file: FileName
    size_kbytes: OptionalNumber = None


class _HalfMapList(Answer):
    half_map: Annotated[list[_HalfMap], BeforeValidator(_as_list)] = []


class _Interpretation(Answer):
    half_map_list: Annotated[_HalfMapList, BeforeValidator(_as_section)] = _HalfMapList()


class _Successor(Answer):
    entry: EmdbId


class _Successors(Answer):
    entry: Annotated[list[_Successor], BeforeValidator(_as_list)] = []


class _Admin(Answer):
    cryosamu_simulated: bool = False
    superseded_by_list: Annotated[_Successors, BeforeValidator(_as_section)] = _Successors()
    obsolete_list: Annotated[_Successors, BeforeValidator(_as_section)] = _Successors()


class EmdbEntry(Answer):
    """The record of an EMDB entry, as far as the catalogue needs it."""

    emdb_id: str
    admin: _Admin
    map: _MapSection
    interpretation: Annotated[_Interpretation, BeforeValidator(_as_section)] = _Interpretation()

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
    def half_maps(self) -> list[_HalfMap]:
        """File and size of each half map."""
        return self.interpretation.half_map_list.half_map

    @property
    def successors(self) -> list[str]:
        """Entries that took an obsolete one's place.

        Schema 3.0 has them under `superseded_by_list`; clients also read `obsolete_list` so.
        """
        lists = self.admin.superseded_by_list, self.admin.obsolete_list
        named = next((one.entry for one in lists if one.entry), [])
        return [one.entry for one in named if one.entry != self.emdb_id]


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


@cache
def shape_of(kind: type[Answer]) -> str:
    """Return a short digest of what is read of an answer: kept answers of another shape are not."""
    schema = json.dumps(kind.model_json_schema(), sort_keys=True)
    return sha256(schema.encode()).hexdigest()[:12]
