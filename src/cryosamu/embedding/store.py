"""Where embeddings are kept: one file a structure by its content, and tokens of many models.

A structure's file is `ROOT/{backend}/{key[:2]}/{key}.npz`. The key covers all that shapes the
vectors, so a file is never out of date, a model under another name is found again, and writers
that meet write the same bytes. What else is known of a model (ids) is read from the model itself.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor

from cryosamu.embedding.encoder import Encoder
from cryosamu.embedding.pooling import Pooled
from cryosamu.errors import CryosamuError
from cryosamu.files import atomic_path, require_file
from cryosamu.structure.model import ProteinChain
from cryosamu.tensors import HEADER_KEY, write_tensors


def embedding_key(chains: Sequence[ProteinChain], encoder: Encoder, mode: str) -> str:
    """Return the SHA-256 of everything that the vectors depend on."""
    digest = hashlib.sha256()
    described = [
        [encoder.name, encoder.fingerprint, encoder.code_version, mode],
        [chain.residue_ids for chain in chains],
    ]
    digest.update(json.dumps(described).encode())
    for chain in chains:
        digest.update(np.ascontiguousarray(chain.backbone, np.float32).tobytes())
        digest.update(encoder.visible(chain).tobytes())
    return digest.hexdigest()


class EmbeddingStore:
    """A folder of embeddings, shared by any number of configurations and processes."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)

    def path(self, backend: str, key: str) -> Path:
        """Return where an embedding belongs."""
        return self.root / backend / key[:2] / f"{key}.npz"

    def get(
        self, backend: str, key: str, shapes: Sequence[tuple[int, int]]
    ) -> list[NDArray[np.float32]] | None:
        """Return the vectors of each chain, or None where they are absent or damaged."""
        path = self.path(backend, key)
        if not path.is_file():
            return None
        try:
            content = path.read_bytes()
            # Checksums before anything is parsed: a flipped bit must not be read as a number.
            if zipfile.ZipFile(io.BytesIO(content)).testzip() is not None:
                return None
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                vectors = [file[f"chain_{number}"] for number in range(len(shapes))]
        except Exception:  # a damaged zip file makes its reader raise almost anything
            return None
        whole = all(
            array.shape == shape and array.dtype == np.float32
            for array, shape in zip(vectors, shapes, strict=True)
        )
        return vectors if whole else None

    def put(self, backend: str, key: str, vectors: Sequence[NDArray[np.float32]]) -> None:
        """Keep the vectors of each chain; a file there already is replaced whole."""
        arrays = {f"chain_{number}": rows for number, rows in enumerate(vectors)}
        with atomic_path(self.path(backend, key)) as temporary, open(temporary, "wb") as handle:
            np.savez(handle, allow_pickle=False, **arrays)


@dataclass(frozen=True)
class TokensHeader:
    """How the tokens of a file were made.

    Attributes
    ----------
    backend, fingerprint, width, mode
        As in `StructureEmbedding`.
    pooling
        The pooling settings as plain values.
    """

    backend: str
    fingerprint: str
    width: int
    mode: str
    pooling: Mapping[str, Any]


def write_tokens(path: Path | str, pooled: Mapping[str, Pooled], header: TokensHeader) -> None:
    """Write the tokens of many models to one safetensors file.

    Tensors `{model_id}/tokens` float32 [L, d] and `{model_id}/mask` bool [L]; the header and
    each model's entropies in the metadata. The same tokens give the same bytes.
    """
    tensors = {}
    for model_id, result in pooled.items():
        tensors[f"{model_id}/tokens"] = result.tokens.float().contiguous()
        tensors[f"{model_id}/mask"] = result.mask.contiguous()
    models = {
        model_id: {
            "chains": len(result.chain_weights),
            "chain_entropy": round(result.chain_entropy, 6),
            "residues": int((result.residue_weights > 0).sum()),
            "residue_entropy": round(result.residue_entropy, 6),
        }
        for model_id, result in pooled.items()
    }
    write_tensors(path, tensors, {"header": asdict(header), "models": models})


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
    """Return the one header that these files of tokens share.

    Raises
    ------
    CryosamuError
        When there is no file, one is not a file of tokens, or two were made in different ways.
    """
    headers = {Path(path): _header(Path(path)) for path in paths}
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


def _header(path: Path) -> TokensHeader:
    require_file(path, "file of structure tokens")
    try:
        with safe_open(path, framework="pt") as file:
            return TokensHeader(**json.loads(file.metadata()[HEADER_KEY])["header"])
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise CryosamuError(
            f"{path}: is not a file of structure tokens; make it with 'cryosamu embed --pooled'."
        ) from error
