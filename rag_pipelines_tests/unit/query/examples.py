"""Hits made by hand, for tests of what happens to hits."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from rag_pipelines.query.hits import Hit, Scores
from rag_pipelines.query.stages import Asked, Candidate

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def asked(text: str = "question", k: int = 10) -> Asked:
    """A search whose stages need no database."""
    return Asked(text, k, nullcontext, {}, "default", (), NOW)  # type: ignore[arg-type]


def hit(
    text: str = "Some text.",
    *,
    document: int = 1,
    ordinal: int = 0,
    start: int = 0,
    fused: float = 1.0,
    dense: float | None = None,
    lexical: float | None = None,
    **fields: Any,
) -> Hit:
    """A hit at `start` of the canonical text of a document."""
    given: dict[str, Any] = {
        "context": "",
        "title": f"Document {document}",
        "url": f"https://wiki.example/{document}",
        "path": f"{document}.md",
        "source": "docs",
        "external_id": f"{document}.md",
        "heading_path": (),
        "pages": None,
        "as_of": None,
        "version": 1,
    }
    return Hit(
        text=text,
        start=start,
        end=start + len(text),
        document_id=document,
        chunk_id=f"{UUID(int=document).hex}-{ordinal}",
        scores=Scores(fused, dense, lexical),
        **{**given, **fields},
    )


def candidates(*hits: Hit) -> list[Candidate]:
    """Hits as stages see them, by their fused score."""
    return [Candidate(one, one.scores.fused) for one in hits]
