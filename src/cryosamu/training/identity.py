"""Which run is which: all that shapes one, as digests and, for people, as differences."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cryosamu.config import OF_THE_MACHINE, NetworkSettings, TrainingSettings
from cryosamu.provenance import code_digest, digest_of
from cryosamu.tracking.folder import RunFolder
from cryosamu.tracking.runs import flattened
from cryosamu.training.pairs import TrainingData, TrainingPair

_CODE = ("cryosamu.network", "cryosamu.training")
_NAMED = 3
_IN_WORDS = {
    "code": "the code of network and training has changed",
    "weights": "the structure tokens are from other encoder weights",
    "started_from": "it began with another checkpoint, or with none",
}
"""Of what people would not read: digests."""


def recipe_of(
    data: TrainingData,
    network: NetworkSettings,
    training: TrainingSettings,
    started_from: str | None,
) -> dict[str, Any]:
    """Return all that shapes a run but the pairs, as JSON values; see `OF_THE_MACHINE`.

    Parameters
    ----------
    started_from
        SHA-256 of the checkpoint that it begins with.
    """
    return {
        "network": network.model_dump(mode="json"),
        "training": training.model_dump(mode="json", exclude=set(OF_THE_MACHINE)),
        "started_from": started_from,
        "embedding": data.embedding.model_dump(mode="json"),
        "embedding_width": data.embedding_width,
        "weights": data.weights_fingerprint,
        "preparation": data.preparation.model_dump(mode="json"),
        "code": code_digest(_CODE),
    }


def pair_digests(pairs: Iterable[TrainingPair]) -> dict[str, str]:
    """Return each pair's digest by its EMDB id."""
    return {pair.emdb_id: pair.digest for pair in pairs}


def data_digest(data: TrainingData) -> str:
    """Return a digest of the content of every pair and of its role."""
    return digest_of({"train": data.learnt(), "validation": pair_digests(data.validation)})


def why_not_resumed(state: Path, own: RunFolder, recipe: Mapping[str, Any]) -> str | None:
    """Return in words how the run at hand that is nearest to this one differs from it.

    Parameters
    ----------
    state
        The folder of states.
    own
        The folder of this run, which is none of those at hand.

    Returns
    -------
    str
        Such as "the unfinished run 1f0c at hand does not belong: training.crop was 48 and is 32";
        None where no run is at hand that says what it is.
    """
    found = []
    for about in sorted(state.glob("*/about.json")):
        folder = RunFolder(about.parent)
        former = _recipe_at(about)
        if folder.path != own.path and former is not None:
            kind = "finished" if folder.record.is_file() else "unfinished"
            found.append((_differences(former, recipe), f"{kind} run {folder.path.name}"))
    if not found:
        return None
    differences, name = min(found, key=lambda one: (len(one[0]), one[1]))
    if not differences:
        return f"the {name} at hand does not belong: it learns from, or is judged by, other maps"
    more = f" (and {len(differences) - _NAMED} more)" if len(differences) > _NAMED else ""
    return f"the {name} at hand does not belong: {', '.join(differences[:_NAMED])}{more}"


def _recipe_at(about: Path) -> Mapping[str, Any] | None:
    try:
        recipe = json.loads(about.read_text(encoding="utf-8"))["recipe_parts"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return recipe if isinstance(recipe, dict) else None


def _differences(former: Mapping[str, Any], recipe: Mapping[str, Any]) -> list[str]:
    """Return in words what differs, settings before code."""
    was, now = (flattened(json.loads(json.dumps(one))) for one in (former, recipe))
    keys = [key for key in sorted({*was, *now}) if was.get(key) != now.get(key)]
    named = [
        f"{key} was {was.get(key)} and is {now.get(key)}" for key in keys if key not in _IN_WORDS
    ]
    return named + [_IN_WORDS[key] for key in keys if key in _IN_WORDS]
