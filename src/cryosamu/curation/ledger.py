"""The ledger of a split: every assignment ever made for one seed and one set of shares.

An entry that leaves the data set and comes back finds its split again; a run with a threshold
changed puts no entry elsewhere. Another seed, or other shares, have another ledger.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from cryosamu.config import SplitSettings
from cryosamu.curation.entry import emdb_number
from cryosamu.curation.split import SPLITS, SplitName
from cryosamu.errors import CryosamuError
from cryosamu.files import writing_failed
from cryosamu.locks import one_at_a_time
from cryosamu.provenance import digest_of
from cryosamu.tables import LEDGER, read_table, write_table


def ledger_path(folder: Path, settings: SplitSettings) -> Path:
    """Return the path of the ledger for the seed and shares of these settings."""
    shaping = settings.model_dump(include={"seed", *SPLITS})
    return folder / f"{digest_of(shaping)[:16]}.parquet"


@contextmanager
def opened(path: Path) -> Iterator[dict[str, tuple[str, SplitName]]]:
    """Yield EMDB id to component and split; what is changed in it is written when the block ends.

    Two processes take turns. The file is replaced as a whole, and only if it changes.

    Raises
    ------
    CryosamuError
        When the file is not a ledger, or cannot be written.
    """
    try:
        with one_at_a_time(path) as hold:
            known = _read(path) if path.exists() else {}
            entries = dict(known)
            yield entries
            if entries != known:
                hold.check()
                _write(path, entries)
    except OSError as error:
        raise writing_failed(path, error) from error


def _read(path: Path) -> dict[str, tuple[str, SplitName]]:
    frame = read_table(path, LEDGER)
    if wrong := set(frame["split"]) - set(SPLITS):
        raise CryosamuError(f"{path}: holds an unknown split, {min(wrong)}; restore the ledger.")
    rows = zip(frame["cluster"], frame["split"], strict=True)
    return dict(zip(frame["emdb_id"], rows, strict=True))


def _write(path: Path, entries: Mapping[str, tuple[str, SplitName]]) -> None:
    ordered = sorted(entries, key=emdb_number)
    rows = [(emdb_id, *entries[emdb_id]) for emdb_id in ordered]
    write_table(path, pd.DataFrame(rows, columns=LEDGER.names), LEDGER)
