"""Which models are fetched together: lists of ids that stay as they are when others grow."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from pathlib import Path

from cryosamu.archive import urls
from cryosamu.errors import ArchiveError
from cryosamu.files import require_file, write_text


def list_of(identifier: str, lists: int) -> int:
    """Return the list, from 0, that a model belongs to: by its id alone, so none ever moves."""
    return zlib.crc32(urls.pdb_id(identifier).encode()) % lists


def write_lists(folder: Path, identifiers: Iterable[str], lists: int) -> None:
    """Write FOLDER/0.txt and so on, one id a line, sorted; empty lists too."""
    chosen = sorted({urls.pdb_id(identifier) for identifier in identifiers})
    for number in range(lists):
        members = [identifier for identifier in chosen if list_of(identifier, lists) == number]
        write_text(folder / f"{number}.txt", "".join(f"{member}\n" for member in members))


def read_list(path: Path) -> list[str]:
    """Return the ids of a list, each once, in its order; blank lines are skipped.

    Raises
    ------
    CryosamuError
        When the file is missing, or a line is not a PDB id.
    """
    text = require_file(path, "list of models").read_text(encoding="utf-8", errors="replace")
    identifiers: dict[str, None] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            identifiers[urls.pdb_id(line)] = None
        except ArchiveError as error:
            raise ArchiveError(f"{path} line {number}: {error}") from None
    return list(identifiers)
