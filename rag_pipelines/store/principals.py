"""Rows of groups and their members.

What belongs here: writing and reading these rows on a connection the caller gives. What does not: when
groups are listed and what a listing may remove (`sync.groups`), and what a membership means for a document
(`query.explain_access`).

A group is one row, with the time when its members were last read; a membership is one row, with the time
when it was first seen. So a listing that finds nothing new writes one row a group and none a member.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from rag_pipelines.connectors.base import Group
from rag_pipelines.store.database import Pg, Row, query


class Membership(msgspec.Struct, frozen=True):
    """One step from a principal to a group that it is in, as one source says.

    `since` is when the member was first seen in the group, `observed_at` when the group was last read.
    `name` is the group's, for people; it may be empty.
    """

    group: str
    member: str
    source: str
    since: datetime
    observed_at: datetime
    name: str = ""


def replace_groups(connection: Pg, source_id: int, groups: Sequence[Group], observed_at: datetime) -> None:
    """Give these groups exactly these members; of a group that comes twice the last one counts."""
    named = {group.principal: group for group in groups}
    pairs = [(group.principal, member) for group in named.values() for member in group.members]
    params = {
        "source_id": source_id,
        "observed_at": observed_at,
        "principals": list(named),
        "names": [group.name for group in named.values()],
        "groups": [group for group, _ in pairs],
        "members": [member for _, member in pairs],
    }
    for name in ("put_groups", "drop_former_members", "put_members"):
        query(connection, name, params)


def memberships_of(connection: Pg, tenant: str, principals: Iterable[str]) -> list[Membership]:
    """Every membership that leads, in any number of steps, from `principals` to groups of the tenant."""
    rows = query(connection, "memberships_of", {"tenant": tenant, "principals": list(principals)})
    return [Membership(**row) for row in rows]


def group_names(connection: Pg, tenant: str, principals: Iterable[str]) -> dict[str, str]:
    """The names of those among `principals` that are groups with a name."""
    rows = query(connection, "group_names", {"tenant": tenant, "principals": list(principals)})
    return {row["principal"]: row["name"] for row in rows}


def list_groups(connection: Pg, source: str | None = None, limit: int = 1000) -> list[Row]:
    """Groups with `source`, `principal`, `name`, `members`, `observed_at` and `age_s`."""
    return query(connection, "list_groups", {"source": source, "limit": limit}).fetchall()
