"""Settings of what enhanced maps are held against, and how that is told."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from cryosamu.config.section import Section

OutsideMethod = Literal["emready", "deepemhancer", "cryoten", "resolve_cryo_em"]


class OutsideSettings(Section):
    """A method that somebody else's program is: how it is run, or where its finished maps lie."""

    program: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    finished: Annotated[str, Field(pattern=r"^[^{}]*(\{emdb_id\}[^{}]*)?$")] | None = None


class EvaluationSettings(Section):
    """What enhanced maps are held against."""

    methods: tuple[
        Literal["deposited", "low_pass", "low_pass_masked", "sharpened", "locally_sharpened",
                "enhanced", "enhanced_no_structure", "enhanced_permuted", "enhanced_another",
                "enhanced_predicted"]
        | OutsideMethod, ...
    ] = (
        "deposited", "low_pass", "low_pass_masked", "sharpened", "locally_sharpened", "enhanced",
        "enhanced_no_structure",
    )  # fmt: skip
    sharpening_b_factor: Annotated[float, Field(ge=-1000, le=1000)] = -60.0
    outside: dict[OutsideMethod, OutsideSettings] = Field(default_factory=dict)
    predicted_models: Annotated[str, Field(pattern=r"^[^{}]*\{emdb_id\}[^{}]*$")] | None = None

    def outside_of(self, method: str) -> OutsideSettings:
        """Return how another's program is run: as the defaults say where nothing else is said."""
        named: dict[str, OutsideSettings] = {
            str(name): value for name, value in self.outside.items()
        }
        return named.get(method, OutsideSettings())

    @model_validator(mode="after")
    def _models_for_prediction(self) -> EvaluationSettings:
        if "enhanced_predicted" in self.methods and self.predicted_models is None:
            raise ValueError("enhanced_predicted needs predicted_models")
        return self


class ReportSettings(Section):
    """What the report says of the run as a whole."""

    title: str = "CryoSAMU"
    note: str = ""
    viewers: Annotated[int, Field(ge=0, le=1000)] = 24
