"""Values on disk for as long as a run needs them, so that its memory does not grow with its source.

What belongs here: the temporary file. What does not: what is in it (`recording`, `rehearsal`).
"""

from __future__ import annotations

import os
import pickle
import sqlite3
import tempfile
from collections.abc import Generator, Iterable
from contextlib import closing
from typing import Any

from rag_pipelines.fingerprint import text_key

Question = tuple[str, ...]

_TABLES = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE entry (place INTEGER PRIMARY KEY, kind TEXT NOT NULL, value BLOB NOT NULL);
CREATE TABLE answer (question BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
"""


class Spool:
    """Values in a temporary file: lists in their order, and answers by their questions. Close it after use.

    They are pickled: a listing may hold any text and any value that its connector makes of it, and nobody
    else writes the file.
    """

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="rag-pipelines-plan-")
        self._file = sqlite3.connect(os.path.join(self._folder.name, "spool"), isolation_level=None)
        self._file.executescript(_TABLES)
        self._taken = 0

    def append(self, kind: str, values: Iterable[Any]) -> None:
        """Add to the list `kind`; what one call adds is kept in one piece."""
        row = (kind, pickle.dumps(list(values)))
        self._file.execute("INSERT INTO entry (kind, value) VALUES (?, ?)", row)

    def read(self, kind: str) -> Generator[Any]:
        """The list `kind`, from its beginning."""
        rows = self._file.execute("SELECT value FROM entry WHERE kind = ? ORDER BY place", (kind,))
        with closing(rows):
            for (values,) in rows:
                yield from pickle.loads(values)

    def take(self, kind: str) -> Generator[Any]:
        """The list `kind` as it is now, from its beginning; what is added later begins a new one."""
        taken = f"{kind} {self._taken}"
        self._taken += 1
        self._file.execute("UPDATE entry SET kind = ? WHERE kind = ?", (taken, kind))
        return self.read(taken)

    def answer(self, question: Question, value: Any) -> None:
        """Keep the answer to a question; a later one replaces it."""
        row = (text_key(*question).bytes, pickle.dumps(value))
        self._file.execute("INSERT OR REPLACE INTO answer (question, value) VALUES (?, ?)", row)

    def ask(self, question: Question) -> Any:
        """The answer to a question, None where there is none."""
        key = text_key(*question).bytes
        row = self._file.execute("SELECT value FROM answer WHERE question = ?", (key,)).fetchone()
        return pickle.loads(row[0]) if row else None

    def close(self) -> None:
        """Give the file up."""
        self._file.close()
        self._folder.cleanup()
