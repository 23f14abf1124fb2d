"""SharePoint's own interface (``/_api``) beside Graph: members of site groups, role assignments of lists.

What belongs here: what Graph v1.0 does not tell. What does not: Graph (`sharepoint`).

Shapes with ``odata=nometadata`` after learn.microsoft.com/sharepoint/dev/sp-add-ins/users-groups-and-roles-
rest-reference. Roles are named in the site's language; ids and permission bits are the same everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rag_pipelines_tests.doubles import sharepoint_json as shapes
from rag_pipelines_tests.doubles.server import Request
from rag_pipelines_tests.doubles.sharepoint import Graph
from rag_pipelines_tests.doubles.sharepoint_feeds import missing, problem
from rag_pipelines_tests.doubles.sharepoint_state import (
    ADD_ONLY,
    GROUP,
    LIMITED,
    OWNER,
    OWNERS,
    READ,
    SITE_GROUP,
    USER,
    WRITE,
    Grant,
    Place,
    Site,
    Tenant,
    Who,
)

Json = dict[str, Any]

_ROLES = {
    READ: (1073741826, "Lesen", 2, "138612833"),
    WRITE: (1073741827, "Mitwirken", 3, "1011028719"),
    OWNER: (1073741829, "Vollzugriff", 5, "4294967295"),
    LIMITED: (1073741825, "Eingeschränkter Zugriff", 1, "134287360"),
    ADD_ONLY: (1073741950, "Nur Hinzufügen", 0, "2"),
}
"""Id, name, kind and the low half of the permission bits; bit 1 is ViewListItems."""


class SharePoint(Graph):
    """The whole double: Graph with the sites behind it."""

    def __init__(self, tenant: Tenant, cap: int = 200, **server: Any) -> None:
        super().__init__(tenant, cap, **server)
        self.hidden_groups: set[str] = set()
        """Numbers of site groups whose members the app may not see."""
        web = "/{path*}/_api/web"
        lists = f"{web}/lists(guid'{{place}}')"
        self._add_rest(f"{web}/sitegroups/getbyid({{number}})/users", self._group_users)
        self._add_rest(f"{lists}/roleassignments", self._list_roles)
        self._add_rest(f"{lists}/items", self._uniqueness)
        self._add_rest(f"{lists}/items({{key}})/roleassignments", self._item_roles)

    def _add_rest(self, path: str, handler: Callable[..., Any]) -> None:
        def answer(request: Request, path: str, **parameters: str) -> Any:
            if (refusal := self.refusal(request, "site")) is not None:
                return refusal
            site = next((one for one in self.tenant.sites.values() if one.path == path), None)
            if site is None or site.status == 404:
                return missing("site")
            if site.status != 200:
                return problem(site.status, "-2147024891", "This site has been locked.")
            self.units += 1
            return handler(request, site, **parameters)

        self.route(path, answer)

    def _group_users(self, request: Request, site: Site, number: str) -> Any:
        top = site
        while top.parent is not None:
            top = self.tenant.sites[top.parent]
        if number in self.hidden_groups:
            return problem(403, "-2147024891", "Access denied.")
        if number not in top.groups:
            return missing("group")
        return {"value": [self._principal(site, who) for who in top.groups[number][1]]}

    def _list_roles(self, request: Request, site: Site, place: str) -> Any:
        found = self.tenant.places.get(place)
        if found is None:
            return missing("list")
        return {"value": self._assignments(site, shapes.effective(self.tenant, found, found.root))}

    def _item_roles(self, request: Request, site: Site, place: str, key: str) -> Any:
        found = self.tenant.places.get(place)
        if found is None or key not in found.things:
            return missing("item")
        return {"value": self._assignments(site, shapes.effective(self.tenant, found, found.things[key]))}

    def _uniqueness(self, request: Request, site: Site, place: str) -> Any:
        found = self.tenant.places.get(place)
        if found is None:
            return missing("list")
        start, limit = int(request.one("$skiptoken") or 0), min(request.number("$top", 100), self.cap)
        things = list(found.things.values())
        answer: Json = {"value": [self._row(found, one) for one in things[start : start + limit]]}
        if start + limit < len(things):
            # As the real one, without encoding what the path holds.
            query = f"$select={request.one('$select')}&$top={limit}&$skiptoken={start + limit}"
            answer["odata.nextLink"] = f"{self.sites_url}{request.path}?{query}"
        return answer

    def _row(self, place: Place, thing: Any) -> Json:
        above = [one.name for one in reversed(self.tenant.path(place, thing)[1:-1])]
        folder = "/".join(["/sites/x/Lists", place.name, *above])
        return {
            "Id": int(thing.key),
            "FileSystemObjectType": int(thing.kind == "folder"),
            "FileRef": f"{folder}/{thing.name if thing.kind == 'folder' else thing.key}",
            "FileDirRef": folder,
            "HasUniqueRoleAssignments": thing.grants is not None,
        }

    def _assignments(self, site: Site, grants: list[Grant]) -> list[Json]:
        found = []
        for grant in grants:
            if grant.who is None:
                continue
            id, name, kind, low = _ROLES[grant.role]
            role = {
                "Id": id,
                "Name": name,
                "RoleTypeKind": kind,
                "BasePermissions": {"High": "0", "Low": low},
            }
            member = self._principal(site, grant.who)
            found.append({"PrincipalId": member["Id"], "Member": member, "RoleDefinitionBindings": [role]})
        return found

    def _principal(self, site: Site, who: Who) -> Json:
        kind, key = who
        if kind == SITE_GROUP:
            return {
                "Id": int(key),
                "LoginName": f"Gruppe {key}",
                "Title": f"Gruppe {key}",
                "PrincipalType": 8,
            }
        login = shapes.login_name(self.tenant, who)
        person = self.tenant.people.get(key) if kind == USER else None
        kinds = {USER: 1, GROUP: 4, OWNERS: 4}
        return {
            "Id": 20 + len(login),
            "LoginName": login,
            "Title": person.name if person else "Gruppe",
            "Email": person.mail if person else "",
            "UserPrincipalName": person.upn if person else None,
            "PrincipalType": kinds.get(kind, 4),
        }
