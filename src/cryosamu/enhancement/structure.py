"""The structure tokens that a checkpoint expects of a user's model."""

from __future__ import annotations

import tempfile
from pathlib import Path

import gemmi

from cryosamu.config import EmbeddingSettings
from cryosamu.embedding.embed import embed_model, pool_embedding
from cryosamu.embedding.encoder import load_encoder
from cryosamu.embedding.pooling import Pooled
from cryosamu.embedding.store import EmbeddingStore
from cryosamu.errors import CheckpointError, ModelError
from cryosamu.network.checkpoint import CheckpointHeader
from cryosamu.preparation import require_inside
from cryosamu.structure.model import heavy_atoms, protein_chains, read_model
from cryosamu.volume.volume import Volume

Model = Path | str | gemmi.Structure
"""A model's file, or the model as gemmi holds it."""


def structure_of(model: Model) -> gemmi.Structure:
    """Return a model, read if it is a file."""
    return model if isinstance(model, gemmi.Structure) else read_model(model)


def name_of(model: Model) -> str:
    """Return what a model is called in a sentence: its path, or "the model"."""
    return "the model" if isinstance(model, gemmi.Structure) else str(model)


def structure_tokens(
    model: Model, volume: Volume, header: CheckpointHeader, settings: EmbeddingSettings
) -> Pooled:
    """Embed and pool a model in the way that the checkpoint was trained with.

    Parameters
    ----------
    volume
        The map that the model is said to lie in.
    settings
        Where the weights and the store of embeddings lie and where to run the encoder; all else
        the checkpoint says.

    Raises
    ------
    ModelError
        When the model lies outside the map, or has no protein chain.
    CheckpointError
        When the encoder's weights are not those that the checkpoint was trained with.
    """
    structure = structure_of(model)
    try:
        require_inside(heavy_atoms(structure), volume)
    except ModelError as error:
        raise ModelError(f"{name_of(model)}: {error}") from error
    return embed_and_pool(model, header, settings)


def embed_and_pool(model: Model, header: CheckpointHeader, settings: EmbeddingSettings) -> Pooled:
    """Return a model's tokens as the checkpoint wants them, wherever the model lies.

    The store of embeddings knows files by their checksums; of a model in memory none is kept.

    Raises
    ------
    ModelError, CheckpointError
        As `structure_tokens`.
    """
    if not protein_chains(structure_of(model)):
        raise ModelError(f"{name_of(model)}: has no protein chain to embed; leave the model out.")
    if isinstance(model, gemmi.Structure):
        with tempfile.TemporaryDirectory(prefix="cryosamu-") as folder:
            path = Path(folder) / "model.cif"
            path.write_text(model.make_mmcif_document().as_string(), encoding="utf-8")
            return embed_and_pool(path, header, settings.model_copy(update={"store": None}))
    # The encoders take seconds on a CPU and are not tested on Apple's GPUs.
    device = "cpu" if settings.device == "mps" else settings.device
    weights = settings.weights if settings.backend == header.embedding.backend else None
    places = {"device": device, "weights": weights, "cache": settings.cache}
    wanted = header.embedding.model_copy(update=places)
    encoder = load_encoder(wanted)
    if encoder.fingerprint != header.weights_fingerprint:
        raise CheckpointError(
            f"the checkpoint was trained with other weights of {encoder.name} than those at hand; "
            "set 'embedding.weights' to the weights that it was trained with."
        )
    store = EmbeddingStore(settings.store) if settings.store else None
    return pool_embedding(embed_model(model, encoder, wanted, store), wanted.pooling)
