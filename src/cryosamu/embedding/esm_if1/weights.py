"""ESM-IF1's checkpoint: finding or fetching it, and taking the encoder out of it once.

The published checkpoint is 1.7 GB, three quarters of it the state of the optimiser; the encoder
is 432 MB. It is converted once to safetensors, in a cache under the checksum of its source, and
never unpickled beyond tensors and the namespace of the training's arguments.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from cryosamu.embedding.esm_if1.download import download
from cryosamu.embedding.esm_if1.package import inverse_folding
from cryosamu.errors import CheckpointError, CryosamuError
from cryosamu.files import require_file, sha256_of, writing_failed
from cryosamu.locks import one_at_a_time
from cryosamu.tensors import HEADER_KEY, write_tensors

CACHE_VARIABLE = "CRYOSAMU_CACHE"

# fair-esm names the modules anew after training; the checkpoint has the old names.
_OLD_AND_NEW_NAMES = (
    ("W_v", "embed_graph.embed_node"),
    ("W_e", "embed_graph.embed_edge"),
    ("embed_scores.0", "embed_confidence"),
    ("embed_score.", "embed_graph.embed_confidence."),
    ("embed_ingraham_features", "embed_dihedrals"),
    ("embed_gvp_in_local_frame.0", "embed_gvp_output"),
    ("embed_features_in_local_frame.0", "embed_gvp_input_features"),
)
_ENCODER_ARGUMENTS = ("arch", "dropout", "attention_dropout", "encoder_", "gvp_")


@dataclass(frozen=True)
class PublishedCheckpoint:
    """A checkpoint on the web: address, bytes and SHA-256."""

    url: str
    size: int
    sha256: str


ESM_IF1 = PublishedCheckpoint(
    url="https://dl.fbaipublicfiles.com/fair-esm/models/esm_if1_gvp4_t16_142M_UR50.pt",
    size=1_700_450_121,
    sha256="be4ba36edec22a9bfaa4946ff6b2815f1f19d8a3d7e0eada8b796d5a0eae9fd4",
)


def cache_folder(chosen: str | None = None) -> Path:
    """Return where weights are kept: as chosen, else CRYOSAMU_CACHE, else the user's folder."""
    if place := chosen or os.environ.get(CACHE_VARIABLE):
        return Path(place)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cryosamu"


def load_network(
    weights: str | None, cache: str | None = None, published: PublishedCheckpoint = ESM_IF1
) -> tuple[Any, str]:
    """Return fair-esm's encoder with its weights, in evaluation mode, and the source's SHA-256.

    Parameters
    ----------
    weights
        A fairseq checkpoint (.pt) or what this module converted one to (.safetensors); None for
        the published one, fetched into the cache on first use.
    cache
        Folder for what is fetched and converted; see `cache_folder`.

    Raises
    ------
    CryosamuError
        When there are no weights to be had, or the file is not what it should be.
    """
    if weights is not None and Path(weights).suffix == ".safetensors":
        return _read_converted(require_file(weights, "weights file"))
    folder = cache_folder(cache) / "esm_if1"
    if weights is not None:
        source = require_file(weights, "weights file")
        converted = folder / f"{sha256_of(source)}.safetensors"
    else:
        source = folder / Path(published.url).name
        converted = folder / f"{published.sha256}.safetensors"
    if not converted.is_file():
        if weights is None:
            _obtain(published, source)
        _convert_once(source, converted)
    network, fingerprint = _read_converted(converted)
    # Somebody may have put it there; what was made with it would pass for made with the source.
    if fingerprint != converted.stem:
        raise CheckpointError(
            f"{converted}: holds the encoder of other weights (SHA-256 {fingerprint}); delete it, "
            "and it is made again from the checkpoint."
        )
    return network, fingerprint


