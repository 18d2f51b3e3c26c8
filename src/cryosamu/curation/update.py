"""What a new query would do to a locked data set, told before anything is done.

The metadata filters judge the new catalogue, and the map filters the locked numbers of the locked
pairs. Which of the new candidates stay, their models and maps will tell; and a new entry that is
similar to a pair and better resolved takes its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass

import pandas as pd
from pydantic import ValidationError

from cryosamu.config import Config
from cryosamu.curation.entry import Entry, emdb_number, entries_of
from cryosamu.curation.filters import map_filters, metadata_filters
from cryosamu.curation.lock import Lock, Values, rows_of, shaping_settings
from cryosamu.curation.measurement import Measurement
from cryosamu.curation.stages import judge_metadata
from cryosamu.curation.verification import Difference, settings_differences
from cryosamu.tables import CATALOGUE

_WITHOUT_EFFECT = frozenset({"title"})
_KILOBYTES_PER_GIGABYTE = 1e6


@dataclass(frozen=True)
class Candidate:
    """An entry that the metadata let through and that is to be fetched and judged.

    Attributes
    ----------
    why
        ``never judged``, or the filter that rejected or could not judge it when the lock was made.
    gigabytes
        Size of the uncompressed map, if the archive states it.
    """

    emdb_id: str
    pdb_id: str | None
    resolution: float | None
    gigabytes: float | None
    why: str


@dataclass(frozen=True)
class Drop:
    """A locked pair that would leave, and why."""

    emdb_id: str
    reason: str


@dataclass(frozen=True)
class Change:
    """A locked pair that the archive now describes otherwise."""

    emdb_id: str
    column: str
    locked: object
    now: object


@dataclass(frozen=True)
class Update:
    """What would be added, dropped and changed.

    Attributes
    ----------
    settings
        Settings that differ from the locked ones, the query's label left out.
    """

    add: list[Candidate]
    drop: list[Drop]
    change: list[Change]
    settings: list[Difference]

    @property
    def gigabytes(self) -> float:
        """Sum of the candidates' uncompressed maps of known size: more than is downloaded."""
        return sum(one.gigabytes or 0.0 for one in self.add)

    @property
    def of_unknown_size(self) -> int:
        """Candidates whose map's size the archive does not state."""
        return sum(one.gigabytes is None for one in self.add)

    def values(self) -> Values:
        """Return everything as JSON values."""
        return asdict(self) | {
            "gigabytes": self.gigabytes,
            "of_unknown_size": self.of_unknown_size,
        }


def plan_update(lock: Lock, catalogue: pd.DataFrame, config: Config) -> Update:
    """Hold a new CATALOGUE table against a lock."""
    entries = entries_of(catalogue)
    limit = config.archive.maximum_map_gigabytes
    decisions = judge_metadata(entries, config.curation, limit)
    ended = decisions[decisions["verdict"] != "keep"]
    stopped = dict(zip(ended["emdb_id"], ended["reason"], strict=True))
    names = {one.name for one in metadata_filters(config.curation, limit)}
    dropped = list(_drops(lock, entries, stopped, config))
    gone = {one.emdb_id for one in dropped}
    rows = rows_of(catalogue, CATALOGUE)
    differing = settings_differences(lock.settings, shaping_settings(config))
    return Update(
        add=list(_candidates(lock, entries, stopped, names)),
        drop=dropped,
        change=[
            change
            for emdb_id, pair in lock.pairs.items()
            if emdb_id not in gone
            for change in _changes(emdb_id, pair.catalogue, rows[emdb_id])
        ],
        settings=[one for one in differing if one.what != "setting catalogue.snapshot"],
    )


def _candidates(
    lock: Lock, entries: Mapping[str, Entry], stopped: Mapping[str, str], metadata: set[str]
) -> Iterator[Candidate]:
    """Yield what the metadata let through now, unless a model or map spoke against it before.

    Parameters
    ----------
    stopped
        EMDB id to the reason of the metadata filter that does not keep it now.
    metadata
        Names of the metadata filters.
    """
    for emdb_id in sorted(entries, key=emdb_number):
        if emdb_id in stopped or emdb_id in lock.pairs:
            continue
        rejected, failed = lock.rejected.get(emdb_id), lock.failed.get(emdb_id)
        if rejected is not None and rejected not in metadata:
            continue
        why = "never judged"
        if rejected is not None:
            why = f"rejected by {rejected} before"
        elif failed is not None:
            why = f"{failed} failed before"
        entry = entries[emdb_id]
        size = entry.map_kilobytes
        yield Candidate(
            emdb_id,
            entry.pdb_id,
            entry.resolution,
            None if size is None else size / _KILOBYTES_PER_GIGABYTE,
            why,
        )


def _drops(
    lock: Lock, entries: Mapping[str, Entry], stopped: Mapping[str, str], config: Config
) -> Iterator[Drop]:
    for emdb_id, pair in lock.pairs.items():
        if emdb_id not in entries:
            yield Drop(emdb_id, "The archive does not list it any more.")
        elif emdb_id in stopped:
            yield Drop(emdb_id, stopped[emdb_id])
        else:
            identity = {"emdb_id": emdb_id, "pdb_id": pair.pair["pdb_id"]}
            sums = {"map_sha256": pair.map.sha256, "model_sha256": pair.model.sha256}
            yield from _failing(identity | sums | pair.measured, config)


def _failing(values: Values, config: Config) -> Iterator[Drop]:
    """Yield a drop if the map filters, at the thresholds of now, do not keep locked numbers."""
    try:
        measured = Measurement.model_validate(values)
    except ValidationError:
        return  # measured by another version: the run will measure it again
    for one in map_filters(config.curation):
        decision = one.judge(measured)
        if decision.verdict != "keep":
            yield Drop(measured.emdb_id, decision.reason)
            return


def _changes(emdb_id: str, locked: Values, now: Values) -> Iterator[Change]:
    for column in CATALOGUE.names:
        before, after = locked.get(column), now.get(column)
        if before != after and column not in _WITHOUT_EFFECT and column != "emdb_id":
            yield Change(emdb_id, column, before, after)


def update_lines(update: Update) -> Iterator[str]:
    """Yield the update as a table of lines, and its sum."""
    for one in update.settings:
        yield f"{one}"
    for new in update.add:
        resolution = "?" if new.resolution is None else f"{new.resolution:g}"
        size = "?" if new.gigabytes is None else f"{new.gigabytes:.3f}"
        yield (
            f"add     {new.emdb_id:<11} {new.pdb_id or '?':<6} {resolution:>5} Å"
            f" {size:>7} GB  {new.why}"
        )
    for old in update.drop:
        yield f"drop    {old.emdb_id:<11} {old.reason}"
    for change in update.change:
        before, after = _short([change.locked, change.now])
        yield f"change  {change.emdb_id:<11} {change.column}: {before} → {after}"
    unknown = f" and {update.of_unknown_size} of unknown size" if update.of_unknown_size else ""
    yield (
        f"{len(update.add)} to judge (maps of at most {update.gigabytes:.3g} GB{unknown}), "
        f"{len(update.drop)} to drop, "
        f"{len({one.emdb_id for one in update.change})} to look at again."
    )


def _short(values: Iterable[object]) -> list[str]:
    words = ("nothing" if value is None else str(value) for value in values)
    return [f"{word[:37]}..." if len(word) > 40 else word for word in words]
