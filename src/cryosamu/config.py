"""The recipe's settings: their names, types, ranges and defaults, checked before anything runs.

The defaults are the paper's recipe; `config.yaml` states the same values with their reasons.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from cryosamu.errors import ConfigError
from cryosamu.files import require_file

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


class ArchiveSettings(Section):
    """Where the archives are and how politely they are asked."""

    mirror_root: str | None = None
    emdb_api: str = "https://www.ebi.ac.uk/emdb/api"
    emdb_files: Annotated[tuple[str, ...], Field(min_length=1)] = (
        "https://ftp.ebi.ac.uk/pub/databases/emdb/structures",
        "https://files.rcsb.org/pub/emdb/structures",
        "https://ftp.pdbj.org/pub/emdb/structures",
    )
    rcsb_search: str = "https://search.rcsb.org/rcsbsearch/v2/query"
    rcsb_data: str = "https://data.rcsb.org/graphql"
    rcsb_holdings: str = "https://data.rcsb.org/rest/v1/holdings"
    rcsb_files: str = "https://files.rcsb.org/download"
    timeout_seconds: Annotated[float, Field(gt=0, le=3600)] = 60.0
    retries: Annotated[int, Field(ge=0, le=20)] = 5
    seconds_between_requests: Annotated[float, Field(ge=0, le=60)] = 0.5
    maximum_map_gigabytes: Annotated[float, Field(gt=0, le=100)] = 4.0
    retry_failed: bool = True
    model_lists: Annotated[int, Field(ge=1, le=1000)] = 32


class ResolutionWindow(Section):
    """Reported resolutions that are let through, in Å, both ends included."""

    minimum: Angstrom = 4.0
    maximum: Angstrom = 8.0

    @model_validator(mode="after")
    def _ordered(self) -> ResolutionWindow:
        if self.minimum > self.maximum:
            raise ValueError(f"minimum {self.minimum} is above maximum {self.maximum}")
        return self


class CatalogueSettings(Section):
    """Which candidates are asked of the archive."""

    snapshot: Annotated[str, Field(pattern=r"^\w[\w.-]*$")] = "2026-11-22"
    locked: str | None = None
    method: str = "singleParticle"
    resolution: ResolutionWindow = ResolutionWindow(minimum=2.0, maximum=10.0)
    full_records: Literal["needed", "all"] = "needed"


class CompositionSettings(Section):
    """What a model must be made of."""

    protein_only: bool = True
    minimum_residues: Count = 30


class CompletenessSettings(Section):
    """How much of the deposited sequence a model must show."""

    minimum: Fraction = 0.7


class ClusteringSettings(Section):
    """Sequence clustering, after which one entry a cluster is kept."""

    identity: Fraction = 0.3
    coverage: Fraction = 0.8
    candidates: Count = 1
    exhaustive_sequences: Annotated[int, Field(ge=0)] = 20_000


class AlignmentSettings(Section):
    """How far a model may sit from where it fits its map best, and what becomes of it then."""

    # Below 0.25 Å the better pose is not measured.
    maximum_displacement: Annotated[float, Field(ge=0.25, le=1000)] = 0.75
    minimum_significance: Annotated[float, Field(ge=0, le=10_000)] = 22.5
    repair: bool = False
    minimum_inside: Fraction = 0.95


class CorrelationSettings(Section):
    """The map-model correlation that a pair must reach."""

    kind: Literal["cc_mask", "cc_box", "cc_volume", "cc_peaks"] = "cc_mask"
    minimum: Annotated[float, Field(ge=-1, le=1)] = 0.65


class CurationSettings(Section):
    """The filters, cheapest first."""

    methods: tuple[str, ...] = ("singleParticle",)
    resolution: ResolutionWindow = ResolutionWindow()
    composition: CompositionSettings = CompositionSettings()
    completeness: CompletenessSettings = CompletenessSettings()
    clustering: ClusteringSettings = ClusteringSettings()
    alignment: AlignmentSettings = AlignmentSettings()
    correlation: CorrelationSettings = CorrelationSettings()


class SplitSettings(Section):
    """Shares of the components of similar entries in each split, met in each resolution stratum."""

    train: Fraction = 0.65
    validation: Fraction = 0.15
    test: Fraction = 0.20
    strata: tuple[Angstrom, ...] = (4.5, 5.5, 6.5)
    seed: Annotated[int, Field(ge=0)] = 2024
    pinned: dict[str, Literal["train", "validation", "test"]] = {}

    @model_validator(mode="after")
    def _whole(self) -> SplitSettings:
        total = self.train + self.validation + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(f"train, validation and test add up to {total:g}, not 1")
        if list(self.strata) != sorted(set(self.strata)):
            raise ValueError("the bounds in strata do not rise")
        return self


class PoolingSettings(Section):
    """How per-chain embeddings become L structure tokens."""

    tokens: Annotated[int, Field(ge=1, le=4096)] = 256
    importance: Literal["column_mean", "literal"] = "column_mean"
    scaled: bool = True
    renormalised: bool = True


class EmbeddingSettings(Section):
    """The structure encoder and the pooling of what it says."""

    backend: Literal["esm_if1", "protein_mpnn"] = "esm_if1"
    weights: str | None = None
    cache: str | None = None
    store: str | None = None
    mode: Literal["per_chain", "complex"] = "per_chain"
    precision: Literal["float32", "bfloat16"] = "float32"
    copies: Literal["once", "each"] = "once"
    device: str = "auto"
    pooling: PoolingSettings = PoolingSettings()


class TargetSettings(Section):
    """The simulated map that the network is trained towards."""

    sigma_rule: Literal["cryoten", "tempy", "chimerax", "eman"] = "cryoten"
    maximum_resolution: Angstrom = 4.0


class PreparationSettings(Section):
    """How a map is brought to the network."""

    voxel_size: Annotated[float, Field(ge=0.5, le=4)] = 1.0
    percentile: Annotated[float, Field(gt=50, le=100)] = 99.999
    target: TargetSettings = TargetSettings()


class NetworkSettings(Section):
    """The network's name and size."""

    name: Literal["reference", "compact"] = "reference"
    base_channels: Annotated[int, Field(ge=4, le=256)] = 32
    multipliers: Annotated[tuple[Count, ...], Field(min_length=1)] = (1, 2, 2, 4)
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2


