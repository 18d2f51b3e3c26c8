"""The `protein_mpnn` backend: weights from the package, chains in, vectors out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file

from cryosamu.embedding.precision import computing_in
from cryosamu.embedding.protein_mpnn.network import WIDTH, ProteinMPNNEncoder
from cryosamu.errors import CheckpointError
from cryosamu.files import require_file, sha256_of
from cryosamu.provenance import code_digest
from cryosamu.structure.model import ProteinChain

SHIPPED_WEIGHTS = (
    Path(__file__).parents[1] / "weights" / "protein_mpnn_v_48_020_encoder.safetensors"
)
_LEADING_NUMBER = re.compile(r"-?\d+")


class ProteinMPNN:
    """ProteinMPNN's encoder (`v_48_020`), without the noise that its training adds.

    A residue needs N, CA, C and O; one that lacks any is left out of the graph, which is what
    the published mask does. Rotation and translation change nothing but rounding.
    """

    name = "protein_mpnn"
    width = WIDTH
    atoms = 4
    sees_origin = False

    def __init__(
        self,
        network: ProteinMPNNEncoder,
        fingerprint: str,
        device: torch.device,
        precision: str = "float32",
    ) -> None:
        self.network = network.eval().to(device)
        self.fingerprint = fingerprint
        self.code_version = code_digest(["cryosamu.embedding.protein_mpnn"])
        self.precision = precision
        self._device = device

    @classmethod
    def load(
        cls, weights: str | None, device: torch.device, precision: str = "float32"
    ) -> ProteinMPNN:
        """Return the encoder with the shipped weights, or with those of a converted file.

        Raises
        ------
        CheckpointError
            When the file does not hold these weights.
        """
        path = require_file(weights or SHIPPED_WEIGHTS, "weights file")
        network = ProteinMPNNEncoder()
        try:
            network.load_state_dict(load_file(path))
        except (SafetensorError, RuntimeError) as error:
            raise CheckpointError(
                f"{path}: does not hold the weights of ProteinMPNN's encoder; "
                "make it with tools/convert_protein_mpnn.py or leave the weights out."
            ) from error
        return cls(network, sha256_of(path), device, precision)

    def visible(self, chain: ProteinChain) -> NDArray[np.bool_]:
        """Return the residues, bool [residues], that have N, CA, C and O."""
        return np.asarray(np.isfinite(chain.backbone).all(axis=(1, 2)), np.bool_)

    def encode(self, chains: Sequence[ProteinChain]) -> list[NDArray[np.float32]]:
        """Return float32 [residues, 128] a chain, the chains seen as one complex."""
        visible = [self.visible(chain) for chain in chains]
        backbone = [chain.backbone[seen] for chain, seen in zip(chains, visible, strict=True)]
        positions = [
            places_in_chain(chain.residue_ids)[seen]
            for chain, seen in zip(chains, visible, strict=True)
        ]
        numbers = [np.full(len(rows), number) for number, rows in enumerate(backbone)]
        with torch.inference_mode(), computing_in(self.precision, self._device):
            vectors = self.network(
                self._tensor(backbone), self._tensor(positions), self._tensor(numbers)
            )
        embeddings = []
        for seen, rows in zip(
            visible, vectors.float().cpu().split([len(b) for b in backbone]), strict=True
        ):
            embedding = np.zeros((len(seen), WIDTH), np.float32)
            embedding[seen] = rows.numpy()
            embeddings.append(embedding)
        return embeddings

    def _tensor(self, parts: Sequence[NDArray[Any]]) -> torch.Tensor:
        return torch.from_numpy(np.concatenate(parts)).to(self._device)


def places_in_chain(residue_ids: Sequence[str]) -> NDArray[np.int64]:
    """Return each residue's place, int64 [residues], counting what a gap in the numbering leaves.

    A residue with an insertion code, or a number that does not grow, takes the next place.

    Parameters
    ----------
    residue_ids
        Author sequence number with insertion code.
    """
    numbers = np.array([_number(residue_id) for residue_id in residue_ids], np.int64)
    steps = np.diff(numbers, prepend=numbers[:1])
    return np.cumsum(np.where(steps > 0, steps, 1))


def _number(residue_id: str) -> int:
    found = _LEADING_NUMBER.match(residue_id)
    return int(found.group()) if found else 0
