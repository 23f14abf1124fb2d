"""Where an article stands, and who wrote it: names for people.

What belongs here: names of categories and authors. What does not: anything that decides who may read.
"""

from __future__ import annotations

from collections.abc import Iterable

from rag_pipelines.connectors.servicenow.site import Row, ServiceNowSite
from rag_pipelines.errors import CredentialError, RagError, TransientError

_DEEPEST = 20


class Places:
    """Reads names once; what cannot be read has none."""

    def __init__(self, site: ServiceNowSite) -> None:
        self._site = site
        self._categories: dict[str, Row] | None = None
        self._authors: dict[str, str | None] = {}

    def learn(self, rows: Iterable[Row]) -> None:
        """Read the names that a page of articles needs and that are not known yet."""
        rows = list(rows)
        if self._categories is None and any(row.get("kb_category") for row in rows):
            fields = ["sys_id", "label", "parent_id"]
            self._categories = {row["sys_id"]: row for row in self._read("kb_category", None, fields)}
        authors = sorted({row.get("author", "") for row in rows} - {"", *self._authors})
        self._authors.update(dict.fromkeys(authors))
        for row in self._read("sys_user", authors, ["sys_id", "name"]):
            self._authors[row["sys_id"]] = row.get("name") or None

    def author(self, sys_id: str) -> str | None:
        """The name of a user."""
        return self._authors.get(sys_id)

    def folders(self, category: str) -> list[str]:
        """The labels of a category and of those above it, the top one first."""
        labels: list[str] = []
        known = self._categories or {}
        while (row := known.get(category)) is not None and len(labels) < _DEEPEST:
            labels.insert(0, row.get("label") or category)
            category = row.get("parent_id", "")
        return labels

    def _read(self, table: str, ids: list[str] | None, fields: list[str]) -> list[Row]:
        """Rows, as many as may be seen; None for `ids` stands for all."""
        try:
            if ids is None:
                return [row for page in self._site.pages(table, [], fields) for row in page.rows]
            return [
                row for _, page in self._site.among(table, ["sys_id"], ids, [], fields) for row in page.rows
            ]
        except (CredentialError, TransientError):
            raise
        except RagError:
            return []
