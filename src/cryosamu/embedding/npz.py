"""A user's file of embeddings: one 2-D array a chain, read by numpy without pickle."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cryosamu.embedding.embed import StructureEmbedding
from cryosamu.errors import ModelError
from cryosamu.files import atomic_path

_OF_A_CHAIN = ("label_id", "author_id", "entity_id", "copy_of")


def write_embedding(path: Path | str, embedding: StructureEmbedding) -> None:
    """Write an .npz file that numpy reads without pickle.

    For each chain, named by its label id: `A` float32 [residues, width], `A.observed` bool and
    `A.residue_ids`; and `metadata.json`, one string, that tells the rest.

    Raises
    ------
    ModelError
        When two chains have the same label id.
    """
    (label, count), *_ = Counter(chain.label_id for chain in embedding.chains).most_common(1)
    if count > 1:
        raise ModelError(
            f"{embedding.model_id}: {count} chains have the label id {label}; give each its own."
        )
    arrays: dict[str, NDArray[np.generic]] = {}
    for chain in embedding.chains:
        arrays[chain.label_id] = chain.vectors
        arrays[f"{chain.label_id}.observed"] = chain.observed
        arrays[f"{chain.label_id}.residue_ids"] = np.array(chain.residue_ids)
    metadata = {
        "model_id": embedding.model_id,
        "backend": embedding.backend,
        "weights_sha256": embedding.fingerprint,
        "code_version": embedding.code_version,
        "width": embedding.width,
        "options": {
            "mode": embedding.mode,
            "precision": embedding.precision,
            "copies": embedding.copies,
        },
        "chains": [{name: getattr(c, name) for name in _OF_A_CHAIN} for c in embedding.chains],
        "chains_refused": [asdict(chain) for chain in embedding.refused],
        "notes": embedding.notes,
    }
    arrays["metadata.json"] = np.array(json.dumps(metadata, sort_keys=True))
    with atomic_path(path) as temporary, open(temporary, "wb") as handle:
        np.savez(handle, allow_pickle=False, **arrays)