def _obtain(published: PublishedCheckpoint, destination: Path) -> None:
    try:
        download(published.url, destination, published.size, published.sha256)
    except CryosamuError as error:
        raise CryosamuError(
            f"ESM-IF1's weights are not here and could not be fetched ({error}): put "
            f"{published.url} ({published.size:,} bytes) at {destination}, or elsewhere and name "
            f"it with --weights, or use --backend protein_mpnn, which works offline."
        ) from error
    # A person may have put it there: what was just fetched is known to be right.
    if (found := sha256_of(destination)) != published.sha256:
        raise CheckpointError(
            f"{destination}: has SHA-256 {found}, not {published.sha256}; delete it and fetch "
            f"{published.url} ({published.size:,} bytes) again."
        )


def _convert_once(source: Path, destination: Path) -> None:
    try:
        with one_at_a_time(destination):
            if not destination.is_file():
                convert(source, destination)
    except OSError as error:
        raise writing_failed(destination, error) from error


def convert(source: Path, destination: Path) -> None:
    """Take the encoder out of a fairseq checkpoint into a safetensors file.

    Raises
    ------
    CheckpointError
        When the file is no such checkpoint, or would run code on being read.
    """
    arguments, state = _read_fairseq(source)
    tensors = {
        name: tensor.float().contiguous() for name, tensor in _encoder_tensors(state).items()
    }
    kept = {
        name: value
        for name, value in vars(arguments).items()
        if name.startswith(_ENCODER_ARGUMENTS)
    }
    record = {"arguments": kept, "source_sha256": sha256_of(source)}
    write_tensors(destination, tensors, record)


def _read_fairseq(source: Path) -> tuple[argparse.Namespace, dict[str, Tensor]]:
    """Return the training's arguments and the model's tensors; code in the file is not run."""
    try:
        with (
            torch.serialization.safe_globals([argparse.Namespace]),
            warnings.catch_warnings(action="ignore"),
        ):
            content = torch.load(
                source, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(source)
            )
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{source}: holds more than tensors and arguments, or is damaged; nothing of it was "
            f"run; fetch {ESM_IF1.url}."
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"{source}: cannot be read as a checkpoint; fetch {ESM_IF1.url}."
        ) from error
    match content:
        case {"args": argparse.Namespace() as arguments, "model": dict() as state}:
            return arguments, state
    raise CheckpointError(
        f"{source}: is not a checkpoint of ESM-IF1 (no 'args' and 'model' as fairseq writes "
        f"them); fetch {ESM_IF1.url}."
    )


def _encoder_tensors(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the encoder's tensors under the names of fair-esm's modules."""
    tensors = {}
    for name, tensor in state.items():
        for old, new in _OLD_AND_NEW_NAMES:
            name = name.replace(old, new)
        # "version" is a counter that fairseq leaves behind.
        if name.startswith("encoder.") and "version" not in name:
            tensors[name.removeprefix("encoder.")] = tensor
    return tensors


def _read_converted(path: Path) -> tuple[Any, str]:
    try:
        with safe_open(path, framework="pt") as file:
            record = json.loads(file.metadata()[HEADER_KEY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        encoder = build_network(record["arguments"])
        encoder.load_state_dict(tensors)
    except (SafetensorError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise CheckpointError(
            f"{path}: does not hold ESM-IF1's encoder; delete it, and it is made again from the "
            "checkpoint."
        ) from error
    return encoder.eval(), record["source_sha256"]


def build_network(arguments: Mapping[str, Any]) -> Any:
    """Return fair-esm's `GVPTransformerEncoder` of this architecture, its weights not set."""
    inverse_folding()
    from esm import Alphabet
    from esm.inverse_folding.gvp_transformer import GVPTransformerModel
    from esm.inverse_folding.gvp_transformer_encoder import GVPTransformerEncoder

    namespace = argparse.Namespace(**arguments)
    alphabet = Alphabet.from_architecture(namespace.arch)
    tokens = GVPTransformerModel.build_embedding(namespace, alphabet, namespace.encoder_embed_dim)
    return GVPTransformerEncoder(namespace, alphabet, tokens)
