"""How Graph writes what a tenant holds: the JSON of sites, drives, items, permissions and people.

What belongs here: shapes, after learn.microsoft.com/graph/api/resources. What does not: routes
(`sharepoint`), and who may read what (`sharepoint_oracle`).
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from hashlib import sha1
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit
from uuid import NAMESPACE_OID, uuid5

from rag_pipelines_tests.doubles.sharepoint_state import (
    ADD_ONLY,
    ANYBODY,
    EMPLOYEES,
    GROUP,
    LIMITED,
    OWNERS,
    SITE_GROUP,
    USER,
    Grant,
    Person,
    Place,
    Site,
    Tenant,
    Thing,
    Who,
)

if TYPE_CHECKING:
    from rag_pipelines_tests.doubles.sharepoint import Graph

Json = dict[str, Any]

_ROLES = {LIMITED: "sp.Eingeschränkter Zugriff", ADD_ONLY: "sp.Nur Hinzufügen"}
"""Roles that SharePoint names in its site's language; the others are Graph's own words."""
_CONTENT_TYPES = {
    "folder": ("0x0120009B", "Ordner"),
    "page": ("0x0101009D1CB255DA76424F860D91F20E6C4118", "Websiteseite"),
}
"""Ids are the same everywhere, names are localised."""
_ITEM = ("0x01009B", "Element")
_NEVER = "0001-01-01T00:00:00Z"


def moment(when: datetime) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def site_url(double: Graph, site: Site) -> str:
    return f"{double.sites_url}/{site.path}"


def site_id(double: Graph, site: Site) -> str:
    return f"{urlsplit(double.sites_url).netloc},{site.collection},{site.key}"


def site(double: Graph, one: Site) -> Json:
    return {
        "id": site_id(double, one),
        "name": one.name,
        "displayName": one.name.title(),
        "isPersonalSite": one.personal is not None,
        "webUrl": site_url(double, one),
        "siteCollection": {"hostname": urlsplit(double.sites_url).netloc},
    }


def drive(double: Graph, place: Place) -> Json:
    owner = double.tenant.sites[place.site]
    return {
        "id": place.key,
        "name": place.name,
        "driveType": "business" if owner.personal else "documentLibrary",
        "webUrl": f"{site_url(double, owner)}/{quote(place.name)}",
        "createdDateTime": moment(place.root.when),
        **({"system": {}} if place.system else {}),
    }


def listing(double: Graph, place: Place) -> Json:
    owner = double.tenant.sites[place.site]
    return {
        "id": place.key,
        "name": place.name.replace(" ", ""),
        "displayName": place.name,
        "webUrl": f"{site_url(double, owner)}/Lists/{quote(place.name)}",
        "list": {"hidden": place.hidden, "template": place.template},
        **({"system": {}} if place.system else {}),
    }


def columns(place: Place) -> list[Json]:
    shown = [{"name": name, "displayName": title, "hidden": False} for name, title in place.columns]
    return [*shown, {"name": "_hidden", "displayName": "Hidden", "hidden": True}]


def guid_of(place: Place, thing: Thing) -> str:
    return str(uuid5(NAMESPACE_OID, f"{place.key}/{thing.key}"))


def item(
    double: Graph, place: Place, thing: Thing, hierarchical: bool, expand: str = "", feed: bool = False
) -> Json:
    """A driveItem. `hierarchical`: ``shared`` stands only on what has permissions of its own.

    In a feed of OneDrive for Business and SharePoint there is no ``cTag``, and no path of the parent
    (driveitem-delta, "Remarks").
    """
    above = [one.name for one in double.tenant.path(place, thing)[1:-1]]
    base = f"/drives/{place.key}/root:"
    by = {"user": {"displayName": thing.by}} if thing.by else {}
    raw: Json = {
        "id": thing.key,
        "name": thing.name,
        "eTag": f'"{{{guid_of(place, thing).upper()}}},{thing.edition}"',
        "cTag": f'"c:{{{guid_of(place, thing).upper()}}},{thing.version}"',
        "lastModifiedDateTime": moment(thing.when),
        "createdDateTime": moment(thing.when),
        "webUrl": "/".join([drive(double, place)["webUrl"], *map(quote, [*reversed(above), thing.name])]),
        "parentReference": {"driveId": place.key, "driveType": "documentLibrary"},
        "lastModifiedBy": by,
        "size": len(thing.data),
    }
    if thing.parent is None:
        raw["root"] = {}
    else:
        raw["parentReference"] |= {"id": thing.parent}
        if not feed:
            raw["parentReference"]["path"] = "/".join([base, *reversed(above)])
    if thing.kind == "file":
        raw["file"] = {"mimeType": thing.media_type, "hashes": {"quickXorHash": _hash(thing.data)}}
    elif thing.kind == "package":
        raw["package"] = {"type": "oneNote"}
    else:
        raw["folder"] = {"childCount": 0}
    if thing.key in double.malformed:
        for name in ("cTag", "eTag"):
            del raw[name]
        raw.get("file", {}).pop("hashes", None)
    if feed:
        raw.pop("cTag", None)
    links = [one for one in effective(double.tenant, place, thing) if one.link is not None]
    own = thing.parent is None or thing.grants is not None
    if (own and hierarchical) or (links and not hierarchical):
        raw["shared"] = {"scope": "users"} if links else {}
    if "listItem" in expand:
        fields = {"_DisplayName": thing.label} if thing.label else {}
        raw["listItem"] = {"id": thing.key, "fields": fields}
    return raw


def _hash(data: bytes) -> str:
    """As long as Microsoft's hash and as good for telling contents apart."""
    return base64.b64encode(sha1(data, usedforsecurity=False).digest()).decode()


