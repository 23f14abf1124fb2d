"""User criteria, and which active users meet them.

What belongs here: people with their groups, roles and fields, and the criteria over them. What does not:
bases and items that name criteria (`directory`), rules (`access`).

ServiceNowDocs: create-user-criteria-record-in-knowledge-management.md (a user meets one of the filled lists,
or with Match All each of them; "not applicable for elevated privilege roles"), t_CreateAGroup.md ("The
members of the child group aren't members of the parent group", but have its roles, as sys_user_has_role
says).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from rag_pipelines.connectors.base import Group
from rag_pipelines.connectors.servicenow.access import Names, listed
from rag_pipelines.connectors.servicenow.site import Row, ServiceNowSite, hidden_rows
from rag_pipelines.errors import ForbiddenEntityError
from rag_pipelines.model import EVERYONE

ATTRIBUTES = ("department", "company", "location")
_ADDED = ("u_", "x_")
"""How the names of fields begin that an instance or an application added (t_ExtendUserCriteria.md)."""
LISTS = ("user", "group", "role", *ATTRIBUTES)
_USER_FIELDS = ("sys_id", "name", "email", "active", *ATTRIBUTES)


class People(NamedTuple):
    """Active users by sys_id, and who of them is in which group, role, department, company and location."""

    users: dict[str, Row]
    names: dict[tuple[str, str], str]
    """Of groups and roles: (kind, sys_id) to name."""
    holders: dict[tuple[str, str], set[str]]
    """(kind, sys_id) to users; a role that wants elevation has none."""
    managers: dict[str, str]
    """Group to its manager."""

    @classmethod
    def read(cls, site: ServiceNowSite, groups: set[str], roles: set[str], role_names: set[str]) -> People:
        """With the members of groups, of roles by id or name. Raises where rows or fields are hidden."""
        users = {row["sys_id"]: row for row in site.all("sys_user", ["active=true"], _USER_FIELDS)}
        require(site, "sys_user", ("email", *ATTRIBUTES))
        holders: dict[tuple[str, str], set[str]] = {}
        for sys_id, row in users.items():
            for attribute in ATTRIBUTES:
                if row[attribute]:
                    holders.setdefault((attribute, row[attribute]), set()).add(sys_id)
        named: dict[tuple[str, str], str] = {}
        managers: dict[str, str] = {}
        for row in _every(site, "sys_user_group", "sys_id", groups, ("sys_id", "name", "manager")):
            named["group", row["sys_id"]] = row["name"]
            managers[row["sys_id"]] = row["manager"]
        for row in _every(site, "sys_user_grmember", "group", groups, ("group", "user")):
            if row["user"] in users:
                holders.setdefault(("group", row["group"]), set()).add(row["user"])
        usable = set()
        for row in site.all("sys_user_role", [], ("sys_id", "name", "elevated_privilege")):
            if row["sys_id"] in roles or row["name"] in role_names:
                named["role", row["sys_id"]] = row["name"]
                if row["elevated_privilege"] != "true":
                    usable.add(row["sys_id"])
        for row in _every(site, "sys_user_has_role", "role", usable, ("role", "user", "state")):
            if row["user"] in users and row.get("state") in ("", None, "active"):
                holders.setdefault(("role", row["role"]), set()).add(row["user"])
        return cls(users, named, holders, managers)

    def of(self, kind: str, ids: Iterable[str]) -> set[str]:
        """The users behind any of `ids`."""
        if kind == "user":
            return {one for one in ids if one in self.users}
        return set().union(*(self.holders.get((kind, one), set()) for one in ids))

    def with_role(self, name: str) -> set[str]:
        """The users who hold a role of this name."""
        return self.of(
            "role", [one for (kind, one), named in self.names.items() if (kind, named) == ("role", name)]
        )


class Criteria:
    """The criteria of an instance over its people."""

    def __init__(self, rows: Iterable[Row], people: People, names: Names) -> None:
        self._rows = {row["sys_id"]: row for row in rows}
        self.named = named_by(self._rows.values())
        self._people = people
        self._names = names

    @staticmethod
    def read(site: ServiceNowSite) -> list[Row]:
        """The rows of every criterion. Raises where rows or fields are hidden."""
        rows = site.all("user_criteria", [], [])
        require(site, "user_criteria", ("active", "advanced", "match_all", *LISTS))
        return rows

    def surely(self, sys_id: str) -> set[str]:
        """The users who meet a criterion without doubt."""
        row = self._rows.get(sys_id)
        if row is None or not _decidable(row):
            return set()
        parts = [self._people.of(kind, listed(row[kind])) for kind in LISTS if listed(row[kind])]
        if not parts or (_is_extended(row) and row["match_all"] == "true"):
            return set()
        return set.intersection(*parts) if row["match_all"] == "true" else set.union(*parts)

    def knows(self, sys_id: str) -> bool:
        """Whether the instance has this criterion."""
        return sys_id in self._rows

    def is_open(self, sys_id: str) -> bool:
        """Whether anybody may meet a criterion: a script, a field of people's own, nothing named, or gone."""
        row = self._rows.get(sys_id)
        if row is None:
            return True
        if row["active"] != "true":
            return False
        return row["advanced"] == "true" or _is_extended(row) or not any(row[kind] for kind in LISTS)

    def groups(self) -> Iterator[Group]:
        """Both principals of each criterion, and the one that says that it is known."""
        names = self._names
        for sys_id, row in sorted(self._rows.items()):
            title = row.get("name") or sys_id
            yield _group(names.criterion(sys_id), title, self._members(sys_id, row))
            possible = EVERYONE if self.is_open(sys_id) else names.criterion(sys_id)
            yield _group(names.possible(sys_id), f"may match {title}", [possible])
            yield _group(names.known(sys_id), f"{title} is known", [EVERYONE])

    def _members(self, sys_id: str, row: Row) -> list[str]:
        """Principals of the lists, which change by themselves; with Match All the users who are in each."""
        if not _decidable(row):
            return []
        if row["match_all"] == "true":
            return [self._names.user(one) for one in self.surely(sys_id)]
        people, names = self._people, self._names
        members = [names.user(one) for one in listed(row["user"]) if one in people.users]
        members += [names.group(one) for one in listed(row["group"])]
        members += [
            names.role(people.names["role", one])
            for one in listed(row["role"])
            if ("role", one) in people.names
        ]
        for kind in ATTRIBUTES:
            members += [names.attribute(kind, one) for one in listed(row[kind])]
        return members


