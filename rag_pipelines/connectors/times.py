"""Times as systems write them.

What belongs here: reading ISO 8601. What does not: forms that one system only has.
"""

from __future__ import annotations

from datetime import UTC, datetime


def read_time(text: str | None) -> datetime | None:
    """The moment that `text` names in ISO 8601, in UTC, which it means where it names no zone.

    None for what is no such time, and for one that has no place in UTC.
    """
    try:
        moment = datetime.fromisoformat((text or "").strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
