"""Keeping what goes wrong with one entry away from the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from cryosamu.archive.record import FetchRecord
from cryosamu.errors import ArchiveError, CryosamuError

Result = TypeVar("Result")


@dataclass(frozen=True)
class Failure:
    """The sentence of what went wrong with an entry."""

    sentence: str


def attempt(work: Callable[[], Result]) -> Result | Failure:
    """Return what `work` gives, or the failure that it ended in.

    Any exception: the models and maps of an archive hold surprises for every library, and one of
    them must not end the work on thousands. Only a lack of memory goes on, since it says more
    about the machine than about the entry.
    """
    try:
        return work()
    except CryosamuError as error:
        return Failure(str(error))
    except MemoryError:
        raise
    except Exception as error:
        return Failure(f"It could not be handled ({type(error).__name__}: {error}).")


def fetched_path(record: FetchRecord) -> Path:
    """Return the path of a fetched file.

    Raises
    ------
    ArchiveError
        With the archive's sentence, when the fetch failed.
    """
    if record.status == "failed" or record.path is None:
        raise ArchiveError(record.error or f"{record.id}: could not be fetched.")
    return Path(record.path)
