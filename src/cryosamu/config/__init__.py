"""The recipe's settings: their names, types, ranges and defaults, checked before anything runs.

The defaults are the paper's recipe; `config.yaml` states the same values with their reasons.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from cryosamu.config.data import (
    AlignmentSettings,
    ArchiveSettings,
    CatalogueSettings,
    ClusteringSettings,
    CompletenessSettings,
    CompositionSettings,
    CorrelationSettings,
    CurationSettings,
    ResolutionWindow,
    ShardSettings,
    SplitSettings,
)
from cryosamu.config.judging import EvaluationSettings, OutsideSettings, ReportSettings
from cryosamu.config.learning import (
    OF_THE_MACHINE,
    AugmentationSettings,
    CompactSettings,
    EmbeddingSettings,
    EnhancementSettings,
    LossSettings,
    NetworkSettings,
    PoolingSettings,
    PreparationSettings,
    SimulationSettings,
    TargetSettings,
    TrainingSettings,
)
from cryosamu.config.section import Section
from cryosamu.errors import ConfigError
from cryosamu.files import require_file

__all__ = [
    "OF_THE_MACHINE",
    "AlignmentSettings",
    "ArchiveSettings",
    "AugmentationSettings",
    "CatalogueSettings",
    "ClusteringSettings",
    "CompactSettings",
    "CompletenessSettings",
    "CompositionSettings",
    "Config",
    "CorrelationSettings",
    "CurationSettings",
    "EmbeddingSettings",
    "EnhancementSettings",
    "EvaluationSettings",
    "LossSettings",
    "NetworkSettings",
    "OutsideSettings",
    "PoolingSettings",
    "PreparationSettings",
    "ReportSettings",
    "ResolutionWindow",
    "Section",
    "ShardSettings",
    "SimulationSettings",
    "SplitSettings",
    "TargetSettings",
    "TrainingSettings",
    "parse_config",
    "read_config",
]


class Config(Section):
    """The whole recipe."""

    archive: ArchiveSettings = ArchiveSettings()
    catalogue: CatalogueSettings = CatalogueSettings()
    curation: CurationSettings = CurationSettings()
    split: SplitSettings = SplitSettings()
    shards: ShardSettings = ShardSettings()
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
    except RecursionError:
        raise ConfigError(f"{path}: is nested too deeply to be a configuration.") from None
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
