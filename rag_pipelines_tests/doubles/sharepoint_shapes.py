"""Of what type the properties are that the double of Graph answers with and the connector reads.

What belongs here: names and types, written down from Microsoft's reference
(learn.microsoft.com/graph/api/resources), so that double and connector cannot share a mistake unseen. What
does not: values.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

ID, TEXT, NUMBER, FLAG, FACET, LIST = "id", "text", "number", "flag", "facet", "list"
_KINDS: dict[str, tuple[type, ...]] = {
    ID: (str,),
    TEXT: (str, type(None)),
    NUMBER: (int,),
    FLAG: (bool,),
    FACET: (dict,),
    LIST: (list,),
}

SHAPES: dict[str, dict[str, str]] = {
    "driveItem": {
        "id": ID,
        "name": TEXT,
        "eTag": TEXT,
        "cTag": TEXT,
        "size": NUMBER,
        "createdDateTime": TEXT,
        "lastModifiedDateTime": TEXT,
        "webUrl": TEXT,
        "parentReference": FACET,
        "createdBy": FACET,
        "lastModifiedBy": FACET,
        "file": FACET,
        "folder": FACET,
        "package": FACET,
        "root": FACET,
        "deleted": FACET,
        "shared": FACET,
        "listItem": FACET,
        "@microsoft.graph.downloadUrl": TEXT,
    },
    "permission": {
        "id": ID,
        "roles": LIST,
        "link": FACET,
        "grantedToV2": FACET,
        "grantedToIdentitiesV2": LIST,
        "inheritedFrom": FACET,
        "invitation": FACET,
        "shareId": TEXT,
        "expirationDateTime": TEXT,
        "hasPassword": FLAG,
    },
    "site": {
        "id": ID,
        "name": TEXT,
        "displayName": TEXT,
        "isPersonalSite": FLAG,
        "webUrl": TEXT,
        "siteCollection": FACET,
        "root": FACET,
    },
    "drive": {
        "id": ID,
        "name": TEXT,
        "driveType": TEXT,
        "webUrl": TEXT,
        "createdDateTime": TEXT,
        "system": FACET,
    },
    "list": {
        "id": ID,
        "name": TEXT,
        "displayName": TEXT,
        "webUrl": TEXT,
        "list": FACET,
        "system": FACET,
    },
    "columnDefinition": {"name": TEXT, "displayName": TEXT, "hidden": FLAG},
    "listItem": {
        "id": ID,
        "eTag": TEXT,
        "createdDateTime": TEXT,
        "lastModifiedDateTime": TEXT,
        "webUrl": TEXT,
        "lastModifiedBy": FACET,
        "parentReference": FACET,
        "contentType": FACET,
        "fields": FACET,
        "deleted": FACET,
    },
    "sitePage": {
        "@odata.type": TEXT,
        "id": ID,
        "name": TEXT,
        "title": TEXT,
        "pageLayout": TEXT,
        "publishingState": FACET,
        "canvasLayout": FACET,
    },
    "user": {
        "@odata.type": TEXT,
        "id": ID,
        "displayName": TEXT,
        "mail": TEXT,
        "userPrincipalName": TEXT,
        "userType": TEXT,
    },
}

PATHS = {
    r"/(drive|drives/\*)/root/delta(\?token=\*|\(token=\*\))?$": "driveItem",
    r"/drives/\*/items/\*$": "driveItem",
    r"/items/\*/permissions(/\*)?$": "permission",
    r"/sites/(getAllSites|delta|\*)$": "site",
    r"/me/drives?$": "drive",
    r"/sites/\*/lists(/\*)?$": "list",
    r"/sites/\*(/lists/\*)?/columns$": "columnDefinition",
    r"/lists/\*/items/delta(\?token=\*)?$": "listItem",
    r"/lists/\*/items/\*(\?expand=\*)?$": "listItem",
    r"/pages/\*/microsoft.graph.sitePage$": "sitePage",
    r"/pages/microsoft.graph.sitePage$": "sitePage",
    r"/groups/\*/(transitiveMembers|members|owners)$": "user",
}
"""The end of an address, ids as ``*``, to what it answers with or a list of it."""


def faults_of(resource: str, raw: dict[str, Any], *, all_known: bool) -> Iterator[str]:
    """What of `raw` is not as `SHAPES` says; `all_known`: a property that it does not name is one too."""
    shape = SHAPES[resource]
    for name, value in raw.items():
        kind = shape.get(name)
        if kind is None:
            if all_known and name != "@odata.context":
                yield f"{resource}.{name} is not a property that Microsoft documents"
        elif not isinstance(value, _KINDS[kind]) or (kind == NUMBER and isinstance(value, bool)):
            yield f"{resource}.{name} is {type(value).__name__}, not {kind}"