def deleted(place: Place, thing: Thing) -> Json:
    """What is gone is told without its name."""
    raw: Json = {"id": thing.key, "deleted": {"state": "deleted"}}
    if place.drive:
        raw["parentReference"] = {"driveId": place.key, "id": thing.parent}
    else:
        raw["contentType"] = {"name": "Element"}
    return raw


def list_item(double: Graph, place: Place, thing: Thing, with_fields: bool) -> Json:
    owner = double.tenant.sites[place.site]
    level = "0" if thing.level == "published" else "1"
    fields = {
        "Title": thing.name,
        **thing.fields,
        "FileLeafRef": thing.name,
        "_UIVersionString": f"{thing.version - (thing.level != 'published')}.{level}",
    }
    raw: Json = {
        "id": thing.key,
        "eTag": f'"{guid_of(place, thing)},{thing.edition}"',
        "createdDateTime": moment(thing.when),
        "lastModifiedDateTime": moment(thing.when),
        "webUrl": f"{site_url(double, owner)}/{quote(place.name)}/{quote(thing.name)}",
        "lastModifiedBy": {"user": {"displayName": thing.by}} if thing.by else {},
        "parentReference": {"siteId": site_id(double, owner)},
        "contentType": dict(zip(("id", "name"), _CONTENT_TYPES.get(thing.kind, _ITEM), strict=True)),
    }
    if thing.key in double.malformed or guid_of(place, thing) in double.malformed:
        del raw["eTag"]
    return {**raw, "fields": fields} if with_fields else raw


def site_page(double: Graph, place: Place, thing: Thing, with_layout: bool) -> Json:
    raw: Json = {
        "@odata.type": "#microsoft.graph.sitePage",
        "id": guid_of(place, thing),
        "name": thing.name,
        "title": thing.fields["Title"],
        "pageLayout": "article",
        "publishingState": {"level": thing.level, "versionId": f"{thing.version}.0"},
    }
    if with_layout:
        raw["canvasLayout"] = {"horizontalSections": thing.sections}
    return raw


def person(one: Person) -> Json:
    return {
        "id": one.key,
        "displayName": one.name,
        "mail": one.mail or None,
        "userPrincipalName": one.upn,
        "userType": "Guest" if one.guest else "Member",
    }


def effective(tenant: Tenant, place: Place, thing: Thing) -> list[Grant]:
    """The permission list that holds for a thing: its own or the one it inherits."""
    for one in tenant.path(place, thing):
        if one.grants is not None:
            return one.grants
    owner = tenant.sites[place.site]
    while not owner.grants and owner.parent is not None:
        owner = tenant.sites[owner.parent]
    return owner.grants


def permissions(double: Graph, place: Place, thing: Thing) -> list[Json]:
    return [
        _permission(double.tenant, n, one) for n, one in enumerate(effective(double.tenant, place, thing))
    ]


def _permission(tenant: Tenant, number: int, grant: Grant) -> Json:
    raw: Json = {
        "id": base64.b64encode(f"{number}/{grant.who}/{grant.link}".encode()).decode(),
        "roles": [_ROLES.get(grant.role, grant.role)],
        "expirationDateTime": moment(grant.until) if grant.until else _NEVER,
    }
    if grant.link is not None:
        raw["link"] = {"scope": grant.link, "type": "view", "webUrl": "https://contoso.example/x"}
        raw["hasPassword"] = grant.password
        raw["grantedToIdentitiesV2"] = [_identity(tenant, who) for who in grant.people]
        raw["shareId"] = "u!x"
    elif grant.who is not None:
        raw["grantedToV2"] = _identity(tenant, grant.who)
    return raw


def _identity(tenant: Tenant, who: Who) -> Json:
    kind, key = who
    if kind == SITE_GROUP:
        return {"siteGroup": {"id": key, "displayName": f"Gruppe {key}", "loginName": f"Gruppe {key}"}}
    login = login_name(tenant, who)
    if kind == USER:
        one = tenant.people.get(key)
        name = one.name if one else "gone"
        email = {"email": one.mail} if one and one.mail and not one.guest else {}
        return {
            "user": {"id": key, "displayName": name, **email},
            "siteUser": {"id": "7", "displayName": name, "loginName": login},
        }
    if kind in (EMPLOYEES, ANYBODY):
        return {"siteUser": {"id": "8", "displayName": "Jeder", "loginName": login}}
    name = tenant.groups[key].name if key in tenant.groups else "gone"
    return {
        "group": {"id": key, "displayName": name},
        "siteUser": {"id": "9", "displayName": name, "loginName": login},
    }


def login_name(tenant: Tenant, who: Who) -> str:
    """The claim by which SharePoint knows a principal."""
    kind, key = who
    if kind == USER:
        upn = tenant.people[key].upn if key in tenant.people else key
        return f"i:0#.f|membership|{upn.lower()}"
    if kind == GROUP:
        unified = key in tenant.groups and bool(tenant.groups[key].owners)
        return f"c:0o.c|federateddirectoryclaimprovider|{key}" if unified else f"c:0t.c|tenant|{key}"
    if kind == OWNERS:
        return f"c:0o.c|federateddirectoryclaimprovider|{key}_o"
    return f"c:0-.f|rolemanager|spo-grid-all-users/{tenant.id}" if kind == EMPLOYEES else "c:0(.s|true"