class LossSettings(Section):
    """Weights of the losses that are summed; 0 leaves one out."""

    smooth_l1: Weight = 1.0
    ssim: Weight = 0.0
    fourier_shell: Weight = 0.0

    @model_validator(mode="after")
    def _something(self) -> LossSettings:
        if not (self.smooth_l1 or self.ssim or self.fourier_shell):
            raise ValueError("no loss has a weight above 0, so there is nothing to learn from")
        return self


class AugmentationSettings(Section):
    """How far the maps of training crops are changed at random; 0 leaves them as they are."""

    intensity: Fraction = 0.0
    b_factor: Annotated[float, Field(ge=0, le=200)] = 0.0


class TrainingSettings(Section):
    """How the network is trained."""

    run: Annotated[str, Field(pattern=r"^[\w-]+$")] = "main"
    steps: Count = 60_000
    update_steps: Count = 6_000
    batch_size: Count = 4
    accumulation: Count = 1
    crop: Annotated[int, Field(ge=16, le=256, multiple_of=8)] = 48
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 5e-4
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.01
    gradient_norm: Annotated[float, Field(gt=0)] = 1.0
    schedule: Literal["plateau", "cosine", "constant"] = "plateau"
    warm_up_steps: Annotated[int, Field(ge=0)] = 0
    plateau_factor: Annotated[float, Field(gt=0, lt=1)] = 0.5
    plateau_patience: Count = 4
    averaging: Annotated[float, Field(ge=0, lt=1)] = 0.0
    validate_every: Count = 500
    early_stopping: Annotated[int, Field(ge=0)] = 0
    losses: LossSettings = LossSettings()
    augmentation: AugmentationSettings = AugmentationSettings()
    embedding_dropout: Fraction = 0.3
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    seed: Annotated[int, Field(ge=0)] = 2024
    device: str = "auto"
    workers: Annotated[int, Field(ge=0, le=64)] = 2

    @model_validator(mode="after")
    def _parts(self) -> TrainingSettings:
        if self.accumulation > self.batch_size:
            raise ValueError(
                f"'accumulation' is {self.accumulation}, more parts than the batch has crops"
            )
        return self


