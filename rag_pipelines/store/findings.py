"""What was found in documents, by kind, read from the rows of their parses; no value is stored.

What belongs here: sums over sources and lists of documents. What does not: finding (`privacy`).
"""

from __future__ import annotations

from collections.abc import Collection

from rag_pipelines.store.database import Pg, Row, query


def findings_by_source(connection: Pg, sources: Collection[str]) -> list[Row]:
    """A row for each source and kind: in how many ``documents``, at how many ``places``."""
    return query(connection, "findings_by_source", {"sources": list(sources)}).fetchall()


def documents_with_findings(connection: Pg, sources: Collection[str], limit: int | None = None) -> list[Row]:
    """The documents that hold something, those with the most first: ``found`` by kind, ``places`` in their
    text as
    ``[kind, start, end, score, length]``, and whether they are ``restricted``."""
    return query(connection, "documents_with_findings", {"sources": list(sources), "limit": limit}).fetchall()


def screened_documents(connection: Pg, sources: Collection[str]) -> dict[str, Row]:
    """By source, how many documents were ``screened``, are ``blocked`` in quarantine, and ``restricted``."""
    rows = query(connection, "screened_documents", {"sources": list(sources)})
    return {row["source"]: row for row in rows}
