"""Rows of hints: that something changed in a source.

What belongs here: writing, counting and forgetting them. What does not: where they come from (`triggers`,
`serving.events`), and running a source because of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from rag_pipelines.store.database import Pg, query

KEY_CHARACTERS = 500
"""Of what was named; more would not fit into the index that keeps hints apart."""


class Hinted(NamedTuple):
    """A source that has hints: how many, and when the newest was received."""

    source: str
    hints: int
    newest: datetime


def put_hints(connection: Pg, sources: Sequence[str], keys: Iterable[str | None]) -> None:
    """Write that each of `keys` changed in each of `sources`; None is nothing in particular."""
    plain = list(dict.fromkeys(_plain(key) for key in keys))
    query(connection, "put_hints", {"sources": list(sources), "keys": plain})


def pending_hints(connection: Pg, sources: Iterable[str]) -> dict[str, Hinted]:
    """Those of `sources` that have hints."""
    rows = query(connection, "pending_hints", {"sources": list(sources)})
    return {row["source"]: Hinted(**row) for row in rows}


def forget_hints(connection: Pg, source_id: int) -> None:
    """Remove what was received before the run began that holds the source's lease."""
    query(connection, "forget_hints", {"source_id": source_id})


def _plain(key: str | None) -> str | None:
    """`key` as Postgres takes it, whoever has sent it."""
    return key and key.replace("\0", "").encode("utf-8", "replace").decode()[:KEY_CHARACTERS]
