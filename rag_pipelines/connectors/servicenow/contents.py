"""The content of articles, blocks, items and attachments, read when a document has changed.

What belongs here: reading texts many at a time, and keeping them until they are loaded. What does not: rows
of a listing (`articles`).

An article of type wiki has its text in ``wiki``, every other in ``text``, which is HTML. Loads run in
threads.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from rag_pipelines.connectors.base import Item
from rag_pipelines.connectors.servicenow.site import Row, ServiceNowSite
from rag_pipelines.errors import CredentialError, ForbiddenEntityError, RagError

_FIELDS = {
    "kb_knowledge": ("sys_id", "article_type", "text", "wiki"),
    "sc_cat_item": ("sys_id", "short_description", "description"),
}


class Text(NamedTuple):
    """Loads one row's text; blocks are rows of kb_knowledge too."""

    contents: Contents
    table: str
    sys_id: str

    def __call__(self) -> bytes:
        return self.contents.text(self.table, self.sys_id)


class Contents:
    """Texts and files of one instance."""

    def __init__(self, site: ServiceNowSite, max_bytes: int) -> None:
        self._site = site
        self._max_bytes = max_bytes
        self._texts: dict[tuple[str, str], bytes] = {}
        self._lock = threading.Lock()

    def prefetch(self, items: Sequence[Item]) -> None:
        """Read the texts of a batch, some at a time; what cannot be read here fails when it is loaded."""
        for table in _FIELDS:
            wanted = [item.load.sys_id for item in items if _is_text(item, table)]  # type: ignore[attr-defined]
            try:
                for _, page in self._site.among(table, ["sys_id"], wanted, [], _FIELDS[table]):
                    with self._lock:
                        self._texts.update({(table, row["sys_id"]): _text(table, row) for row in page.rows})
            except CredentialError:
                raise
            except RagError:
                continue

    def text(self, table: str, sys_id: str) -> bytes:
        """Raises `ForbiddenEntityError` where the row is gone or hidden."""
        with self._lock:
            kept = self._texts.pop((table, sys_id), None)
        if kept is not None:
            return kept
        for _, page in self._site.among(table, ["sys_id"], [sys_id], [], _FIELDS[table]):
            for row in page.rows:
                return _text(table, row)
        raise ForbiddenEntityError(f"{table} {sys_id} was listed, but is gone or hidden from the account now")

    def file(self, sys_id: str, size: int | None) -> partial[bytes]:
        """Loads an attachment."""
        return partial(self._site.file, sys_id, self._max_bytes, size)


def _is_text(item: Item, table: str) -> bool:
    return isinstance(item.load, Text) and item.load.table == table


def _text(table: str, row: Row) -> bytes:
    if table == "sc_cat_item":
        return (row.get("description") or row.get("short_description") or "").encode()
    wiki = row.get("article_type") == "wiki"
    return ((row.get("wiki") if wiki else row.get("text")) or "").encode()
