"""How fresh each index is, computed from the data: the oldest change that its live version lacks.

What belongs here: the comparison, without any scheduler. What does not: how fresh a source is
(`sync.freshness`), and starting a build because of it. A quiet day makes nothing stale, and a build that
changed nothing makes nothing fresh.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from rag_pipelines.config.settings import Settings
from rag_pipelines.index.versions import live_version
from rag_pipelines.store.database import Pg, query


@dataclass(frozen=True)
class IndexFreshness:
    """What the live version of an index lacks of its sources (`version` None: there is none).

    `behind` documents changed since it was built; the oldest of these changes was stored at `since`.
    """

    index: str
    version: int | None
    behind: int
    since: datetime | None
    allowed: timedelta

    @property
    def due_at(self) -> datetime | None:
        """When the oldest waiting change is owed; None where nothing waits."""
        return self.since + self.allowed if self.since else None

    def overdue(self, now: datetime) -> bool:
        """Whether a change waits for longer than promised."""
        return self.due_at is not None and self.due_at <= now


def index_freshness(connection: Pg, settings: Settings, name: str) -> IndexFreshness:
    """The freshness of one index."""
    live = live_version(connection, name)
    params = {"sources": list(settings.sources_of(name)), "watermark": live.watermark if live else "0"}
    row = query(connection, "oldest_change", params).fetchone()
    assert row is not None
    version = live.version_id if live else None
    return IndexFreshness(name, version, row["behind"], row["since"], settings.index(name).freshness)
