"""Atomic structures packed into one small file that a training reads at once.

Protein chains alone, heavy atoms, one conformer, positions rounded to 0.01 Å: about 8 bytes an
atom, a tenth of a PDB file. A safetensors file, so that reading it cannot run code; its header
names the structures, their clusters, and those that were left out with the reason.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from cryosamu.errors import CryosamuError
from cryosamu.files import atomic_path, require_file
from cryosamu.structure.model import BACKBONE_ATOMS, ProteinChain

BACKBONE_KINDS = len(BACKBONE_ATOMS)
CARBOXYLATE = BACKBONE_KINDS + 1
"""Role of the acidic oxygens of Asp and Glu; 1 to 4 are N, CA, C, O; 0 is any other atom."""

STEP = 0.01
"""Å to which positions are rounded."""

_HEADER = "cryosamu_structures"
_FORMAT = 1
_ARRAYS = {
    "positions": np.int16, "elements": np.uint8, "roles": np.uint8, "residue_atoms": np.uint8,
    "residue_numbers": np.int32, "residue_letters": np.uint8, "b_factors": np.uint8,
    "chain_residues": np.int32, "structure_chains": np.int32,
}  # fmt: skip


@dataclass(frozen=True)
class AtomicStructure:
    """The protein chains of one structure.

    Attributes
    ----------
    name
        Such as 1A3A.
    positions
        float32 [atoms, 3]: x, y, z in Å from the middle of the structure.
    atomic_numbers, roles
        uint8 [atoms]; roles as `CARBOXYLATE` says.
    residue_atoms, residue_numbers, residue_letters, b_factors
        [residues]: how many atoms, author number, ASCII letter, mean B factor in Å² (0 to 255).
    chain_residues
        int32 [chains]: how many residues.
    """

    name: str
    positions: NDArray[np.float32]
    atomic_numbers: NDArray[np.uint8]
    roles: NDArray[np.uint8]
    residue_atoms: NDArray[np.uint8]
    residue_numbers: NDArray[np.int32]
    residue_letters: NDArray[np.uint8]
    b_factors: NDArray[np.uint8]
    chain_residues: NDArray[np.int32]

    @cached_property
    def residues(self) -> NDArray[np.int64]:
        """int64 [atoms]: the number of each atom's residue, from 0."""
        return np.repeat(np.arange(len(self.residue_atoms)), self.residue_atoms)

    @cached_property
    def chains(self) -> NDArray[np.int64]:
        """int64 [atoms]: the number of each atom's chain, from 0."""
        of_residues = np.repeat(np.arange(len(self.chain_residues)), self.chain_residues)
        return np.asarray(of_residues[self.residues], np.int64)

    @property
    def sequences(self) -> list[str]:
        """One letter a residue, a text a chain."""
        text = self.residue_letters.tobytes().decode("ascii")
        ends = np.cumsum(self.chain_residues).tolist()
        return [text[start:end] for start, end in zip([0, *ends], ends, strict=False)]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of everything but the name."""
        digest = hashlib.sha256()
        for array in (
            self.positions, self.atomic_numbers, self.roles, self.residue_atoms,
            self.residue_numbers, self.residue_letters, self.b_factors, self.chain_residues,
        ):  # fmt: skip
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def protein_chains(self) -> list[ProteinChain]:
        """Return the chains as an encoder is shown them."""
        backbone = np.full((len(self.residue_atoms), BACKBONE_KINDS, 3), np.inf, np.float32)
        seen = (self.roles >= 1) & (self.roles <= BACKBONE_KINDS)
        backbone[self.residues[seen], self.roles[seen] - 1] = self.positions[seen]
        observed = np.asarray(np.isfinite(backbone[:, :3]).all(axis=(1, 2)), np.bool_)
        backbone[~observed] = np.inf
        chains, start = [], 0
        for number, (sequence, count) in enumerate(
            zip(self.sequences, self.chain_residues.tolist(), strict=True)
        ):
            own = slice(start, start + count)
            start += count
            chains.append(
                ProteinChain(
                    author_id=str(number + 1),
                    label_id=str(number + 1),
                    entity_id="",
                    sequence=sequence,
                    entity_sequence="",
                    residue_ids=tuple(map(str, self.residue_numbers[own].tolist())),
                    residue_names=("UNK",) * count,
                    backbone=backbone[own],
                    observed=observed[own],
                )
            )
        return chains


def in_angstrom(steps: NDArray[np.int16]) -> NDArray[np.float32]:
    """Return positions in Å, as they are read."""
    return (steps * STEP).astype(np.float32)


def write_library(
    path: Path | str,
    structures: Iterable[AtomicStructure],
    about: Mapping[str, Any],
    clusters: Mapping[str, str] | None = None,
) -> None:
    """Write structures into one file; the same ones give the same bytes.

    Parameters
    ----------
    about
        JSON values that say where they come from and what was left out.
    clusters
        Each structure's cluster by its name; None where they were not compared.
    """
    parts: dict[str, list[NDArray[Any]]] = {name: [] for name in _ARRAYS}
    names = []
    for one in structures:
        names.append(one.name)
        columns = {
            **{name: getattr(one, name) for name in _ARRAYS if hasattr(one, name)},
            "positions": np.rint(one.positions.astype(np.float64) / STEP),
            "elements": one.atomic_numbers,
            "structure_chains": np.array([len(one.chain_residues)]),
        }
        for name, kind in _ARRAYS.items():
            parts[name].append(columns[name].astype(kind))
    if not names:
        raise CryosamuError("there is no structure to pack.")
    arrays = {name: np.concatenate(rows) for name, rows in parts.items()}
    header: dict[str, Any] = {"format": _FORMAT, "names": names, "about": dict(about)}
    if clusters is not None:
        header["clusters"] = [clusters[name] for name in names]
    metadata = {_HEADER: json.dumps(header, sort_keys=True)}
    with atomic_path(path) as temporary:
        temporary.write_bytes(safetensors.numpy.save(arrays, metadata))


@dataclass(frozen=True)
class Library:
    """Packed structures, and what their file says of them.

    Attributes
    ----------
    clusters
        Each structure's cluster by its name; None in files that do not tell.
    """

    structures: tuple[AtomicStructure, ...]
    about: Mapping[str, Any]
    clusters: Mapping[str, str] | None = None


def read_library(path: Path | str) -> Library:
    """Return the structures of a file that `write_library` wrote.

    Raises
    ------
    CryosamuError
        When the file is damaged or of another kind.
    """
    content = require_file(path, "file of packed structures").read_bytes()
    try:
        arrays = safetensors.numpy.load(content)
        length = int.from_bytes(content[:8], "little")
        metadata = json.loads(content[8 : 8 + length])["__metadata__"]
        header = json.loads(metadata[_HEADER])
        names, about = list(header["names"]), dict(header["about"])
        _require_whole(arrays, names, header["format"])
        clusters = _clusters(names, header.get("clusters"))
    except (SafetensorError, KeyError, TypeError, ValueError, IndexError) as error:
        raise CryosamuError(
            f"{path}: is no whole file of packed structures; make it with "
            "'cryosamu structures pack'."
        ) from error
    return Library(tuple(_unpacked(arrays, names)), about, clusters)


def _clusters(names: list[str], clusters: Any) -> dict[str, str] | None:
    return None if clusters is None else dict(zip(names, map(str, clusters), strict=True))


def _require_whole(arrays: Mapping[str, NDArray[Any]], names: list[str], version: int) -> None:
    """Raise ValueError where kinds, shapes or counts do not fit each other."""
    fits = (
        version == _FORMAT
        and {name: arrays[name].dtype for name in _ARRAYS} == _ARRAYS
        and arrays["positions"].shape == (len(arrays["elements"]), 3)
        and all(arrays[name].ndim == 1 for name in _ARRAYS if name != "positions")
        and len(arrays["roles"]) == len(arrays["elements"])
        and int(arrays["residue_atoms"].sum(dtype=np.int64)) == len(arrays["elements"])
        and int(arrays["chain_residues"].sum(dtype=np.int64)) == len(arrays["residue_atoms"])
        and int(arrays["structure_chains"].sum(dtype=np.int64)) == len(arrays["chain_residues"])
        and len(arrays["structure_chains"]) == len(names) == len(set(names)) > 0
        and arrays["chain_residues"].min() > 0
        and arrays["structure_chains"].min() > 0
        and int(arrays["residue_letters"].max()) < 128
        and all(
            len(arrays[name]) == len(arrays["residue_atoms"])
            for name in ("residue_numbers", "residue_letters", "b_factors")
        )
    )
    if not fits:
        raise ValueError("the arrays do not fit each other")


def _unpacked(
    arrays: Mapping[str, NDArray[Any]], names: Iterable[str]
) -> Iterable[AtomicStructure]:
    chain = residue = atom = 0
    residue_ends = np.cumsum(arrays["chain_residues"], dtype=np.int64)
    atom_ends = np.cumsum(arrays["residue_atoms"], dtype=np.int64)
    for name, chains in zip(names, arrays["structure_chains"].tolist(), strict=True):
        last = int(residue_ends[chain + chains - 1])
        own, rows = slice(atom, int(atom_ends[last - 1])), slice(residue, last)
        yield AtomicStructure(
            name=name,
            positions=in_angstrom(arrays["positions"][own]),
            atomic_numbers=arrays["elements"][own],
            roles=arrays["roles"][own],
            chain_residues=arrays["chain_residues"][chain : chain + chains],
            **{
                key: arrays[key][rows]
                for key in ("residue_atoms", "residue_numbers", "residue_letters", "b_factors")
            },
        )
        chain, residue, atom = chain + chains, last, own.stop
