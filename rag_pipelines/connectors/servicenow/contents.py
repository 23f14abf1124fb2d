"""The content of articles, blocks, items and attachments, read when a document has changed.

What belongs here: reading texts many at a time, and keeping them until they are loaded. What does not: rows
of a listing (`articles`).

An article of type wiki has its text in ``wiki``, every other in ``text``, which is HTML; one that was written
with a template has it in the template's columns. Loads run in threads.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from rag_pipelines.connectors.ahead import Kept
from rag_pipelines.connectors.base import Item
from rag_pipelines.connectors.servicenow.site import Row, ServiceNowSite
from rag_pipelines.connectors.servicenow.templates import Templates, label
from rag_pipelines.errors import CredentialError, ForbiddenEntityError, RagError

ITEMS = "sc_cat_item"
_REFERENCE = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Text:
    """Loads the text of a row of `table`: kb_knowledge, a template's own table, or sc_cat_item."""

    contents: Contents
    table: str
    sys_id: str

    def __call__(self) -> bytes:
        return self.contents.text(self.table, self.sys_id)


class Contents:
    """Texts and files of one instance. `blind`: an access rule hides texts of articles, which come empty."""

    def __init__(self, site: ServiceNowSite, max_bytes: int, *, blind: bool = False) -> None:
        self._site = site
        self._max_bytes = max_bytes
        self._templates = Templates(site)
        self._texts: Kept[tuple[str, str], bytes] = Kept()
        self._blind = blind

    def prefetch(self, items: Sequence[Item]) -> None:
        """Read the texts of a batch, some at a time; what cannot be read here fails when it is loaded."""
        wanted: dict[str, list[str]] = {}
        for item in items:
            if isinstance(item.load, Text):
                wanted.setdefault(item.load.table, []).append(item.load.sys_id)
        found: dict[tuple[str, str], bytes] = {}
        for table, ids in wanted.items():
            try:
                read = self._read(table, ids)
            except CredentialError:
                raise
            except RagError:
                continue
            found.update({(table, sys_id): text for sys_id, text in read.items()})
        self._texts.keep(found)

    def text(self, table: str, sys_id: str) -> bytes:
        """Raises `ForbiddenEntityError` where the row, or what says where its text is, is gone or hidden."""
        kept = self._texts.take((table, sys_id))
        if kept is not None:
            return kept
        read = self._read(table, [sys_id])
        if sys_id not in read:
            raise ForbiddenEntityError(
                f"{table} {sys_id} was listed, but is gone or hidden from the account now"
            )
        return read[sys_id]

    def file(self, sys_id: str, size: int | None) -> partial[bytes]:
        """Loads an attachment."""
        return partial(self._site.file, sys_id, self._max_bytes, size)

    def _read(self, table: str, ids: list[str]) -> dict[str, bytes]:
        if self._blind and table != ITEMS:
            raise ForbiddenEntityError("access rules hide text of kb_knowledge from the account")
        if table == ITEMS:
            columns, fields = [], ["sys_id", "short_description", "description"]
        else:
            columns = self._templates.columns(table)
            fields = ["sys_id", "article_type", "text", "wiki", *columns]
        return {
            row["sys_id"]: (_item(row) if table == ITEMS else _article(row, columns)).encode()
            for _, page in self._site.among(table, ["sys_id"], ids, [], fields)
            for row in page.rows
        }


def _item(row: Row) -> str:
    return row.get("description") or row.get("short_description") or ""


def _article(row: Row, columns: list[str]) -> str:
    """The text, and each filled column of the template under its name, as ServiceNow's own page has them."""
    if row.get("article_type") == "wiki":
        return row.get("wiki") or ""
    parts = [row.get("text") or ""]
    for column in columns:
        value = row.get(column) or ""
        if value and column != "text" and not _REFERENCE.fullmatch(value):
            parts.append(f"<h3>{html.escape(label(column))}</h3>\n<div>{value}</div>")
    return "\n".join(filter(None, parts))