class EnhancementSettings(Section):
    """How whole maps are enhanced."""

    window: Annotated[int, Field(ge=32, le=512, multiple_of=8)] = 96
    margin: Annotated[int, Field(ge=0, le=64, multiple_of=8)] = 24
    device: str = "auto"

    @model_validator(mode="after")
    def _interior(self) -> EnhancementSettings:
        if 2 * self.margin >= self.window:
            raise ValueError(f"a margin of {self.margin} leaves nothing of a window {self.window}")
        return self


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
    outside: dict[OutsideMethod, OutsideSettings] = {}
    predicted_models: Annotated[str, Field(pattern=r"^[^{}]*\{emdb_id\}[^{}]*$")] | None = None

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


class Config(Section):
    """The whole recipe."""

    archive: ArchiveSettings = ArchiveSettings()
    catalogue: CatalogueSettings = CatalogueSettings()
    curation: CurationSettings = CurationSettings()
    split: SplitSettings = SplitSettings()
    embedding: EmbeddingSettings = EmbeddingSettings()
    preparation: PreparationSettings = PreparationSettings()
    network: NetworkSettings = NetworkSettings()
    training: TrainingSettings = TrainingSettings()
    enhancement: EnhancementSettings = EnhancementSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    report: ReportSettings = ReportSettings()


def read_config(path: Path | str | None) -> Config:
    """Read and check a YAML configuration; None gives the recipe's defaults.

    Raises
    ------
    ConfigError
        With one sentence a fault: the key, what it may be, the nearest known key.
    """
    if path is None:
        return Config()
    path = require_file(path, "configuration")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not valid YAML ({' '.join(str(error).split())}).") from error
    return parse_config(values or {}, source=str(path))


def parse_config(values: Mapping[str, Any], source: str = "config.yaml") -> Config:
    """Check a configuration given as nested mappings.

    Raises
    ------
    ConfigError
        As `read_config`.
    """
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        faults = [_sentence(fault) for fault in error.errors()]
        raise ConfigError(f"{source}: {' '.join(faults)}") from error


def _sentence(fault: Any) -> str:
    location = tuple(str(part) for part in fault["loc"])
    key = ".".join(location) or "the configuration"
    if fault["type"] == "extra_forbidden":
        return _unknown_key(location)
    given = fault["input"]
    if fault["type"] == "model_type":
        return f"'{key}' is {given!r}: it should hold its keys, or be left out."
    message = str(fault["msg"]).removeprefix("Value error, ")
    if isinstance(given, Mapping):
        return f"'{key}': {message}."
    return f"'{key}' is {given!r}: {message[0].lower()}{message[1:]}."


def _unknown_key(location: tuple[str, ...]) -> str:
    known = list(_section_at(location[:-1]).model_fields)
    near = difflib.get_close_matches(location[-1], known, n=1, cutoff=0.5)
    hint = f"did you mean '{near[0]}'?" if near else f"known keys here: {', '.join(known)}."
    return f"'{'.'.join(location)}' is not a known key; {hint}"


def _section_at(location: tuple[str, ...]) -> type[Section]:
    section: type[Section] = Config
    for part in location:
        annotation = section.model_fields[part].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, Section)):
            break
        section = annotation
    return section
