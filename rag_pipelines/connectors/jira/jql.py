"""Writing JQL: conditions on projects, times and ids, combined with a person's own filter.

What belongs here: text. What does not: sending it, or what its results mean.

JQL: https://support.atlassian.com/jira-software-cloud/docs/jql-fields/. A time in it has minutes, no
seconds and no zone: Jira reads it in the time zone of the asking account.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

_QUOTED = re.compile(r"""(["'])(?:\\.|(?!\1).)*\1""", re.DOTALL)
_ORDER_BY = re.compile(r"\border\s+by\b", re.IGNORECASE)

FURTHEST_BEHIND = timezone(timedelta(hours=-12))
"""The zone whose clocks show the least: read in any other zone, its time is not later than meant."""


class JqlRange(msgspec.Struct, frozen=True):
    """The issues of one project that were updated since a moment, or all of them."""

    project_id: str
    project_key: str
    since: datetime | None = None


def check_filter(text: str) -> str:
    """`text` without space around it, if it can stand in brackets between other conditions.

    Raises `ValueError` otherwise. Jira itself is asked whether it is valid JQL.
    """
    stripped = text.strip()
    bare = _QUOTED.sub("''", stripped)
    if not bare:
        raise ValueError("it is empty; leave it out to list every issue")
    if _ORDER_BY.search(bare):
        raise ValueError("ORDER BY is not allowed: the connector orders by key")
    if '"' in bare or bare.replace("''", "").count("'"):
        raise ValueError("a quotation mark is not closed")
    depth = 0
    for character in bare:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth < 0:
            break
    if depth:
        raise ValueError("the brackets do not match")
    return stripped


def quote(value: str) -> str:
    """`value` as a JQL string."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def zone_of(name: str | None) -> tzinfo:
    """The time zone of an account; `FURTHEST_BEHIND` if it is not known here."""
    try:
        return ZoneInfo(name or "")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return FURTHEST_BEHIND


def moment(at: datetime, zone: tzinfo) -> str:
    """A JQL time that is not later than `at`, whichever of two equal clock times Jira takes it for."""
    local = at.astimezone(zone)
    if local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset():
        # The hour in which clocks go back comes twice: begin before its first round.
        local = (at.astimezone(UTC) - timedelta(hours=2)).astimezone(zone)
    return f'"{local:%Y-%m-%d %H:%M}"'


def in_ranges(ranges: Sequence[JqlRange], zone: tzinfo, filter: str | None) -> str:
    """The query for issues in any of `ranges`, in an order that edits do not change."""
    keys: dict[datetime | None, list[str]] = {}
    for one in ranges:
        keys.setdefault(one.since, []).append(quote(one.project_key))
    parts = []
    for since, some in keys.items():
        updated = f" AND updated >= {moment(since, zone)}" if since is not None else ""
        parts.append(f"(project in ({', '.join(some)}){updated})")
    return f"{_all_of(' OR '.join(parts), filter)} ORDER BY key ASC"


def with_ids(ids: Iterable[str], filter: str | None = None) -> str:
    """The query for issues by id or key. Jira refuses it when one of them does not exist."""
    listed = ", ".join(ids)
    return f"{_all_of(f'id in ({listed})', filter)} ORDER BY key ASC"


def _all_of(condition: str, filter: str | None) -> str:
    return f"({condition}) AND ({filter})" if filter else f"({condition})"
