"""Holding a rebuilt data set against its lock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from cryosamu.archive.record import FetchRecord
from cryosamu.config import Config
from cryosamu.curation.lock import Lock, LockedFile, LockedPair, Values, shaping_settings
from cryosamu.curation.locking import measured_numbers
from cryosamu.curation.measurement import FailedMeasurement, Measurement
from cryosamu.files import sha256_of
from cryosamu.provenance import software_versions, source_commit

TOLERANCE = 1e-4
"""Largest difference of a measured number, for numbers above 1 as a share of it."""


_SEARCHED = ("displacement", "motion", "repaired", "rotation_angle", "shift")
_SEARCHED_TOLERANCE = 0.02
"""Å, degrees: where a search ends hangs on the last bits of the machine's arithmetic."""


@dataclass(frozen=True)
class Difference:
    """One thing that is not as locked."""

    what: str
    expected: object
    found: object

    def __str__(self) -> str:
        return f"{self.what}: expected {self.expected}, found {self.found}"


def verify(
    lock: Lock,
    measurements: Mapping[str, Measurement | FailedMeasurement],
    maps: Mapping[str, FetchRecord],
    models: Mapping[str, FetchRecord],
    config: Config,
    tolerance: float = TOLERANCE,
) -> list[Difference]:
    """Return all differences between a lock and what was fetched, measured and configured now.

    The files themselves are read and hashed again, not their records believed.

    Parameters
    ----------
    measurements, maps
        By EMDB id.
    models
        By PDB id.
    """
    found = settings_differences(lock.settings, shaping_settings(config))
    for emdb_id, pair in tqdm(lock.pairs.items(), desc="pairs", unit="pair", disable=None):
        pdb_id = pair.pair["pdb_id"]
        found += _file_differences(f"{emdb_id} map", pair.map, maps.get(emdb_id))
        found += _file_differences(f"{emdb_id} model {pdb_id}", pair.model, models.get(pdb_id))
        found += _number_differences(emdb_id, pair, measurements.get(emdb_id), tolerance)
    return found


def version_notes(lock: Lock) -> list[str]:
    """Return a line a package whose version is not the locked one, and one for the commit."""
    now = {**software_versions(), "commit": source_commit() or "unknown"}
    then = {**lock.software, "commit": lock.commit or "unknown"}
    return [
        f"{name}: locked with {then.get(name, 'none')}, now {now.get(name, 'none')}"
        for name in sorted(then.keys() | now.keys())
        if then.get(name) != now.get(name)
    ]


def settings_differences(locked: Values, now: Values) -> list[Difference]:
    """Return the keys whose values differ, dotted."""
    then, present = dict(_leaves(locked)), dict(_leaves(now))
    return [
        Difference(f"setting {key}", then.get(key, "nothing"), present.get(key, "nothing"))
        for key in sorted(then.keys() | present.keys())
        if then.get(key, "nothing") != present.get(key, "nothing")
    ]


def _leaves(values: Values, prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _file_differences(
    what: str, locked: LockedFile, record: FetchRecord | None
) -> list[Difference]:
    if record is None:
        return [Difference(what, "a fetched file", "no record of a fetch")]
    if record.status == "failed" or record.path is None:
        return [Difference(what, "a fetched file", record.error or "a failed fetch")]
    path = Path(record.path)
    if not path.is_file():
        return [Difference(what, "a fetched file", f"nothing at {path}")]
    present = (("bytes", path.stat().st_size), ("sha256", sha256_of(path)))
    return [
        Difference(f"{what} {name}", getattr(locked, name), value)
        for name, value in present
        if value != getattr(locked, name)
    ]


def _number_differences(
    emdb_id: str,
    pair: LockedPair,
    measured: Measurement | FailedMeasurement | None,
    tolerance: float,
) -> list[Difference]:
    what = f"{emdb_id} measurement"
    if not isinstance(measured, Measurement):
        found = "none" if measured is None else measured.error
        return [Difference(what, "numbers", found)]
    if measured.pdb_id != pair.pair["pdb_id"]:
        return [Difference(f"{what} model", pair.pair["pdb_id"], measured.pdb_id)]
    sums = (
        (f"{what} of map sha256", pair.map.sha256, measured.map_sha256),
        (f"{what} of model sha256", pair.model.sha256, measured.model_sha256),
    )
    of_another = [Difference(*one) for one in sums if one[1] != one[2]]
    then, now = dict(_leaves(pair.measured)), dict(_leaves(measured_numbers(measured)))
    return of_another + [
        Difference(f"{emdb_id} {name}", then.get(name), now.get(name))
        for name in sorted(then.keys() | now.keys())
        if not _agree(then.get(name), now.get(name), _tolerance_of(name, tolerance))
    ]


def _tolerance_of(name: str, tolerance: float) -> float:
    return max(tolerance, _SEARCHED_TOLERANCE) if name.startswith(_SEARCHED) else tolerance


def _agree(first: object, second: object, tolerance: float) -> bool:
    """Return whether two JSON values are equal, numbers within the tolerance."""
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(
            _agree(*both, tolerance) for both in zip(first, second, strict=True)
        )
    if isinstance(first, (int, float)) and isinstance(second, (int, float)):
        return abs(first - second) <= tolerance * max(1.0, abs(first))
    return first == second
