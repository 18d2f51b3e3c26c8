"""Tensors and a JSON header in one safetensors file: reading it cannot run code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from cryosamu.errors import CheckpointError
from cryosamu.files import atomic_path, require_file

HEADER_KEY = "cryosamu"
_LENGTH_BYTES = 8
_PICKLE_STARTS = (b"PK\x03\x04", b"\x80")


def write_tensors(
    path: Path | str, tensors: Mapping[str, Tensor], header: Mapping[str, Any]
) -> None:
    """Write tensors and a header of JSON values; the same content gives the same bytes."""
    on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    # One key alone: safetensors writes several in an order that changes from run to run.
    metadata = {HEADER_KEY: json.dumps(header, sort_keys=True)}
    content = safetensors.torch.save(on_cpu, metadata)
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def read_tensors(path: Path | str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors and the header of a file that `write_tensors` wrote.

    Raises
    ------
    CheckpointError
        When the file is cut short, damaged, of another kind, or holds NaN or infinite values.
    """
    content = require_file(path, "checkpoint").read_bytes()
    try:
        tensors = safetensors.torch.load(content)
        length = int.from_bytes(content[:_LENGTH_BYTES], "little")
        metadata = json.loads(content[_LENGTH_BYTES : _LENGTH_BYTES + length])["__metadata__"]
        header = json.loads(metadata[HEADER_KEY])
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise CheckpointError(f"{path}: {_fault(content, error)}") from error
    if not isinstance(header, dict):
        raise CheckpointError(f"{path}: its header is not understood; make the file again.")
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise CheckpointError(f"{path}: '{name}' holds NaN or infinite values; train again.")
    return tensors, header


def read_tensors_header(path: Path | str) -> dict[str, Any]:
    """Return the header alone, without reading the tensors: a moment, however large they are.

    Raises
    ------
    CheckpointError
        When the file is cut short, damaged or of another kind.
    """
    path = require_file(path, "checkpoint")
    try:
        with safe_open(path, "pt") as tensors:
            header = json.loads(tensors.metadata()[HEADER_KEY])
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        with open(path, "rb") as handle:
            start = handle.read(_LENGTH_BYTES + 1)
        raise CheckpointError(f"{path}: {_fault(start, error)}") from error
    if not isinstance(header, dict):
        raise CheckpointError(f"{path}: its header is not understood; make the file again.")
    return header


def _fault(content: bytes, error: Exception) -> str:
    if content.startswith(_PICKLE_STARTS) and content[_LENGTH_BYTES : _LENGTH_BYTES + 1] != b"{":
        return "is a pickle, which can run code when read; only safetensors files are accepted."
    if isinstance(error, KeyError):
        return "is a safetensors file without the header of a CryoSAMU checkpoint."
    reason = " ".join(str(error).split())
    return f"is cut short, damaged or not a safetensors file ({reason}); get or make it again."
