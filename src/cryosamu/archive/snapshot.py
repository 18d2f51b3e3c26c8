"""Answers that were received once, kept under the snapshot's name so that none is asked twice."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from cryosamu.errors import ArchiveError
from cryosamu.files import writing_failed
from cryosamu.locks import one_at_a_time

_BATCH = 500


class Snapshot:
    """One SQLite file of answers by question, in text; it may be shared by processes and hosts.

    SQLite's own locks do not hold on every shared file system: it is told to take none, and one
    process at a time opens the file. An answer counts once it is committed: a process that is
    killed leaves those before, whole. Only answers that passed their checks belong here.

    Parameters
    ----------
    path
        Such as STORE/archive/answers/2026-11-22.sqlite; its folder is made.

    Raises
    ------
    CryosamuError
        When the file cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._connected() as database:
            database.execute(
                "CREATE TABLE IF NOT EXISTS answers"
                " (question TEXT PRIMARY KEY, answer TEXT NOT NULL) WITHOUT ROWID"
            )

    def get(self, question: str) -> str | None:
        """Return the answer to one question, or None where there is none yet."""
        return dict(self.get_many([question])).get(question)

    def get_many(self, questions: Iterable[str]) -> Iterator[tuple[str, str]]:
        """Yield (question, answer) for those questions that were answered."""
        asked = list(questions)
        for start in range(0, len(asked), _BATCH):
            batch = asked[start : start + _BATCH]
            marks = ",".join("?" * len(batch))
            with self._connected() as database:
                found = database.execute(
                    f"SELECT question, answer FROM answers WHERE question IN ({marks})", batch
                ).fetchall()
            yield from found

    def put(self, answers: Mapping[str, str]) -> None:
        """Keep answers, all of them or none.

        Raises
        ------
        ArchiveError
            When they cannot be written.
        """
        with self._connected() as database:
            database.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?)", answers.items())

    def forget(self, questions: Iterable[str]) -> None:
        """Remove answers that turned out not to belong together."""
        with self._connected() as database:
            database.executemany(
                "DELETE FROM answers WHERE question = ?", [(one,) for one in questions]
            )

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        """Yield the file, opened for this block alone; what was changed is kept at its end."""
        address = f"file:{quote(str(self.path.absolute()))}?nolock=1"
        try:
            with (
                one_at_a_time(self.path) as hold,
                closing(sqlite3.connect(address, uri=True)) as database,
                database,
            ):
                yield database
                hold.check()
        except OSError as error:
            raise writing_failed(self.path, error) from error
        except sqlite3.DatabaseError as error:
            raise ArchiveError(
                f"{self.path}: the kept answers cannot be used ({error}); "
                "check the disk, or delete the file to ask the archives again."
            ) from error
