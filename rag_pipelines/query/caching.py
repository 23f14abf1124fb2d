"""What is kept of earlier searches: vectors of questions, and callers' rules and results while they hold.

What belongs here: bounded memory, and the state of the database by which a kept result is known to be
current. What does not: what a result depends on beside that state (`search` makes its key).

Every transaction that changes what a caller sees also counts up the changes of a tenant
(`sql/objects/06_changes.sql`). A search reads the count, then searches, and keeps the result under the
count that it read: a change in between makes the result unreachable, never wrong.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Generic, NamedTuple, TypeVar

from cachetools import TTLCache

from rag_pipelines.query.hits import Result
from rag_pipelines.store.database import Pg, query

V = TypeVar("V")

FOREVER = timedelta.max


class Scope(NamedTuple):
    """What a caller may see while a tenant's `changes` are so many, on a server that `started` then.

    `rules` let the caller in, and lead to `documents` where these are few enough to be compared one by one;
    both are arrays as SQL reads them.
    """

    caller: tuple[int | str, ...]
    changes: int | None
    started: datetime | None
    rules: str | None
    documents: str | None


UNKNOWN = Scope((), None, None, None, None)
"""With this a statement finds out by itself."""


class State(NamedTuple):
    """What a result of now depends on: the index's live version, the count of a tenant's changes, and what is
    switched off.

    A server that was restored, or took over from another, may count the same again: it `started` later.
    """

    version: int | None
    changes: int
    started: datetime
    switches: str | None


def state_of(connection: Pg, index: str, tenant: str) -> State:
    """The state of this moment, in one statement."""
    row = query(connection, "search_state", {"index_name": index, "tenant": tenant}).fetchone()
    assert row is not None
    return State(row["version_id"], row["changes"], row["started"], row["switches"])


class Kept(Generic[V]):
    """Values by key within `bytes` of memory: what was not used for longest leaves first.

    `size` says about how many bytes a value takes; a value leaves at `max_age` too. Safe to use from several
    threads.
    """

    def __init__(self, bytes: int, size: Callable[[V], int], max_age: timedelta = FOREVER) -> None:
        self._values: TTLCache[Hashable, V] = TTLCache(bytes, max_age.total_seconds(), getsizeof=size)
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> V | None:
        """The value, if it is still there."""
        with self._lock:
            return self._values.get(key)

    def drop(self, key: Hashable) -> None:
        """Keep no value."""
        with self._lock:
            self._values.pop(key, None)

    def put(self, key: Hashable, value: V) -> None:
        """Keep a value, unless it alone is too large."""
        with self._lock, suppress(ValueError):
            self._values[key] = value


def scope_size(scope: Scope) -> int:
    """About the bytes that a caller's scope takes in memory."""
    return (
        len(scope.rules or "")
        + len(scope.documents or "")
        + sum(100 + len(str(name)) for name in scope.caller)
    )


def result_size(result: Result) -> int:
    """About the bytes that a result takes in memory."""
    return 2 * len(repr(result))


def is_sound(result: Result) -> bool:
    """Whether nothing failed on the way that may work the next time."""
    note = result.rewritten.note if result.rewritten else ""
    return not note and not any(step.failed for step in result.steps)
