"""What was lost in parsing, read from the stored counters of each parse.

What belongs here: sums over a source and lists of documents. What does not: the kinds (`parsing.losses`) and
what too much of them means (`quality.suites`).
"""

from __future__ import annotations

from collections.abc import Collection

from rag_pipelines.errors import UsageError
from rag_pipelines.parsing.losses import Loss
from rag_pipelines.store.database import Pg, Row, query

KINDS = tuple(kind.value for kind in Loss)


def losses_by_format(connection: Pg, source: str | None = None, kinds: Collection[str] = KINDS) -> list[Row]:
    """A row for each source, format and kind of which something is lost: ``documents`` read, ``losing`` those
    that lost any, ``lost`` how much together, ``words_seen``.

    Raises:
        UsageError: there is no such kind.
    """
    return query(connection, "losses_by_format", _params(source, kinds)).fetchall()


def documents_with_losses(
    connection: Pg, source: str | None = None, kinds: Collection[str] = KINDS, limit: int | None = None
) -> list[Row]:
    """The documents that lost something, the worst first: ``losses`` by kind, ``missing_share`` of the words
    that were seen (None where no witness reads the format). Raises as `losses_by_format`."""
    return query(connection, "documents_with_losses", {**_params(source, kinds), "limit": limit}).fetchall()


def sources_with_losses(connection: Pg, sources: Collection[str]) -> dict[str, int]:
    """How many documents lost something, by source."""
    rows = query(connection, "sources_with_losses", {"sources": list(sources), "kinds": list(KINDS)})
    return {row["source"]: row["documents"] for row in rows}


def _params(source: str | None, kinds: Collection[str]) -> dict[str, object]:
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        raise UsageError(f"there is no kind of loss {unknown[0]!r}; valid: {', '.join(KINDS)}")
    return {"source": source, "kinds": list(kinds)}
