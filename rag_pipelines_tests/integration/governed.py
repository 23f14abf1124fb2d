"""A source whose documents have labels and dates: rows of a CSV file, for tests of what may be kept.

What belongs here: the set-up and its verbs. What does not: assertions.
"""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from typing import Any

from rag_pipelines_tests.integration.workspace import Workspace

WORDS = {"a": "albatross", "b": "bittern", "c": "cormorant", "d": "dunlin"}


def days_ago(days: float) -> str:
    """A moment in the past as sources write it."""
    return (datetime.now(UTC) - timedelta(days=days)).isoformat()


class Rows:
    """The rows of the source `docs` of a workspace: id, text, label, and when they were made and changed."""

    def __init__(self, workspace: Workspace, **source: Any) -> None:
        self.workspace = workspace
        self.file = workspace.folder / "rows.csv"
        self.rows: dict[str, dict[str, str]] = {}
        options = {
            "path": str(self.file),
            "metadata": ["label", "created_at"],
            "modified_at": "modified_at",
        }
        workspace.document["sources"]["docs"] = {
            "connector": "records",
            "options": options,
            "access": "public",
            "delete_guard": {"share": 1.0},
            **source,
        }
        for one, word in WORDS.items():
            self.put(one, text=f"The {word} is row {one}.")

    @property
    def source(self) -> dict[str, Any]:
        """The configuration of the source, to be changed."""
        return self.workspace.document["sources"]["docs"]  # type: ignore[no-any-return]

    def put(self, one: str, **values: str) -> None:
        """Add a row, or change values of one; the time of its change stays unless it is given."""
        empty = {"id": one, "text": "", "label": "", "created_at": "", "modified_at": days_ago(1)}
        self.rows[one] = {**empty, **self.rows.get(one, {}), **values}
        self._write()

    def drop(self, *ids: str) -> None:
        """Take rows out."""
        for one in ids:
            del self.rows[one]
        self._write()

    def _write(self) -> None:
        with self.file.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, ["id", "text", "label", "created_at", "modified_at"])
            writer.writeheader()
            writer.writerows(self.rows.values())

    def found(self, **options: Any) -> set[str]:
        """The rows that a search for their words finds."""
        return {
            one for one, word in WORDS.items() if self.workspace.search(word, k=4, mode="lexical", **options)
        }
