"""What every structure encoder offers, and how the settings choose one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cryosamu.config import EmbeddingSettings
from cryosamu.files import require_file, sha256_of
from cryosamu.structure.model import ProteinChain


class Encoder(Protocol):
    """A pre-trained network that describes each residue of a backbone by a vector.

    Attributes
    ----------
    name
        The backend's name in the settings.
    width
        Length of a residue's vector.
    fingerprint
        SHA-256 of the file that the weights came from.
    code_version
        Changes when the backend's code does, so that stored embeddings are made again.
    precision
        What it computes in: `float32` or `bfloat16`.
    atoms
        How many of N, CA, C, O it reads.
    sees_origin
        Whether its vectors change when a model is moved as a whole; turning a model about the
        origin of its coordinates changes nothing in either case.
    """

    name: str
    width: int
    fingerprint: str
    code_version: str
    precision: str
    atoms: int
    sees_origin: bool

    def visible(self, chain: ProteinChain) -> NDArray[np.bool_]:
        """Return the residues, bool [residues], that have all the atoms this encoder needs."""
        ...

    def encode(self, chains: Sequence[ProteinChain]) -> list[NDArray[np.float32]]:
        """Return float32 [residues, width] a chain, the given chains seen as one complex.

        Rows of residues that are not visible mean nothing and must be masked.
        """
        ...


def load_encoder(settings: EmbeddingSettings) -> Encoder:
    """Return the encoder that the settings name, its weights loaded, ready on its device.

    Raises
    ------
    CryosamuError
        When the weights are absent or damaged, or the device is not there.
    """
    # Here, because torch is heavy and the store needs the interface alone.
    from cryosamu.device import choose_device

    device = choose_device(settings.device)
    if settings.backend == "protein_mpnn":
        from cryosamu.embedding.protein_mpnn.encoder import ProteinMPNN

        return ProteinMPNN.load(settings.weights, device, settings.precision)
    from cryosamu.embedding.esm_if1.encoder import EsmIf1

    return EsmIf1.load(settings.weights, device, settings.precision, settings.cache)


def weights_sha256(settings: EmbeddingSettings) -> str:
    """Return the SHA-256 of the file of weights that `load_encoder` takes, none of them loaded.

    Raises
    ------
    CryosamuError
        When a named file is not there.
    """
    if settings.weights is not None:
        return sha256_of(require_file(settings.weights, "file of weights"))
    if settings.backend == "protein_mpnn":
        from cryosamu.embedding.protein_mpnn.encoder import SHIPPED_WEIGHTS

        return sha256_of(SHIPPED_WEIGHTS)
    from cryosamu.embedding.esm_if1.weights import ESM_IF1

    return ESM_IF1.sha256
