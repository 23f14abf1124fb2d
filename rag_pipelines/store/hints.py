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
"""A longer name would not fit into the index that keeps hints apart, and counts as nothing in particular."""

NAMES = 1_000
"""So many names are looked up one by one; listing everything takes less than more of them."""


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


def hinted_names(connection: Pg, source_id: int) -> list[str]:
    """What was named before the run began that holds the source's lease, if that is all that was hinted.

    Nothing where a hint names nothing in particular, or where there are more than `NAMES`.
    """
    rows = query(connection, "hinted_names", {"source_id": source_id, "limit": NAMES + 1}).fetchall()
    names = [row["key"] for row in rows]
    return [] if None in names or len(names) > NAMES else names


def forget_hints(connection: Pg, source_id: int) -> None:
    """Remove what was received before the run began that holds the source's lease."""
    query(connection, "forget_hints", {"source_id": source_id})


def _plain(key: str | None) -> str | None:
    """`key` if it can be kept as it is, whoever has sent it: part of a name is another name."""
    if key is None or len(key) > KEY_CHARACTERS or "\0" in key:
        return None
    return key if key.encode("utf-8", "replace").decode() == key else None
