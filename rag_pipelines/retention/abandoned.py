"""What processes that are gone left as running: said to have failed, before anybody is told that it runs.

What belongs here: finding such syncs and builds. What does not: marking them (`sync.stages`, `index.build`).
"""

from __future__ import annotations

import msgspec

from rag_pipelines.index.build import fail_abandoned_builds
from rag_pipelines.store.database import Database, query
from rag_pipelines.sync.stages import end_abandoned_runs


class Abandoned(msgspec.Struct, frozen=True):
    """The sources whose sync, and the versions whose build, was marked as failed."""

    sources: list[str]
    versions: list[int]


def mark_abandoned(database: Database) -> Abandoned:
    """Mark syncs and builds whose process is gone as failed: their locks went with it.

    A killed process or a lost connection cannot say so itself, and the next run may be long in coming. Where
    nothing is said to run, this is one query.
    """
    with database.connection() as connection:
        row = query(connection, "unfinished").fetchone()
        assert row is not None
    return Abandoned(
        end_abandoned_runs(database, row["sources"]) if row["sources"] else [],
        fail_abandoned_builds(database, row["indexes"]) if row["indexes"] else [],
    )
