"""Settings of what is learnt from the data set, and how maps are enhanced with it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from cryosamu.config.section import Angstrom, Count, Fraction, Section, Weight


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


class CompactSettings(Section):
    """What of the compact network has been measured in more than one form."""

    full_grid: Literal["ends", "blocks", "folded"] = "ends"
    blocks: Annotated[int, Field(ge=1, le=8)] = 1
    dilations: Annotated[
        tuple[Annotated[int, Field(ge=1, le=8)], ...], Field(min_length=1, max_length=8)
    ] = (1,)
    block: Literal["before", "between"] = "before"
    norm: Literal["channel", "batch", "none"] = "channel"
    resampling: Literal["plain", "smooth"] = "plain"
    output: Literal["residual", "gated", "plain"] = "residual"
    resolution: bool = False


class NetworkSettings(Section):
    """The network's name and size."""

    name: Literal["reference", "compact"] = "reference"
    base_channels: Annotated[int, Field(ge=4, le=256)] = 32
    multipliers: Annotated[tuple[Count, ...], Field(min_length=1)] = (1, 2, 2, 4)
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2
    compact: CompactSettings = CompactSettings()


class LossSettings(Section):
    """Weights of the losses that are summed; 0 leaves one out."""

    smooth_l1: Weight = 1.0
    correlation: Weight = 0.0
    low_pass_correlation: Weight = 0.0
    ssim: Weight = 0.0
    fourier_shell: Weight = 0.0

    @model_validator(mode="after")
    def _something(self) -> LossSettings:
        if not any(weight for _, weight in self):
            raise ValueError("no loss has a weight above 0, so there is nothing to learn from")
        return self


class AugmentationSettings(Section):
    """How far the maps of training crops are changed at random; 0 leaves them as they are."""

    intensity: Fraction = 0.0
    b_factor: Annotated[float, Field(ge=0, le=200)] = 0.0


class SimulationSettings(Section):
    """How maps are made from atomic structures while the network is trained on them."""

    share: Fraction = 0.5
    finest_resolution: Annotated[float, Field(ge=2.5, le=20)] = 3.6
    coarsest_resolution: Annotated[float, Field(ge=2.5, le=20)] = 8.5
    masked: Fraction = 0.65
    neighbours: Fraction = 0.3
    blobs: Fraction = 0.3
    view: Annotated[int, Field(ge=32, le=256, multiple_of=8)] = 64
    reuse: Annotated[int, Field(ge=1, le=1000)] = 8
    validation_structures: Count = 24

    @model_validator(mode="after")
    def _ordered(self) -> SimulationSettings:
        if self.finest_resolution > self.coarsest_resolution:
            raise ValueError(
                f"finest_resolution {self.finest_resolution} is above coarsest_resolution "
                f"{self.coarsest_resolution}"
            )
        return self


OF_THE_MACHINE = frozenset({"run", "device", "workers", "processes", "scratch"})
"""Settings of a training that say where and how it runs, and change nothing that comes out."""


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
    validate_by: Literal["smooth_l1", "correlation", "low_pass_correlation"] = "smooth_l1"
    early_stopping: Annotated[int, Field(ge=0)] = 0
    losses: LossSettings = LossSettings()
    augmentation: AugmentationSettings = AugmentationSettings()
    simulation: SimulationSettings = SimulationSettings()
    embedding_dropout: Fraction = 0.3
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    seed: Annotated[int, Field(ge=0)] = 2024
    device: str = "auto"
    workers: Annotated[int, Field(ge=0, le=64)] = 2
    processes: Annotated[int, Field(ge=1, le=64)] = 1
    scratch: str | None = None

    @model_validator(mode="after")
    def _parts(self) -> TrainingSettings:
        if self.accumulation > self.batch_size:
            raise ValueError(
                f"'accumulation' is {self.accumulation}, more parts than the batch has crops"
            )
        return self


class EnhancementSettings(Section):
    """How whole maps are enhanced."""

    window: Annotated[int, Field(ge=32, le=2048, multiple_of=8)] | None = None
    margin: Annotated[int, Field(ge=0, le=64, multiple_of=4)] = 12
    precision: Literal["auto", "float32", "bfloat16", "int8"] = "auto"
    skip_solvent: bool = True
    averaging: Literal[1, 4, 8, 24] = 1
    batch: Annotated[int, Field(ge=1, le=1024)] | None = None
    memory: Annotated[float, Field(gt=0)] | None = None
    device: str = "auto"

    @model_validator(mode="after")
    def _interior(self) -> EnhancementSettings:
        if self.window is not None and 2 * self.margin >= self.window:
            raise ValueError(f"a margin of {self.margin} leaves nothing of a window {self.window}")
        return self
