"""Files of structure tokens: many models pooled in one way, in one safetensors file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from cryosamu.embedding.pooling import Pooled
from cryosamu.errors import CryosamuError
from cryosamu.files import require_file
from cryosamu.tensors import HEADER_KEY, write_tensors


@dataclass(frozen=True)
class TokensHeader:
    """How the tokens of a file were made.

    Attributes
    ----------
    backend, fingerprint, width, mode, precision, copies
        As in `StructureEmbedding`.
    pooling
        The pooling settings as plain values.
    """

    backend: str
    fingerprint: str
    width: int
    mode: str
    precision: str
    copies: str
    pooling: Mapping[str, Any]


def write_tokens(
    path: Path | str,
    pooled: Mapping[str, Pooled],
    header: TokensHeader,
    refused: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Write the tokens of many models to one safetensors file.

    Tensors `{model_id}/tokens` float32 [L, d] and `{model_id}/mask` bool [L]; the header and
    each model's entropies in the metadata. The same tokens give the same bytes.

    Parameters
    ----------
    refused
        Label ids of the chains of each model that the encoder could not see.
    """
    refused = refused or {}
    tensors = {}
    for model_id, result in pooled.items():
        tensors[f"{model_id}/tokens"] = result.tokens.float().contiguous()
        tensors[f"{model_id}/mask"] = result.mask.contiguous()
    models = {
        model_id: {
            "chains": len(result.chain_weights),
            "chains_refused": list(refused.get(model_id, ())),
            "chain_entropy": round(float(result.chain_entropy), 6),
            "residues": int(result.residues),
            "residue_entropy": round(float(result.residue_entropy), 6),
        }
        for model_id, result in pooled.items()
    }
    write_tensors(path, tensors, {"header": asdict(header), "models": models})


def join_tokens(path: Path | str, parts: Iterable[Path | str]) -> None:
    """Write the tokens of several files, made in one way, to one; of no file, an empty one.

    Raises
    ------
    CryosamuError
        As `read_tokens_header`.
    """
    parts = [Path(part) for part in parts]
    header = asdict(read_tokens_header(parts)) if parts else None
    tensors: dict[str, Tensor] = {}
    models: dict[str, Any] = {}
    for part in parts:
        with safe_open(part, framework="pt") as file:
            tensors |= {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            models |= json.loads(file.metadata()[HEADER_KEY])["models"]
    write_tensors(path, tensors, {"header": header, "models": models})


def read_tokens(paths: Iterable[Path | str]) -> dict[str, tuple[Tensor, Tensor]]:
    """Return each model's tokens, float32 [L, d], and mask, bool [L] (True: a real token).

    Raises
    ------
    CryosamuError
        When a file is damaged, or files were made in different ways (see `read_tokens_header`).
    """
    paths = list(paths)
    read_tokens_header(paths)
    tokens = {}
    for path in paths:
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118  not a mapping
                model_id, _, kind = name.rpartition("/")
                if kind == "tokens":
                    mask = file.get_tensor(f"{model_id}/mask")
                    tokens[model_id] = file.get_tensor(name), mask.to(torch.bool)
    return tokens


def read_tokens_header(paths: Iterable[Path | str]) -> TokensHeader:
    """Return the one header that these files of tokens share; files of no model have none.

    Raises
    ------
    CryosamuError
        When there is no file, one is not a file of tokens, or two were made in different ways.
    """
    found = {Path(path): _header(Path(path)) for path in paths}
    headers = {path: header for path, header in found.items() if header is not None}
    if not headers:
        raise CryosamuError("there is no file of structure tokens; make one with 'cryosamu embed'.")
    first, *others = headers
    for other in others:
        if headers[other] != headers[first]:
            raise CryosamuError(
                f"{other}: its tokens were made with another encoder or pooling than those of "
                f"{first}; make both again with one configuration."
            )
    return headers[first]


def _header(path: Path) -> TokensHeader | None:
    require_file(path, "file of structure tokens")
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads(file.metadata()[HEADER_KEY])["header"]
            return None if header is None else TokensHeader(**header)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise CryosamuError(
            f"{path}: is not a file of structure tokens; make it with 'cryosamu embed --pooled'."
        ) from error
