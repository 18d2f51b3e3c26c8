"""A checkpoint as what the controls of the evaluation put to the test."""

from __future__ import annotations

from pathlib import Path

from cryosamu.config import EmbeddingSettings, EnhancementSettings
from cryosamu.embedding.pooling import Pooled
from cryosamu.enhancement.conditions import another, permuted
from cryosamu.enhancement.released import released_checkpoint
from cryosamu.enhancement.structure import embed_and_pool, structure_tokens
from cryosamu.enhancement.whole_map import enhance
from cryosamu.errors import CryosamuError
from cryosamu.evaluation.controls.perturbation import perturbed
from cryosamu.evaluation.controls.subject import Condition, Subject
from cryosamu.network.checkpoint import load_checkpoint
from cryosamu.structure.model import read_model
from cryosamu.volume.volume import FloatArray, Volume

DISPLACEMENT_RATIO = 0.5
"""Errors made up in a model as a share of the map's resolution: 2–4 Å, as predictions have them."""


def trial_of(
    volume: Volume,
    resolution: float,
    *,
    checkpoint: Path | None,
    model_path: Path | None,
    predicted_path: Path | None,
    contour: float | None,
    halves: tuple[Volume, Volume] | None,
    enhancement: EnhancementSettings,
    embedding: EmbeddingSettings,
) -> tuple[Subject, dict[str, Path]]:
    """Return a checkpoint on a map under every condition, and the files it was made from.

    Parameters
    ----------
    resolution
        Reported resolution, Å.
    checkpoint
        The packaged one where None.
    predicted_path
        A model with errors, in the map's frame; the given one with errors made up where None.

    Raises
    ------
    CryosamuError
        When a file cannot be used.
    """
    checkpoint = checkpoint or released_checkpoint()
    network, header = load_checkpoint(checkpoint)
    inputs = {"checkpoint": checkpoint}
    tokens: dict[Condition, Pooled | None] = {"none": None}
    structure = wrong = None
    missing: dict[Condition, str] = {}
    if model_path is not None:
        inputs["model"] = model_path
        structure = read_model(model_path)
        given = structure_tokens(model_path, volume, header, embedding)
        tokens |= {"true": given, "permuted": permuted(given)}
        tokens["another"] = another(header, embedding, model_path)
        if predicted_path is not None:
            inputs["predicted"] = predicted_path
            wrong = read_model(predicted_path)
        else:
            wrong = perturbed(structure, DISPLACEMENT_RATIO * resolution)
        try:
            tokens["perturbed"] = embed_and_pool(wrong, header, embedding)
        except CryosamuError as error:
            missing["perturbed"] = f"the model with errors cannot be embedded ({error})"

    def enhance_under(shown: Volume, condition: Condition) -> FloatArray:
        pooled = tokens[condition]
        told, mask = (None, None) if pooled is None else (pooled.tokens, pooled.mask)
        made = enhance(shown, network, header, told, mask, enhancement, progress=False)
        return made.volume.data

    subject = Subject(
        volume,
        resolution,
        enhance_under,
        structure=structure,
        perturbed=wrong,
        missing=missing,
        contour=contour,
        halves=halves,
    )
    return subject, inputs
