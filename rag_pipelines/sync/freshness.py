"""How fresh each source is, computed from the data: its last complete listing against what is promised.

What belongs here: the comparison, without any scheduler. What does not: starting a run because of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from rag_pipelines.config.settings import Settings
from rag_pipelines.store.database import Pg, query

LEAST_RETRY = timedelta(minutes=15)
"""An overdue source is tried again after a quarter of its promise, but not sooner than this."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class SourceFreshness:
    """When a source was last listed completely (None: never), and how old that may become."""

    source: str
    listed_at: datetime | None
    allowed: timedelta

    @property
    def due_at(self) -> datetime | None:
        """When the next complete listing is owed; None when it has been owed ever since."""
        return self.listed_at + self.allowed if self.listed_at else None

    def overdue(self, now: datetime) -> bool:
        """Whether a listing is owed."""
        return self.due_at is None or self.due_at <= now

    def slot(self, now: datetime) -> datetime:
        """The beginning of the current attempt at an overdue listing: equal within one, new after it."""
        since = self.due_at or _EPOCH
        retry = max(self.allowed / 4, LEAST_RETRY)
        return since + (now - since) // retry * retry


def source_freshness(connection: Pg, settings: Settings) -> list[SourceFreshness]:
    """The freshness of every configured source, in the file's order."""
    rows = query(connection, "listed_at", {"names": list(settings.sources)})
    listed = {row["name"]: row["listed_at"] for row in rows}
    return [
        SourceFreshness(name, listed.get(name), source.freshness) for name, source in settings.sources.items()
    ]
