"""Which model stands for a map: the stated rule, and in words what it found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cryosamu.archive.model_answers import Model


@dataclass(frozen=True, slots=True)
class Choice:
    """The model that stands for a map.

    Attributes
    ----------
    pdb_id
        None where the map has no model that is still in the PDB.
    pdb_ids
        All of the map's models, obsolete ones replaced by their successors.
    reason
        Why it is this one; or why there is none.
    built_from_map
        Whether RCSB says that the model was built from this map; None where it does not say.
    """

    pdb_id: str | None
    pdb_ids: tuple[str, ...]
    reason: str
    built_from_map: bool | None


def choose_model(
    emdb_id: str,
    named: Sequence[str],
    models: Mapping[str, Model],
    replaced: Mapping[str, Sequence[str]],
) -> Choice:
    """Choose the model that stands for a map.

    Obsolete models give way to their successors. Of several, those that were built from this very
    map come first, of these the one with most modelled residues, of equals the one named first.

    Parameters
    ----------
    named
        PDB ids that the archives name for the map, in their order.
    models
        Those that RCSB describes.
    replaced
        Obsolete PDB ids to their successors; none for one that was withdrawn.
    """
    current = list(dict.fromkeys(one for name in named for one in _current(name, replaced)))
    gone = [name for name in named if name in replaced]
    if not current:
        reason = f"Removed from the PDB without a successor: {', '.join(gone)}." if gone else (
            "The archives name no model."
        )  # fmt: skip
        return Choice(None, (), reason, None)
    known = [models[one] for one in current if one in models]
    if not known:
        reason = (
            "The first one named; RCSB describes none." if len(current) > 1 else "The only one."
        )
        return Choice(current[0], tuple(current), reason, None)
    own = [model for model in known if emdb_id in model.maps]
    rivals = own or known
    chosen = max(rivals, key=lambda model: model.modelled_residues or 0)
    reason = _reason(chosen, len(current), len(own), rivals)
    if gone:
        reason += f" Obsolete: {', '.join(gone)}."
    return Choice(chosen.pdb_id, tuple(current), reason, bool(own) if chosen.maps else None)


def _reason(chosen: Model, count: int, own: int, rivals: Sequence[Model]) -> str:
    if count == 1:
        return "The only one."
    if own == 1:
        return f"Of {count} the one built from this map."
    if len(rivals) == 1:
        return f"Of {count} the one that RCSB describes."
    whence = f"{own} of {count} built from this map" if own else f"{count} models"
    best = [model for model in rivals if model.modelled_residues == chosen.modelled_residues]
    if len(best) == 1:
        return f"Of {whence} the most complete ({chosen.modelled_residues} residues)."
    return f"Of {whence} the first of the most complete."


def _current(name: str, replaced: Mapping[str, Sequence[str]]) -> Iterable[str]:
    """Yield what stands for a PDB id today: itself, or the ends of its chain of successors."""
    waiting, seen = [name], set[str]()
    while waiting:
        one = waiting.pop(0)
        if one in seen:
            continue
        seen.add(one)
        if one in replaced:
            waiting.extend(replaced[one])
        else:
            yield one
