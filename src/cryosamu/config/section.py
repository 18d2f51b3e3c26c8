"""What all groups of settings share: their types and how strictly they are read."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

Fraction = Annotated[float, Field(ge=0, le=1)]
Angstrom = Annotated[float, Field(gt=0, le=1000)]
Count = Annotated[int, Field(ge=1)]
Weight = Annotated[float, Field(ge=0, le=1000)]


class Section(BaseModel):
    """A group of settings: unknown keys are refused, values are fixed once read."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)

    @field_validator("*", mode="before")
    @classmethod
    def _truth_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse YAML's yes, no, on and off where they would be taken for 1 and 0."""
        field = cls.model_fields[str(info.field_name)]
        if isinstance(value, bool) and field.annotation is not bool:
            raise ValueError("input should not be true or false")
        return value
