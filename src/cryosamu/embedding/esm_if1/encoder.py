"""The `esm_if1` backend: chains in, 512 numbers a residue out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cryosamu.embedding.esm_if1.messages import reorder_arithmetic
from cryosamu.embedding.esm_if1.package import inverse_folding
from cryosamu.embedding.esm_if1.weights import load_network
from cryosamu.embedding.precision import computing_in
from cryosamu.provenance import code_digest
from cryosamu.structure.model import ProteinChain

LINKER_RESIDUES = 10


class EsmIf1:
    """The encoder of ESM-IF1 (`esm_if1_gvp4_t16_142M_UR50`, Hsu et al., ICML 2022).

    Sees N, CA and C. A residue that lacks any is masked with infinite coordinates, as in
    training. Coordinates are taken as deposited: the first and last residue, and those beside a
    masked one, see the direction of the coordinates' origin, so that a shifted model gives
    slightly different vectors there. Several chains as one complex are joined by ten rows of
    padding, as fair-esm joins them.
    """

    name = "esm_if1"
    atoms = 3
    sees_origin = True

    def __init__(
        self, network: Any, fingerprint: str, device: torch.device, precision: str = "float32"
    ) -> None:
        reorder_arithmetic(network)
        self.network = network.eval().to(device)
        self.width = int(network.args.encoder_embed_dim)
        self.fingerprint = fingerprint
        self.code_version = code_digest(["cryosamu.embedding.esm_if1"])
        self.precision = precision
        self._device = device
        self._batch = inverse_folding().util.CoordBatchConverter(network.dictionary)

    @classmethod
    def load(
        cls,
        weights: str | None,
        device: torch.device,
        precision: str = "float32",
        cache: str | None = None,
    ) -> EsmIf1:
        """Return the encoder with weights from a file, or the published ones from the cache."""
        network, fingerprint = load_network(weights, cache)
        return cls(network, fingerprint, device, precision)

    def visible(self, chain: ProteinChain) -> NDArray[np.bool_]:
        """Return the residues, bool [residues], that have N, CA and C."""
        return chain.observed

    def encode(self, chains: Sequence[ProteinChain]) -> list[NDArray[np.float32]]:
        """Return float32 [residues, 512] a chain, the chains seen as one complex."""
        # fair-esm reads NaN as padding and infinity as a residue whose place is not known.
        linker = np.full((LINKER_RESIDUES, 3, 3), np.nan, np.float32)
        parts: list[NDArray[np.float32]] = []
        for chain in chains:
            parts += [linker, chain.backbone[:, :3]]
        coordinates = np.concatenate(parts[1:])
        rows, confidence, _, _, padding = self._batch(
            [(coordinates, None, None)], device=self._device
        )
        with torch.inference_mode(), computing_in(self.precision, self._device):
            encoded = self.network(rows, padding, confidence)["encoder_out"][0]
        # One row before and one behind mark the ends.
        vectors = encoded[1:-1, 0].float().cpu().numpy()
        lengths = [len(chain.backbone) for chain in chains]
        starts = np.cumsum([0] + [length + LINKER_RESIDUES for length in lengths[:-1]])
        return [
            vectors[start : start + length].copy()
            for start, length in zip(starts, lengths, strict=True)
        ]
