"""Settings of the data set: archives, catalogue, curation, split."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from cryosamu.config.section import Angstrom, Count, Fraction, Section


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
    pinned: dict[str, Literal["train", "validation", "test"]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _whole(self) -> SplitSettings:
        total = self.train + self.validation + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(f"train, validation and test add up to {total:g}, not 1")
        if list(self.strata) != sorted(set(self.strata)):
            raise ValueError("the bounds in strata do not rise")
        return self


class ShardSettings(Section):
    """Into how many jobs the stages are divided; they change no result."""

    candidates: Annotated[int, Field(ge=1, le=500)] = 32
    pairs: Annotated[int, Field(ge=1, le=1000)] = 16