def people_groups(people: People, names: Names, named: dict[str, set[str]]) -> Iterator[Group]:
    """Accounts, groups, roles, and departments, companies and locations that criteria name."""
    for sys_id, row in sorted(people.users.items()):
        email = row["email"].strip().lower()
        yield _group(names.user(sys_id), row["name"], [f"user:{email}"] if email else [])
    yield _group(names.users, "every active user", map(names.user, people.users))
    for (kind, sys_id), name in sorted(people.names.items()):
        if kind == "group":
            yield _group(names.group(sys_id), name, map(names.user, people.of("group", [sys_id])))
            managers = people.of("user", [people.managers[sys_id]])
            yield _group(names.owners(sys_id), name, [names.group(sys_id), *map(names.user, managers)])
    for name in sorted({name for (kind, _), name in people.names.items() if kind == "role"}):
        yield _group(names.role(name), name, map(names.user, people.with_role(name)))
    for kind in ATTRIBUTES:
        for sys_id in sorted(named[kind]):
            yield _group(
                names.attribute(kind, sys_id), f"{kind} {sys_id}", map(names.user, people.of(kind, [sys_id]))
            )


def named_by(rows: Iterable[Row]) -> dict[str, set[str]]:
    """By kind, what criteria name."""
    return {kind: {one for row in rows for one in listed(row[kind])} for kind in LISTS}


def require(site: ServiceNowSite, table: str, fields: Iterable[str]) -> None:
    """Raise `ForbiddenEntityError` where the values of a field are hidden."""
    if unread := site.blind(table, list(fields)):
        raise ForbiddenEntityError(
            f"access rules hide {', '.join(unread)} of {table} from the account; grant a role that reads them"
        )


def _decidable(row: Row) -> bool:
    """Whether a criterion is in force and no script."""
    return row["active"] == "true" and row["advanced"] != "true"


def _is_extended(row: Row) -> bool:
    """Whether a criterion uses a field that was added to the table, which no one outside can read safely."""
    return any(value and name.startswith(_ADDED) for name, value in row.items())


def _every(
    site: ServiceNowSite, table: str, column: str, ids: set[str], fields: tuple[str, ...]
) -> Iterator[Row]:
    """Rows that have one of `ids` in `column`. Raises `ForbiddenEntityError` where some are hidden."""
    for _, page in site.among(table, [column], sorted(ids), [], fields):
        if page.hidden:
            raise hidden_rows(table)
        yield from page.rows


def _group(principal: str, name: str, members: Iterable[str]) -> Group:
    return Group(principal=principal, name=name, members=tuple(sorted(set(members))))
