"""Who a permission list lets read: from Graph's and SharePoint's words to principals of access rules.

What belongs here: permissions, identities and claims, all pure. What does not: asking for them, and who
stands behind a principal (`directory`).

Graph: learn.microsoft.com/graph/api/resources/permission and sharepointidentityset. SharePoint: role
assignments, whose roles are judged by their permission bits (SPBasePermissions), because their names are
localised and people make their own. What is not understood lets nobody in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from rag_pipelines.connectors.sharepoint.graph import Json
from rag_pipelines.connectors.sharepoint.options import SharePointOptions
from rag_pipelines.connectors.sharepoint.places import Place
from rag_pipelines.model import EVERYONE

_READS = frozenset({"read", "write", "owner"})
"""Roles of Graph that let read; it writes all others as ``sp.`` and their name in the site's language."""
_VIEW_LIST_ITEMS = 1
_LIMITED_ACCESS = 1073741825
_SITE_GROUP = 8
"""The principal type of a SharePoint group."""

_USER_CLAIM = re.compile(r"i:0[^|]*\|membership\|(?P<name>.+)", re.IGNORECASE)
_GROUP_CLAIM = re.compile(
    r"c:0[^|]*\|(tenant|federateddirectoryclaimprovider)\|(?P<id>[0-9a-f-]{36})(?P<owners>_o)?", re.IGNORECASE
)
_EMPLOYEES_CLAIM = re.compile(r"c:0-\.f\|rolemanager\|spo-grid-all-users/", re.IGNORECASE)
_EVERYONE_CLAIM = re.compile(r"c:0\(\.s\|true", re.IGNORECASE)
_LINK_GROUP = re.compile(r"SharingLinks\.[0-9a-f-]{36}\.(?P<scope>[A-Za-z]+)\.", re.IGNORECASE)
_NEVER = 1


class Kind(StrEnum):
    """What stands behind a principal."""

    ACCOUNT = "account"
    GROUP = "group"
    OWNERS = "owners"
    SITE_GROUP = "site group"
    TENANT = "tenant"


