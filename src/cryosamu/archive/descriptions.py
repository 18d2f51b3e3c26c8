"""RCSB's word on models: what they are made of, which maps they belong to, what replaced them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any

from tqdm import tqdm

from cryosamu.archive import urls
from cryosamu.archive.answers import Answer, check_answer, shape_of
from cryosamu.archive.client import ArchiveClient, NotThereError, RefusalError
from cryosamu.archive.listing import warn
from cryosamu.archive.model_answers import (
    Model,
    RcsbAnswer,
    RcsbEntry,
    RemovedModel,
    SearchHits,
    model_of,
)
from cryosamu.archive.snapshot import Snapshot

_MODELS_A_QUESTION = 100
_MAPS_A_QUESTION = 500
_HITS_A_PAGE = 1000
_LONGEST_CHAIN = 8
_UNKNOWN = "null"


def models_of_maps(client: ArchiveClient, snapshot: Snapshot, maps: Sequence[str]) -> set[str]:
    """Return the PDB ids of all models that RCSB knows to be built from any of `maps`.

    Raises
    ------
    ArchiveError
        When RCSB's search does not answer, or not as expected.
    """
    found: set[str] = set()
    for batch in _batches(maps, _MAPS_A_QUESTION, "RCSB search"):
        start, total = 0, 1
        while start < total:
            question = urls.models_of_maps_query(batch, start, _HITS_A_PAGE)
            hits = _hits(client, snapshot, question)
            if hits.total_count > start and not hits.result_set:
                raise RefusalError(
                    f"{client.settings.rcsb_search}: 'result_set' is empty at {start} of "
                    f"{hits.total_count} models."
                )
            found.update(hit.identifier for hit in hits.result_set)
            start, total = start + len(hits.result_set), hits.total_count
    return found


def _hits(client: ArchiveClient, snapshot: Snapshot, question: dict[str, Any]) -> SearchHits:
    text = json.dumps(question, sort_keys=True)
    key = f"models of maps {shape_of(SearchHits)} {sha256(text.encode()).hexdigest()}"
    if (kept := snapshot.get(key)) is not None:
        return SearchHits.model_validate_json(kept)
    url = client.settings.rcsb_search
    answer = client.json(url, question)
    nothing = {"total_count": 0, "result_set": []}  # RCSB answers 204, without a body
    hits = check_answer(SearchHits, nothing if answer is None else answer, url)
    snapshot.put({key: _text(hits)})
    return hits


def read_models(
    client: ArchiveClient, snapshot: Snapshot, identifiers: Iterable[str]
) -> tuple[dict[str, Model], dict[str, list[str]]]:
    """Return what RCSB says of models, and what took the place of obsolete ones.

    Models that RCSB does not know, or describes in an unexpected way, are left out.

    Returns
    -------
    models
        By PDB id, successors of the obsolete included.
    replaced
        Obsolete PDB ids to their successors; none for one that was withdrawn.

    Raises
    ------
    ArchiveError
        When RCSB does not answer, or when a whole answer is not as expected.
    """
    models: dict[str, Model] = {}
    replaced: dict[str, list[str]] = {}
    waiting = set(identifiers)
    for _ in range(_LONGEST_CHAIN):
        if not waiting:
            break
        described, unknown = _describe(client, snapshot, sorted(waiting))
        models |= described
        removed = _read_removed(client, snapshot, unknown)
        replaced |= removed
        successors = {one for names in removed.values() for one in names}
        waiting = successors - models.keys() - replaced.keys()
    return models, replaced


def _describe(
    client: ArchiveClient, snapshot: Snapshot, identifiers: Sequence[str]
) -> tuple[dict[str, Model], list[str]]:
    """Return the models that RCSB describes, and the ids that it does not know."""
    prefix = f"model {shape_of(RcsbEntry)} "
    models: dict[str, Model] = {}
    unknown: list[str] = []
    for question, text in snapshot.get_many(prefix + one for one in identifiers):
        if text == _UNKNOWN:
            unknown.append(question.removeprefix(prefix))
        else:
            models[question.removeprefix(prefix)] = model_of(RcsbEntry.model_validate_json(text))
    kept = models.keys() | set(unknown)
    missing = [one for one in identifiers if one not in kept]
    for batch in _batches(missing, _MODELS_A_QUESTION, "RCSB models"):
        entries, faulty = _ask(client, batch)
        absent = [one for one in batch if one not in entries and one not in faulty]
        snapshot.put(
            {prefix + one: _text(entry) for one, entry in entries.items()}
            | {prefix + one: _UNKNOWN for one in absent}
        )
        models |= {one: model_of(entry) for one, entry in entries.items()}
        unknown += absent
    return models, sorted(unknown)


def _ask(client: ArchiveClient, batch: Sequence[str]) -> tuple[dict[str, RcsbEntry], set[str]]:
    """Return the sound descriptions of a batch, and the ids of those that are not sound."""
    url = client.settings.rcsb_data
    question = {"query": urls.RCSB_QUERY, "variables": {"ids": list(batch)}}
    answer = check_answer(RcsbAnswer, client.json(url, question), url)
    entries: dict[str, RcsbEntry] = {}
    faulty: set[str] = set()
    for value in answer.data.entries:
        if value is None:
            continue
        try:
            entry = check_answer(RcsbEntry, value, f"{url} ({value.get('rcsb_id')})")
        except RefusalError as error:
            warn(error)
            faulty.add(str(value.get("rcsb_id")).upper())
            continue
        if entry.rcsb_id in batch:
            entries[entry.rcsb_id] = entry
    return entries, faulty


def _read_removed(
    client: ArchiveClient, snapshot: Snapshot, identifiers: Sequence[str]
) -> dict[str, list[str]]:
    """Return the successors of those models that were removed; others are left out."""
    prefix = f"removed {shape_of(RemovedModel)} "
    kept = dict(snapshot.get_many(prefix + one for one in identifiers))
    removed: dict[str, list[str]] = {}
    bar = tqdm(identifiers, desc="removed models", unit="model", disable=None)
    for one in bar:
        text = kept.get(prefix + one)
        if text is None:
            text = _ask_removed(client, one)
            snapshot.put({prefix + one: text})
        if text != _UNKNOWN:
            removed[one] = RemovedModel.model_validate_json(text).removal.replaced_by
    return removed


def _ask_removed(client: ArchiveClient, identifier: str) -> str:
    url = urls.removed_model_url(client.settings, identifier)
    try:
        return _text(check_answer(RemovedModel, client.json(url), url))
    except NotThereError:
        return _UNKNOWN


def _text(answer: Answer) -> str:
    return answer.model_dump_json(by_alias=True)


def _batches(values: Sequence[str], size: int, name: str) -> Iterable[Sequence[str]]:
    starts = tqdm(range(0, len(values), size), desc=name, unit="question", disable=None)
    return (values[start : start + size] for start in starts)
