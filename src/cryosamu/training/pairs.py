"""The prepared pairs that a network is trained and validated on, with their structure tokens."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from cryosamu.config import EmbeddingSettings, PoolingSettings, PreparationSettings
from cryosamu.embedding.tokens import TokensHeader, read_tokens, read_tokens_header
from cryosamu.errors import CryosamuError
from cryosamu.files import require_file, sha256_of
from cryosamu.tables import SPLIT, read_table

if TYPE_CHECKING:
    from cryosamu.training.simulated.structures import SimulatedStructures


@dataclass(frozen=True)
class TrainingPair:
    """One prepared pair.

    Attributes
    ----------
    emdb_id
        Such as EMD-3488.
    voxels
        float16 [2, z, y, x], memory-mapped: 0 the map, 1 the target, both in [0, 1].
    tokens, token_mask
        float32 [tokens, width], and bool [tokens], true for a real token.
    digest
        SHA-256 over the prepared file and the tokens.
    simulated
        Whether the map itself was simulated from a model.
    voxel_size
        Å, as wanted of the preparation: within 1 % of the pair's own.
    resolution
        As reported, Å; NaN where it is not known.
    """

    emdb_id: str
    voxels: NDArray[np.float16]
    tokens: Tensor
    token_mask: Tensor
    digest: str
    simulated: bool
    voxel_size: float
    resolution: float = math.nan


@dataclass(frozen=True)
class TrainingData:
    """All that a run learns from and is judged by.

    Attributes
    ----------
    train, validation
        In the order of their EMDB ids.
    held_out
        EMDB ids of the validation and test splits and PDB ids of their models: never to be learnt
        from.
    embedding, weights_fingerprint, embedding_width
        How the structure tokens were made, the encoder's weights, the tokens' width.
    preparation
        How the maps were prepared.
    simulated
        Structures to make further maps from; None where there are none.
    """

    train: tuple[TrainingPair, ...]
    validation: tuple[TrainingPair, ...]
    held_out: frozenset[str]
    embedding: EmbeddingSettings
    weights_fingerprint: str
    embedding_width: int
    preparation: PreparationSettings
    simulated: SimulatedStructures | None = None

    def learnt(self) -> dict[str, str]:
        """Return the digest of every pair and structure to learn from, by its name."""
        learnt = {pair.emdb_id: pair.digest for pair in self.train}
        if self.simulated is not None:
            learnt |= {one.name: self.simulated.digest(one) for one in self.simulated.train}
        return learnt


def read_training_data(
    split: Path | str,
    prepared: Path | str,
    tokens: Iterable[Path | str],
    *,
    to_learn: bool = True,
) -> TrainingData:
    """Open the pairs of the train and validation splits.

    Parameters
    ----------
    split
        SPLIT table.
    prepared
        Folder with {emdb_id}.npy and {emdb_id}.json of every pair, in it or in its sub-folders.
    tokens
        Files of pooled structure tokens that together hold every pair's model, or folders with
        one {pdb_id}.safetensors a model, in them or in their sub-folders.

    Raises
    ------
    CryosamuError
        When the split has no training pair, or a pair's file is missing, damaged or made in
        another way than the others.
    """
    rows = read_table(split, SPLIT).sort_values("emdb_id")
    used = _used(rows)
    paths = token_files(tokens, list(used["pdb_id"]))
    header = read_tokens_header(paths)
    known = read_tokens(paths)
    arrays = _prepared_arrays(Path(prepared), used)
    preparation = _common_preparation(arrays.values())
    pairs: dict[str, tuple[TrainingPair, ...]] = {
        name: tuple(
            _read_pair(arrays[row["emdb_id"]], row, known, preparation.voxel_size)
            for row in _rows(used, name)
        )
        for name in ("train", "validation")
    }
    if to_learn and not pairs["train"]:
        raise CryosamuError(f"{split}: no pair is in the train split; there is nothing to learn.")
    held_out = rows[rows["split"].isin(["validation", "test"])]
    return TrainingData(
        train=pairs["train"],
        validation=pairs["validation"],
        held_out=frozenset(held_out["emdb_id"]) | frozenset(held_out["pdb_id"].str.upper()),
        embedding=embedding_settings(header),
        weights_fingerprint=header.fingerprint,
        embedding_width=header.width,
        preparation=preparation,
    )


def token_files(given: Iterable[Path | str], pdb_ids: Sequence[str]) -> list[Path]:
    """Return the files of tokens: those given, and of folders those of the models in use."""
    files: list[Path] = []
    for path in map(Path, given):
        if path.is_dir():
            files += _files_in(path, ".safetensors", pdb_ids).values()
        else:
            files.append(path)
    return files


def _files_in(folder: Path, suffix: str, wanted: Iterable[str]) -> dict[str, Path]:
    """Return the wanted files of a folder and its direct sub-folders, by their names' stems."""
    found: dict[str, Path] = {}
    stems = set(wanted)
    for path in sorted([*folder.glob(f"*{suffix}"), *folder.glob(f"*/*{suffix}")]):
        if path.stem not in stems:
            continue
        if path.stem in found:
            raise CryosamuError(
                f"{path}: stands in {found[path.stem].parent} too; remove the one that is old."
            )
        found[path.stem] = path
    return found