class Principals:
    """Names principals of one tenant."""

    def __init__(self, options: SharePointOptions) -> None:
        self._options = options
        self._directory = options.directory
        self.employees = f"group:{self._directory}/{options.tenant_id}/members"
        self.everyone = f"group:{self._directory}/{options.tenant_id}/all"

    def account(self, key: str) -> str:
        """An account by its object id or its user principal name."""
        return f"user:{self._directory}/{key.lower()}"

    def group(self, id: str) -> str:
        """The members of an Entra group."""
        return f"group:{self._directory}/{id.lower()}"

    def owners(self, id: str) -> str:
        """The owners of a Microsoft 365 group."""
        return f"group:{self._directory}/{id.lower()}/owners"

    def site_group(self, collection: str, number: str) -> str:
        """A SharePoint group, whose number is unique in its site collection."""
        return f"group:{self._directory}/site/{collection}/{number}"

    def scope(self, place: Place, identity: str) -> str:
        """Who may read what has permissions of its own: something in a place, or with ``root`` the place."""
        return f"group:{self._directory}/{place.id}/{identity}"

    def parse(self, principal: str) -> tuple[Kind, tuple[str, ...]]:
        """What kind of principal one of these is, and what it was made from."""
        key = principal.partition(":")[2].removeprefix(f"{self._directory}/")
        if principal in (EVERYONE, self.employees, self.everyone):
            return Kind.TENANT, ()
        if principal.startswith("user:"):
            return Kind.ACCOUNT, (key,)
        if key.startswith("site/"):
            collection, _, number = key.removeprefix("site/").rpartition("/")
            return Kind.SITE_GROUP, (collection, number)
        if key.endswith("/owners"):
            return Kind.OWNERS, (key.removesuffix("/owners"),)
        return Kind.GROUP, (key,)

    def readers(self, permissions: Iterable[Json], collection: str, now: datetime) -> set[str]:
        """Whom Graph's permissions of an item let read."""
        found: set[str] = set()
        for permission in permissions:
            if _lets_read(permission, now):
                found.update(self._of_permission(permission, collection))
        return found

    def assigned(self, assignments: Iterable[Json], collection: str) -> set[str]:
        """Whom SharePoint's role assignments let read."""
        found: set[str] = set()
        for assignment in assignments:
            roles = assignment.get("RoleDefinitionBindings") or []
            if any(_may_view(role) for role in roles):
                found.update(self.of_member(assignment.get("Member") or {}, collection))
        return found

    def of_member(self, member: Json, collection: str) -> Iterator[str]:
        """The principal that SharePoint's own interface describes, if any."""
        login = str(member.get("LoginName") or "")
        if link := _LINK_GROUP.match(login) or _LINK_GROUP.match(str(member.get("Title") or "")):
            scope = link["scope"].lower()
            if scope.startswith("organization"):
                yield from self._of_link("organization")
                return
            if scope.startswith("anonymous"):
                yield from self._of_link("anonymous")
                return
            if scope != "flexible":
                return
        if member.get("PrincipalType") == _SITE_GROUP:
            if member.get("Id") is not None:
                yield self.site_group(collection, str(member["Id"]))
        elif (principal := self.of_login(login)) is not None:
            yield principal

    def of_login(self, login: str) -> str | None:
        """The principal that a claim names."""
        if match := _USER_CLAIM.fullmatch(login):
            return self.account(match["name"])
        if match := _GROUP_CLAIM.fullmatch(login):
            return self.owners(match["id"]) if match["owners"] else self.group(match["id"])
        if _EMPLOYEES_CLAIM.match(login):
            return self.employees
        return self.everyone if _EVERYONE_CLAIM.fullmatch(login) else None

    def _of_permission(self, permission: Json, collection: str) -> Iterator[str]:
        link = permission.get("link")
        if not isinstance(link, dict):
            identities: Any = [permission.get("grantedToV2")]
        elif link.get("scope") in ("users", None):
            identities = permission.get("grantedToIdentitiesV2") or []
        else:
            yield from self._of_link(str(link["scope"]))
            return
        for identity in identities:
            if isinstance(identity, dict) and (one := self._of_identity(identity, collection)) is not None:
                yield one

    def _of_link(self, scope: str) -> Iterator[str]:
        if scope == "organization" and self._options.organization_links == "open":
            yield self.employees
        elif scope == "anonymous" and self._options.anonymous_links == "open":
            yield EVERYONE

    def _of_identity(self, identity: Json, collection: str) -> str | None:
        """One of ``sharePointIdentitySet``; the claim is more exact than the group that stands beside it."""
        site_user = identity.get("siteUser") or {}
        claimed = self.of_login(str(site_user.get("loginName") or ""))
        group, user, site_group = (identity.get(name) or {} for name in ("group", "user", "siteGroup"))
        if group.get("id"):
            id = str(group["id"])
            if claimed is not None and claimed == self.owners(id.removesuffix("_o")):
                return claimed
            return self.owners(id.removesuffix("_o")) if id.endswith("_o") else self.group(id)
        if user.get("id"):
            return self.account(str(user["id"]))
        if site_group.get("id"):
            return self.site_group(collection, str(site_group["id"]))
        return claimed


def _lets_read(permission: Json, now: datetime) -> bool:
    roles = permission.get("roles") or []
    if permission.get("hasPassword") or not any(str(role).lower() in _READS for role in roles):
        return False
    return not _has_ended(permission.get("expirationDateTime"), now)


def _has_ended(moment: Any, now: datetime) -> bool:
    """Whether a permission is over; the year 1 means never, and what is not understood has ended."""
    if not moment:
        return False
    try:
        end = datetime.fromisoformat(str(moment))
    except ValueError:
        return True
    end = end if end.tzinfo else end.replace(tzinfo=UTC)
    return end.year != _NEVER and end <= now


def _may_view(role: Json) -> bool:
    if role.get("Id") == _LIMITED_ACCESS:
        return False
    try:
        low = int((role.get("BasePermissions") or {}).get("Low") or 0)
    except (TypeError, ValueError):
        return False
    return bool(low & _VIEW_LIST_ITEMS)
