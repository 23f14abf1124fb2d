"""How one caller sees the items of Google Drive: what there is for them, and how it is described.

What belongs here: one file's JSON, queries of listings, refusals' JSON. What does not: routes
(`google_drive`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from rag_pipelines_tests.doubles.google_drive_items import DOC, FOLDER, RANKS, SHEET, SHORTCUT, SLIDES, Item
from rag_pipelines_tests.doubles.google_drive_permissions import Effective, effective, permission_json
from rag_pipelines_tests.doubles.google_drive_state import Workspace
from rag_pipelines_tests.doubles.server import Answer, json_answer

Json = dict[str, Any]
Condition = tuple[str, str, str]

_CONDITION = re.compile(
    r"""(?:(?P<field>trashed|mimeType|shortcutDetails.targetId)\s*(?P<operator>!?=)\s*(?P<value>true|false|'[^']*')"""
    r"""|'(?P<id>[^']+)' in (?P<list>parents|owners))$"""
)


def moment(when: datetime) -> str:
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def error(status: int, reason: str, message: str, location: str = "") -> Answer:
    """A refusal as in developers.google.com/workspace/drive/api/guides/handle-errors."""
    one: Json = {"domain": "global", "reason": reason, "message": message}
    if location:
        one |= {"location": location, "locationType": "parameter"}
    return json_answer({"error": {"errors": [one], "code": status, "message": message}}, status)


def missing(what: str, id: str) -> Answer:
    return error(404, "notFound", f"{what} not found: {id}.", "fileId" if what == "File" else "driveId")


def parse_query(text: str) -> list[Condition]:
    """The conditions of a `q`, joined by ``and``. Raises `ValueError`."""
    found: list[Condition] = []
    for part in filter(None, text.split(" and ")):
        match = _CONDITION.match(part.strip())
        if match is None:
            raise ValueError(part)
        if match["list"]:
            found.append((match["list"], "in", match["id"]))
        else:
            found.append((match["field"], match["operator"], match["value"].strip("'")))
    return found


def matches(site: Workspace, item: Item, conditions: Iterable[Condition], me: str) -> bool:
    for name, operator, value in conditions:
        if name == "parents":
            holds = item.parent == (site.roots.get(me) if value == "root" else value)
        elif name == "owners":
            holds = item.owner == (me if value == "me" else value)
        elif name == "trashed":
            holds = site.is_trashed(item) == (value == "true")
        elif name == "shortcutDetails.targetId":
            holds = item.target == value
        else:
            holds = item.mime == value
        if holds == (operator == "!="):
            return False
    return True


class Viewer:
    """Google Drive as `me` sees it; `url` is the server's."""

    def __init__(self, site: Workspace, me: str, url: str) -> None:
        self.site = site
        self.me = me
        self._url = url

    def lists(self, item: Item) -> bool:
        """Whether it is in the caller's listings: by name or by group, a limited folder also by its name."""
        return self._role(item, by_name=True) is not None

    def opens(self, item: Item, keys: Mapping[str, str]) -> bool:
        """Whether the caller may know of it, also by a link, which may need the item's resource key."""
        if self.lists(item):
            return True
        if item.resource_key is not None and keys.get(item.id) != item.resource_key:
            return False
        return self._role(item, by_name=False) is not None

    def sees_permissions(self, item: Item) -> bool:
        """In My Drive those who may share, in a shared drive its members."""
        role = self._role(item, by_name=True)
        least = "reader" if item.drive is not None else "writer"
        return role is not None and RANKS.index(role) >= RANKS.index(least)

    def describe(self, item: Item, exports: Iterable[str]) -> Json:
        site = self.site
        data = item.data
        answer: Json = {
            "kind": "drive#file",
            "id": item.id,
            "name": item.name,
            "mimeType": item.mime,
            "trashed": site.is_trashed(item),
            "explicitlyTrashed": item.trashed,
            "createdTime": moment(item.when),
            "modifiedTime": moment(item.when),
            "version": str(item.version),
            "webViewLink": f"https://drive.google.com/file/d/{item.id}/view",
            "inheritedPermissionsDisabled": item.limited,
            "capabilities": {
                "canListChildren": item.mime == FOLDER and self._reads(item),
                "canDownload": item.mime != FOLDER,
            },
            "lastModifyingUser": {"displayName": (item.owner or "Ann").partition("@")[0].title()},
        }
        parent = site.items.get(item.parent or "")
        if parent is not None and (parent.id in site.drives or self.lists(parent)):
            answer["parents"] = [parent.id]
        if item.drive is not None:
            answer |= {"driveId": item.drive, "teamDriveId": item.drive}
            answer["hasAugmentedPermissions"] = bool(item.grants)
        else:
            answer["ownedByMe"] = item.owner == self.me
            answer["owners"] = [{"displayName": item.owner.title(), "emailAddress": item.owner}]
            answer["shared"] = len(effective(site, item)) > 1
            if self.sees_permissions(item):
                every = effective(site, item)
                answer["permissions"] = [permission_json(site, item, one) for one in every]
        if item.resource_key is not None:
            answer["resourceKey"] = item.resource_key
        if item.mime == SHORTCUT:
            target = site.items.get(item.target or "")
            answer["shortcutDetails"] = {"targetId": item.target}
            answer["shortcutDetails"]["targetMimeType"] = target.mime if target else "text/plain"
            if target is not None and target.resource_key is not None:
                answer["shortcutDetails"]["targetResourceKey"] = target.resource_key
        elif item.mime in (DOC, SHEET, SLIDES):
            answer["size"] = str(len(data) * 3 + 1)
            links = {kind: f"{self._url}/feeds/download/{item.id}/{kind}" for kind in exports}
            answer["exportLinks"] = links
        elif not item.mime.startswith("application/vnd.google-apps"):
            answer["size"] = str(len(data))
            answer["md5Checksum"] = hashlib.md5(data, usedforsecurity=False).hexdigest()
            answer["headRevisionId"] = f"{item.id}-{item.version}"
        if item.encrypted:
            answer["clientEncryptionDetails"] = {"encryptionState": "encrypted"}
        return answer

    def _reads(self, item: Item) -> bool:
        return any(not one.metadata_only for one in self._mine(item))

    def _role(self, item: Item, *, by_name: bool) -> str | None:
        """The caller's best role, by user and group or else by link; for a limited folder's name: reader."""
        mine = (one for one in self._mine(item) if (one.grant.type in ("user", "group")) == by_name)
        roles = ["reader" if one.metadata_only else one.role for one in mine]
        return max(roles, key=RANKS.index, default=None)

    def _mine(self, item: Item) -> Iterator[Effective]:
        """The permissions that are the caller's, too."""
        for one in effective(self.site, item):
            grant = one.grant
            if one.is_over(self.site.now):
                continue
            by_name = self.me in {grant.who, *self.site.expand(grant.who)}
            by_domain = grant.type == "domain" and self.me.endswith("@" + grant.who)
            if by_domain or grant.type == "anyone" or (grant.type in ("user", "group") and by_name):
                yield one
