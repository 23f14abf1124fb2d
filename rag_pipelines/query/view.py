"""What a caller may see of an index beside searching it: a document's text, and counts of documents.

What belongs here: these two statements and their rows as values. What does not: whose view it is and of which
version (`search.Searcher.view`), and presenting.

Both go by the rules of a search (`visible` in `sql/queries/search.sql`), as they are when they are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from rag_pipelines.query.filter_predicate import NO_FILTER, Predicate
from rag_pipelines.query.ranges import TextRange, join_ranges
from rag_pipelines.query.switched import Switched
from rag_pipelines.store.database import Part, Pg, Row, compose_query, query

TEXT_ROOM = 100_000
"""Characters of a document that are read at once, and a passage more."""

BEFORE_PASSAGE = 20_000
"""Characters that are read in front of a passage that is asked for."""

MOST_DOCUMENTS = 10_000
"""Documents that are counted; of more it is only said that there are more."""

MOST_VALUES = 30
"""Values of a field that are told, the commonest first."""

FACETS = ("source", "media_type", "labels", "year")
"""Fields whose values are counted; `year` is that of the last change, in UTC."""


class Passage(msgspec.Struct, frozen=True):
    """A stretch of a document that was indexed as one; `start` and `end` are offsets in its text."""

    chunk_id: str
    start: int
    end: int
    heading_path: tuple[str, ...]
    pages: tuple[int, int] | None


class DocumentText(msgspec.Struct, frozen=True, kw_only=True):
    """A document, and its canonical text from `start` on as far as it is read at once.

    `length` is where the whole text ends. White space between passages is line ends. `passages` are those in
    `text`; `found` is the one that was asked for, None where the document has it no longer.
    """

    document_id: int
    version: int
    title: str
    url: str | None
    path: str
    source: str
    external_id: str
    author: str | None
    media_type: str | None
    modified_at: datetime | None
    text_of: datetime | None
    as_of: datetime | None
    text: str
    start: int
    length: int
    passages: tuple[Passage, ...]
    found: Passage | None


class FacetValue(msgspec.Struct, frozen=True):
    """How many documents have a value."""

    value: str
    documents: int


class Facets(msgspec.Struct, frozen=True):
    """Counts of documents by the values of `FACETS`; of the first `MOST_DOCUMENTS` where there are `more`."""

    version: int
    documents: int
    more: bool
    facets: Mapping[str, tuple[FacetValue, ...]]


class View(NamedTuple):
    """One snapshot of a version, for a caller. `params` name the caller for statements."""

    connection: Pg
    version: int
    parts: Mapping[str, Part]
    params: Mapping[str, Any]
    switched: Switched
    known: bool

    def document(self, document_id: int, chunk_id: str | None, first: int | None) -> DocumentText | None:
        """A document's text from `first` on, else around a passage, else from its beginning; None where the
        caller may not see it, or there is none.

        Args:
            chunk_id: that of a hit.
        """
        key, _, ordinal = (chunk_id or "").partition("-")
        params = {
            "document": document_id,
            "key": UUID(key) if key else None,
            "ordinal": int(ordinal) if ordinal else None,
            "first": first,
            "before": BEFORE_PASSAGE,
            "room": TEXT_ROOM,
        }
        rows = self._rows("document_text", NO_FILTER, params)
        return _document(rows, self.version, chunk_id) if rows else None

    def facets(self, narrowing: Predicate) -> Facets:
        """The documents that pass a filter, counted by their values."""
        params = {"most": MOST_DOCUMENTS + 1, "values": MOST_VALUES}
        rows = self._rows("facets", narrowing, params)
        total = rows[0]["total"] if rows else 0
        counts: dict[str, tuple[FacetValue, ...]] = {
            field: tuple(FacetValue(row["value"], row["documents"]) for row in rows if row["field"] == field)
            for field in FACETS
        }
        return Facets(self.version, min(total, MOST_DOCUMENTS), total > MOST_DOCUMENTS, counts)

    def _rows(self, name: str, narrowing: Predicate, params: Mapping[str, Any]) -> list[Row]:
        if not self.known:
            return []
        narrower, asked = self.switched.apply(narrowing, {**self.params, **params})
        document = compose_query("visible_document", {"filters": narrower.sql})
        visible = compose_query("visible", {"document": document, "text": self.parts["text"]})
        parts = {**self.parts, "document": document, "visible": visible}
        return query(self.connection, name, {**asked, **narrower.params}, parts).fetchall()


def _document(rows: list[Row], version: int, chunk_id: str | None) -> DocumentText:
    whole = join_ranges([TextRange(row["start_at"], row["end_at"], row["text"]) for row in rows])
    passages = tuple(_passage(row) for row in rows)
    first = rows[0]
    told = {name: first[name] for name in DocumentText.__struct_fields__ if name in first}
    return DocumentText(
        **{**told, "text": whole.text, "start": whole.start},
        version=version,
        passages=passages,
        found=next((one for one in passages if one.chunk_id == chunk_id), None),
    )


def _passage(row: Row) -> Passage:
    pages = None if row["page_first"] is None else (row["page_first"], row["page_last"])
    chunk_id = f"{row['chunk_set_key'].hex}-{row['ordinal']}"
    return Passage(chunk_id, row["start_at"], row["end_at"], tuple(row["heading_path"]), pages)