def prepared_arrays(split: Path | str, prepared: Path | str) -> dict[str, Path]:
    """Return the prepared file of every pair of the train and validation splits, by EMDB id.

    Raises
    ------
    CryosamuError
        When one is missing, or lies in two of the sub-folders.
    """
    return _prepared_arrays(Path(prepared), _used(read_table(split, SPLIT)))


def _used(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["split"].isin(["train", "validation"])]


def _prepared_arrays(folder: Path, used: pd.DataFrame) -> dict[str, Path]:
    found = _files_in(folder, ".npy", used["emdb_id"])
    return {
        emdb_id: found.get(emdb_id) or require_file(folder / f"{emdb_id}.npy", "prepared pair")
        for emdb_id in used["emdb_id"]
    }


def _rows(frame: pd.DataFrame, split: str) -> Sequence[Mapping[Hashable, Any]]:
    return frame[frame["split"] == split].to_dict("records")


def embedding_settings(header: TokensHeader) -> EmbeddingSettings:
    """Return what shaped the tokens; paths and devices are of the machine that made them."""
    return EmbeddingSettings.model_validate(
        {
            "backend": header.backend,
            "mode": header.mode,
            "precision": header.precision,
            "copies": header.copies,
            "pooling": PoolingSettings.model_validate(header.pooling),
        }
    )


def _common_preparation(arrays: Iterable[Path]) -> PreparationSettings:
    """Return the settings that all pairs were prepared with."""
    common: tuple[Path, PreparationSettings] | None = None
    for array in arrays:
        path = require_file(array.with_suffix(".json"), "record of a prepared pair")
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            settings = PreparationSettings.model_validate(record["provenance"]["settings"])
        except (ValueError, KeyError, TypeError) as error:
            raise CryosamuError(f"{path}: is not a record of 'cryosamu prepare'.") from error
        if common is not None and settings != common[1]:
            raise CryosamuError(
                f"{path}: was prepared with other settings than {common[0]}; prepare both again."
            )
        common = common or (path, settings)
    return common[1] if common else PreparationSettings()


def _read_pair(
    path: Path,
    row: Mapping[Hashable, Any],
    known: Mapping[str, tuple[Tensor, Tensor]],
    voxel_size: float,
) -> TrainingPair:
    try:
        voxels = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise CryosamuError(f"{path}: is cut short or no .npy file; prepare it again.") from error
    if voxels.dtype != np.float16 or voxels.ndim != 4 or voxels.shape[0] != 2 or 0 in voxels.shape:
        raise CryosamuError(
            f"{path}: holds {voxels.dtype} {list(voxels.shape)}, and a prepared pair is "
            "float16 [2, z, y, x]; prepare it again."
        )
    if row["pdb_id"].upper() not in known:
        raise CryosamuError(
            f"the files of structure tokens lack {row['pdb_id']}, the model of {row['emdb_id']}; "
            "embed it with 'cryosamu embed'."
        )
    tokens, mask = known[row["pdb_id"].upper()]
    digest = hashlib.sha256(sha256_of(path).encode())
    digest.update(tokens.numpy().tobytes() + mask.numpy().tobytes())
    return TrainingPair(
        emdb_id=row["emdb_id"],
        voxels=voxels,
        tokens=tokens,
        token_mask=mask,
        digest=digest.hexdigest(),
        simulated=bool(row["simulated"]),
        voxel_size=voxel_size,
        resolution=float(row["resolution"]),
    )
