"""Trained networks as files: weights, and all that must be known to use them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, TypeAdapter, ValidationError
from torch import Tensor, nn

from cryosamu.config import EmbeddingSettings, NetworkSettings, PreparationSettings
from cryosamu.errors import CheckpointError, ConfigError
from cryosamu.network.build import build_network
from cryosamu.network.interface import EnhancementNetwork
from cryosamu.tensors import read_tensors, write_tensors

_FORMAT = 1


@dataclass(frozen=True)
class TrainingSummary:
    """How the weights came to be.

    Attributes
    ----------
    steps
        Optimiser steps of the run that ended in this checkpoint.
    best_step
        The step whose weights these are: the one with the lowest loss on validation.
    data_digest
        Digest of the training and validation pairs and of their structure tokens.
    lock_digest
        SHA-256 of the data set's lock that was given to the call that finished.
    training_pairs, validation_pairs
        EMDB ids.
    lineage
        The checkpoints that this one continues, oldest first: `checkpoint` (SHA-256), `steps`,
        `best_step`, `computed_on`, `metrics`, `training_pairs` (number) and `learnt` (names of
        pairs and structures) of each; older ones lack some.
    metrics
        Values on validation at `best_step`.
    structures
        Where maps were simulated from structures: the files' SHA-256, the names of the structures
        learnt from and validated on, those left out with their reasons, and the evaluated models
        that they were compared with.
    computed_on
        `device` (`cpu`, or the model of the GPU) and `precision` of the run's steps: several where
        it went on elsewhere, empty where not recorded. How long they took is no part of it, since
        the same run gives the same bytes.
    judges
        Digest of the crops that the loss on validation was measured on and of what it is: losses
        of the same digest compare; None where not recorded.
    """

    steps: int
    best_step: int
    data_digest: str
    lock_digest: str | None = None
    training_pairs: tuple[str, ...] = ()
    validation_pairs: tuple[str, ...] = ()
    lineage: tuple[dict[str, Any], ...] = ()
    metrics: dict[str, float] = field(default_factory=dict)
    structures: dict[str, Any] = field(default_factory=dict)
    computed_on: tuple[dict[str, str], ...] = ()
    judges: str | None = None


@dataclass(frozen=True)
class CheckpointHeader:
    """What must be known to use a checkpoint's weights, and to make them again.

    Attributes
    ----------
    network
        Architecture, from which the network is built before its weights are loaded.
    embedding_width
        Width of the structure tokens.
    embedding, weights_fingerprint
        How the structure tokens were made, and the SHA-256 of the encoder's weights.
    preparation
        How maps are brought to the network.
    training
        How the weights came to be.
    provenance
        As `provenance.provenance_record`.
    notes
        Sentences that whoever uses the weights should read.
    """

    network: NetworkSettings
    embedding_width: int
    embedding: EmbeddingSettings
    weights_fingerprint: str
    preparation: PreparationSettings
    training: TrainingSummary
    provenance: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


_HEADERS = TypeAdapter(CheckpointHeader)


def save_checkpoint(path: Path | str, network: nn.Module, header: CheckpointHeader) -> None:
    """Write a network's weights and header; the same content gives the same bytes."""
    values = {"format": _FORMAT, **_HEADERS.dump_python(header, mode="json")}
    write_tensors(path, network.state_dict(), values)


def load_checkpoint(path: Path | str) -> tuple[EnhancementNetwork, CheckpointHeader]:
    """Return the network, in evaluation mode on the CPU, and its header.

    Nothing in the file is executed, and nothing is allocated beyond the file's own size.

    Raises
    ------
    CheckpointError
        When the file is damaged, of another kind, or its weights do not fit its header.
    """
    tensors, values = read_tensors(path)
    header = _parse_header(path, values)
    try:
        with torch.device("meta"):
            network = build_network(header.network, header.embedding_width)
    except (ConfigError, RuntimeError) as error:
        reason = str(error).removesuffix(".")
        raise CheckpointError(f"{path}: its header describes no network ({reason}).") from error
    _require_fit(path, network.state_dict(), tensors)
    network.load_state_dict(tensors, assign=True)
    return network.eval(), header


def read_header(path: Path | str) -> CheckpointHeader:
    """Return the header of a checkpoint without building its network.

    Raises
    ------
    CheckpointError
        When the file is damaged or of another kind.
    """
    return _parse_header(path, read_tensors(path)[1])


@dataclass(frozen=True)
class Configuration:
    """What a checkpoint and those who train it on must agree in; as in `CheckpointHeader`."""

    network: NetworkSettings
    embedding_width: int
    embedding: EmbeddingSettings
    weights_fingerprint: str
    preparation: PreparationSettings


# Where a setting's value is of the machine and not of the tokens.
_OF_THE_MACHINE = {"device", "weights", "cache", "store"}


def require_configuration(
    path: Path | str, header: CheckpointHeader, wanted: Configuration
) -> None:
    """Refuse a checkpoint made under another configuration, naming the differences.

    Raises
    ------
    CheckpointError
        With each key that differs, the checkpoint's value and the configuration's.
    """
    of_the_checkpoint = Configuration(
        **{key.name: getattr(header, key.name) for key in fields(Configuration)}
    )
    found, asked = _flat(of_the_checkpoint), _flat(wanted)
    differences = [
        f"{key} is {found[key]} in the checkpoint and {asked[key]} in the configuration"
        for key in asked
        if found[key] != asked[key]
    ]
    if differences:
        raise CheckpointError(
            f"{path}: belongs to another configuration: {'; '.join(differences)}."
        )


def _flat(configuration: Configuration) -> dict[str, Any]:
    """Return every value under its dotted key."""
    flat: dict[str, Any] = {}
    waiting: list[tuple[str, Any]] = [
        (key.name, getattr(configuration, key.name)) for key in fields(configuration)
    ]
    while waiting:
        key, value = waiting.pop(0)
        if isinstance(value, BaseModel):
            waiting += [(f"{key}.{name}", part) for name, part in value]
        elif key.rpartition(".")[2] not in _OF_THE_MACHINE:
            flat[key] = value
    return flat


def _parse_header(path: Path | str, values: Mapping[str, Any]) -> CheckpointHeader:
    if values.get("format") != _FORMAT:
        raise CheckpointError(
            f"{path}: is not a checkpoint of format {_FORMAT}, which this version reads; "
            "use the version of CryoSAMU that wrote it."
        )
    content = {name: value for name, value in values.items() if name != "format"}
    try:
        return _HEADERS.validate_python(content)
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(str(part) for part in fault["loc"])
        raise CheckpointError(
            f"{path}: its header is not understood ('{place}': {fault['msg'].lower()})."
        ) from error


def _require_fit(
    path: Path | str, wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]
) -> None:
    """Refuse weights that are not those of the network that the header describes."""
    differences = [
        *(f"'{name}' is missing" for name in wanted.keys() - found.keys()),
        *(f"'{name}' is unknown" for name in found.keys() - wanted.keys()),
        *(
            f"'{name}' is {_describe(found[name])} and should be {_describe(wanted[name])}"
            for name in wanted.keys() & found.keys()
            if _describe(found[name]) != _describe(wanted[name])
        ),
    ]
    if differences:
        first = sorted(differences)[0]
        more = f" (and {len(differences) - 1} more)" if len(differences) > 1 else ""
        raise CheckpointError(f"{path}: its weights do not fit its header: {first}{more}.")


def _describe(tensor: Tensor) -> str:
    kind = str(tensor.dtype).removeprefix("torch.")
    return f"{kind} [{', '.join(str(edge) for edge in tensor.shape)}]"
