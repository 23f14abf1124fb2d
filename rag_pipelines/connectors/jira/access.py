"""Who may see an issue: Jira's holders of permissions as principals and clauses.

What belongs here: pure mapping. What does not: reading schemes (`schemes`) and members (`directory`).

An issue is visible to whom the permission scheme of its project grants Browse Projects *and*, if it has
a security level, to the level's members (in a team-managed project: to the roles it is restricted to).
Most holders are the same for every issue of a project: they stand behind one principal for the project,
or for the level in the project, and are synced apart. The others depend on the issue (its reporter, its
assignee, people in its fields) and stand in its rule.

    project:<directory>/<project id>                  who may browse the project
    level:<directory>/<project id>/<level id>         who is in the level; roles differ by project
    role:<directory>/<project id>/<role id>
    group:<directory>/<group id, or name on Data Center>
    user:<directory>/<account id, or user key on Data Center>
    application:<directory>/<key>                     who may use a Jira product; without key: any
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from rag_pipelines.model import AccessRule

OF_THE_ISSUE = frozenset({"reporter", "assignee", "userCustomField", "groupCustomField"})
"""Types of holders whose people depend on the issue."""

_NAMED = {"group": "group", "role": "projectRole", "user": "user"}
_SINGLE = {"reporter": "reporter", "assignee": "assignee", "lead": "projectLead"}


class Holder(msgspec.Struct, frozen=True):
    """Somebody who is granted a permission: a type of Jira's, and the id of the group, role or field."""

    type: str
    value: str = ""

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Holder:
        """From `holder` in an answer; a group's or user's id is preferred to its name, which may change."""
        value = raw.get("value") or (raw.get("user") or {}).get("key") or raw.get("parameter") or ""
        return cls(raw["type"], str(value))


class Visibility(msgspec.Struct, frozen=True):
    """Whom a comment is restricted to: `kind` is ``role`` or ``group``, `holder` its id, else its name."""

    kind: str
    holder: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.holder}"

    @classmethod
    def of(cls, comment: Mapping[str, Any]) -> Visibility | None:
        """None: everybody may see it who may see the issue. A group's id is preferred to its name."""
        raw = comment.get("visibility")
        if not raw:
            return None
        return cls(str(raw.get("type")), str(raw.get("identifier") or raw.get("value")))


def parse_holder(text: str) -> Holder:
    """A holder as a person writes it: ``group:legal``, ``reporter``. Raises `ValueError`."""
    type, _, value = text.partition(":")
    if value.strip() and type in _NAMED:
        return Holder(_NAMED[type], value.strip())
    if not value and type in _SINGLE:
        return Holder(_SINGLE[type])
    raise ValueError(
        f"received {text!r}; valid are group:NAME, role:NAME, user:ACCOUNT, reporter, assignee and lead"
    )


class Names(msgspec.Struct, frozen=True):
    """Writes principals of one directory."""

    directory: str

    def project(self, project_id: str) -> str:
        return f"project:{self.directory}/{project_id}"

    def level(self, project_id: str, level_id: str) -> str:
        return f"level:{self.directory}/{project_id}/{level_id}"

    def role(self, project_id: str, role_id: str) -> str:
        return f"role:{self.directory}/{project_id}/{role_id}"

    def application(self, key: str) -> str:
        return f"application:{self.directory}/{key}"

    def group(self, group_id: str) -> str:
        return f"group:{self.directory}/{group_id}"

    def user(self, account: str) -> str:
        return f"user:{self.directory}/{account}"


def account_of(user: Mapping[str, Any]) -> str:
    """What an account is known by for good."""
    return str(user.get("accountId") or user.get("key") or user.get("name") or "")


def group_id_of(group: Mapping[str, Any]) -> str:
    """What a group is known by; Data Center has names only."""
    return str(group.get("groupId") or group.get("name") or "")


def clause(
    names: Names, principal: str, holders: Iterable[Holder], fields: Mapping[str, Any]
) -> tuple[str, ...]:
    """`principal`, which stands for the holders that do not depend on the issue, and those that do."""
    found = [principal]
    for holder in holders:
        if holder.type in OF_THE_ISSUE:
            field = holder.value if holder.type.endswith("CustomField") else holder.type
            found += _people(names, fields.get(field))
    return tuple(found)


def restricting_roles(fields: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The ids of the roles that an issue of a team-managed project is restricted to; None: it is not.

    A restriction of another type than ``projectrole`` admits nobody.
    """
    restrictions = (fields.get("issuerestriction") or {}).get("issuerestrictions")
    if not restrictions:
        return None
    return tuple(str(one["restrictionValue"]) for one in restrictions.get("projectrole") or ())


def _people(names: Names, value: Any) -> Iterator[str]:
    """The users and groups in a field's value: one, a list, or none."""
    for entry in value if isinstance(value, list) else [value]:
        if isinstance(entry, dict) and (entry.get("accountId") or entry.get("key")):
            yield names.user(account_of(entry))
        elif isinstance(entry, dict) and group_id_of(entry):
            yield names.group(group_id_of(entry))


def implies(rule: AccessRule, other: AccessRule) -> bool:
    """Whether everybody whom `rule` lets in is let in by `other` too, as far as the rules alone tell."""
    ours = [set(one) for one in rule.clauses]
    return not other.deny and all(any(one <= set(theirs) for one in ours) for theirs in other.clauses)
