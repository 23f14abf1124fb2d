"""A double of Google Drive (v3).

What belongs here: endpoints, shapes, paging and refusals as Google documents them
(developers.google.com/workspace/drive/api/reference/rest/v3 and .../guides/handle-errors). What does not:
the state (`google_drive_state`), permissions (`google_drive_permissions`), how a file is described
(`google_drive_files`), login and directory (`google_workspace`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC
from typing import Any

from rag_pipelines_tests.doubles.google_drive_files import (
    Json,
    Viewer,
    error,
    matches,
    missing,
    moment,
    parse_query,
)
from rag_pipelines_tests.doubles.google_drive_items import DOC, SHEET, SLIDES, Item
from rag_pipelines_tests.doubles.google_drive_permissions import effective, permission_json
from rag_pipelines_tests.doubles.google_drive_state import Workspace
from rag_pipelines_tests.doubles.google_workspace import GoogleServer
from rag_pipelines_tests.doubles.server import Answer, Request

EXPORT_LIMIT = 10 * 1024 * 1024
_EXPORTS = {
    DOC: {"text/markdown", "text/html"},
    SHEET: {"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"},
    SLIDES: {"application/vnd.openxmlformats-officedocument.presentationml.presentation"},
}


class GoogleDrive(GoogleServer):
    """A server for one `Workspace`.

    Args:
        cap: entries in one answer at most, however many were asked for.
    """

    def __init__(self, site: Workspace, cap: int = 1000, **server: Any) -> None:
        super().__init__(site, cap, **server)
        self.incomplete: set[str] = set()
        """Ids of drives, or addresses, whose listings say that the search was incomplete."""
        self.silent: set[str] = set()
        """Items that no listing names, without a word of that."""
        self.malformed: set[str] = set()
        """Items that are described without what they are."""
        self.channels: dict[str, Json] = {}
        """Channels by their id, with whose they are and what they are for."""
        self.route("/feeds/download/{id}/{kind*}", self.download)
        for path, method, handler in (
            ("about", "about.get", self.about),
            ("files", "files.list", self.list_files),
            ("files/{id}", "files.get", self.get_file),
            ("files/{id}/export", "files.export", self.export),
            ("files/{id}/permissions", "permissions.list", self.permissions),
            ("files/{id}/comments", "comments.list", self.comments),
            ("changes/startPageToken", "changes.getStartPageToken", self.start_token),
            ("changes", "changes.list", self.changes),
            ("changes/watch", "changes.watch", self.watch),
            ("drives", "drives.list", self.list_drives),
            ("drives/{id}", "drives.get", self.get_drive),
        ):
            self.add("drive", f"/drive/v3/{path}", method, handler)

    # Drive.

    def about(self, request: Request, me: str) -> Any:
        if "fields" not in request.query:
            return error(400, "required", "The 'fields' parameter is required for this method.")
        name = self.site.people[me].name if me in self.site.people else me
        return {"user": {"kind": "drive#user", "displayName": name, "emailAddress": me, "me": True}}

    def list_files(self, request: Request, me: str) -> Any:
        corpora, drive = request.one("corpora", "user"), request.one("driveId")
        if corpora == "drive":
            if refusal := self._refuse_drive(drive, me):
                return refusal
        elif corpora != "user" or drive:
            return error(400, "invalid", f"corpora {corpora!r} is not what a connector should ask for")
        if request.one("supportsAllDrives") != "true" or request.one("includeItemsFromAllDrives") != "true":
            return error(403, "teamDrivesParameterRequired", "The parameters for all drives are missing.")
        try:
            conditions = parse_query(request.one("q"))
        except ValueError as problem:
            return error(400, "invalid", f"Invalid Value: {problem}", "q")
        viewer = Viewer(self.site, me, self.url)

        def wanted(item: Item) -> bool:
            return (
                item.drive == (drive or None)
                and item.parent is not None
                and item.id in self.site.items
                and item.id not in self.silent
                and matches(self.site, item, conditions, me)
                and viewer.lists(item)
            )

        mine = me if ("owners", "in", "me") in conditions else None
        among = self.site.positions(drive or None, mine)
        found = self.page(request, self.site.order, wanted, 100 if drive else 1000, among=among)
        if isinstance(found, Answer):
            return found
        items, after = found
        answer = {"kind": "drive#fileList", "incompleteSearch": (drive or me) in self.incomplete}
        answer["files"] = [self._file(request, viewer, item) for item in items]
        return answer | ({"nextPageToken": after} if after else {})

    def get_file(self, request: Request, me: str, id: str) -> Any:
        viewer = Viewer(self.site, me, self.url)
        item = self._item(request, viewer, id)
        if item is None:
            return missing("File", id)
        if request.one("alt") != "media":
            return self._file(request, viewer, item)
        if item.mime.startswith("application/vnd.google-apps"):
            return error(403, "fileNotDownloadable", "Only files with binary content can be downloaded.")
        return Answer(200, item.data, {"Content-Type": item.mime})

    def export(self, request: Request, me: str, id: str) -> Any:
        item = self._item(request, Viewer(self.site, me, self.url), id)
        if item is None:
            return missing("File", id)
        kind = request.one("mimeType")
        if kind not in _EXPORTS.get(item.mime, ()):
            return error(403, "fileNotExportable", "Export only supports Docs Editors files.")
        if (item.export_bytes or len(item.data)) > EXPORT_LIMIT:
            return error(403, "exportSizeLimitExceeded", "This file is too large to be exported.")
        return Answer(200, self._exported(item), {"Content-Type": kind})

    def download(self, request: Request, id: str, kind: str) -> Any:
        """Where `exportLinks` lead; it wants the login, too."""
        found = self.caller(request)
        if isinstance(found, Answer):
            return found
        return Answer(200, self._exported(self.site.items[id]), {"Content-Type": kind})

    def permissions(self, request: Request, me: str, id: str) -> Any:
        viewer = Viewer(self.site, me, self.url)
        is_drive = id in self.site.drives
        as_admin = request.one("useDomainAdminAccess") == "true"
        item = self.site.items.get(id) if is_drive and as_admin else self._item(request, viewer, id)
        if item is None or (as_admin and not (is_drive and me in self.admins)):
            return missing("File", id)
        if id in self.refused or not (as_admin or viewer.sees_permissions(item)):
            said = "The user does not have sufficient permissions for this file."
            return error(403, "insufficientFilePermissions", said)
        every = effective(self.site, item)
        found = self.page(request, every, lambda one: True, 100)
        if isinstance(found, Answer):
            return found
        some, after = found
        answer: Json = {"kind": "drive#permissionList"}
        answer["permissions"] = [permission_json(self.site, item, one) for one in some]
        return answer | ({"nextPageToken": after} if after else {})

    def comments(self, request: Request, me: str, id: str) -> Any:
        item = self._item(request, Viewer(self.site, me, self.url), id)
        if item is None:
            return missing("File", id)
        if "fields" not in request.query:
            return error(400, "required", "The 'fields' parameter is required for this method.")
        found = self.page(request, item.comments, lambda one: True, 20)
        if isinstance(found, Answer):
            return found
        some, after = found
        answer: Json = {"kind": "drive#commentList", "comments": []}
        for one in some:
            replies = [
                {"id": f"r{n}", "author": {"displayName": who}, "content": text, "deleted": False}
                for n, (who, text) in enumerate(one.replies)
            ]
            described = {
                "id": one.id,
                "author": {"displayName": one.author},
                "content": one.text,
                "createdTime": moment(one.when),
                "modifiedTime": moment(one.when),
                "deleted": False,
                "resolved": False,
                "replies": replies,
            }
            if one.quoted:
                described["quotedFileContent"] = {"mimeType": "text/html", "value": one.quoted}
            answer["comments"].append(described)
        return answer | ({"nextPageToken": after} if after else {})

    def start_token(self, request: Request, me: str) -> Any:
        if (drive := request.one("driveId")) and (refusal := self._refuse_drive(drive, me)):
            return refusal
        return {"kind": "drive#startPageToken", "startPageToken": str(self.site.sequence + 1)}

    def watch(self, request: Request, me: str) -> Any:
        """A channel; an id that was used is refused as long as the channel lasts."""
        asked: Json = json.loads(request.body)
        drive = request.one("driveId")
        if drive and (refusal := self._refuse_drive(drive, me)):
            return refusal
        if not request.one("pageToken").isdecimal():
            return error(400, "required", "Required parameter: pageToken", "pageToken")
        if not str(asked.get("address", "")).startswith("https://"):
            return error(400, "push.webhookUrlNotHttps", "WebHook callback must be HTTPS")
        now = int(self.site.now.timestamp() * 1000)
        known = self.channels.get(asked["id"])
        if known is not None and int(known["expiration"]) > now:
            return error(400, "channelIdNotUnique", f"Channel id {asked['id']} not unique")
        ends = min(int(asked.get("expiration", now + 3_600_000)), now + 604_800_000)
        made = {**asked, "kind": "api#channel", "expiration": str(ends), "resourceId": drive or me}
        self.channels[asked["id"]] = {**made, "me": me, "drive": drive}
        return made

    def changes(self, request: Request, me: str) -> Any:
        drive = request.one("driveId")
        if drive and (refusal := self._refuse_drive(drive, me)):
            return refusal
        position = request.one("pageToken")
        if self.stale or not position.isdecimal() or int(position) > self.site.sequence + 1:
            return error(400, "invalid", "Invalid Value", "pageToken")
        log = self.site.logs.get(f"drive/{drive}" if drive else f"user/{me}", {})
        entries = [(number, id) for id, number in log.items() if number >= int(position)]
        size = min(request.number("pageSize", 100), self.cap)
        viewer = Viewer(self.site, me, self.url)
        answer: Json = {"kind": "drive#changeList"}
        answer["changes"] = [self._change(request, viewer, drive, id) for _, id in entries[:size]]
        if len(entries) > size:
            return answer | {"nextPageToken": str(entries[size][0])}
        return answer | {"newStartPageToken": str(self.site.sequence + 1)}

    def list_drives(self, request: Request, me: str) -> Any:
        as_admin = request.one("useDomainAdminAccess") == "true"
        if as_admin and me not in self.admins:
            return error(403, "forbidden", "The requesting user is not an administrator of the domain.")
        every = list(self.site.drives.values())
        found = self.page(request, every, lambda one: as_admin or self._is_member(one.id, me), 10)
        if isinstance(found, Answer):
            return found
        some, after = found
        answer: Json = {"kind": "drive#driveList", "drives": [self._drive(one.id) for one in some]}
        return answer | ({"nextPageToken": after} if after else {})

    def get_drive(self, request: Request, me: str, id: str) -> Any:
        return self._refuse_drive(id, me) or self._drive(id)

    # What they share.

    def _item(self, request: Request, viewer: Viewer, id: str) -> Item | None:
        """The item, if the caller may know of it."""
        item = self.site.items.get(self.site.roots.get(viewer.me, "") if id == "root" else id)
        keys = dict(
            pair.split("/", 1)
            for pair in request.headers.get("X-Goog-Drive-Resource-Keys", "").split(",")
            if "/" in pair
        )
        return item if item is not None and viewer.opens(item, keys) else None

    def _file(self, request: Request, viewer: Viewer, item: Item) -> Json:
        described = viewer.describe(item, _EXPORTS.get(item.mime, ()))
        described["labelInfo"] = {
            "labels": [
                {"id": id, "kind": "drive#label", "revisionId": "1", "fields": _choices(fields)}
                for id, fields in item.labels.items()
                if id in request.one("includeLabels").split(",")
            ]
        }
        if item.id in self.malformed:
            del described["mimeType"], described["modifiedTime"]
        return described

    def _change(self, request: Request, viewer: Viewer, drive: str, id: str) -> Json:
        answer: Json = {"kind": "drive#change", "time": moment(self.site.now)}
        if id.startswith("drive:"):
            there = drive in self.site.drives
            answer |= {"changeType": "drive", "driveId": drive, "removed": not there}
            return answer | ({"drive": self._drive(drive)} if there else {})
        answer |= {"changeType": "file", "fileId": id}
        item = self.site.items.get(id)
        if item is None or not viewer.lists(item) or (drive and item.drive != drive):
            return answer | {"removed": True}
        return answer | {"removed": False, "file": self._file(request, viewer, item)}

    def _exported(self, item: Item) -> bytes:
        return item.data.ljust(item.export_bytes or 0)

    def _is_member(self, drive: str, me: str) -> bool:
        members: Iterable[Any] = self.site.drives[drive].members
        return any(me in self.site.expand(one.who) or one.who == me for one in members)

    def _refuse_drive(self, drive: str, me: str) -> Answer | None:
        if drive not in self.site.drives:
            return missing("Shared drive", drive)
        if not self._is_member(drive, me):
            said = "The attempted action requires shared drive membership."
            return error(403, "teamDriveMembershipRequired", said)
        return None

    def _drive(self, id: str) -> Json:
        one = self.site.drives[id]
        return {
            "kind": "drive#drive",
            "id": one.id,
            "name": one.name,
            "createdTime": moment(self.site.items[one.id].when.astimezone(UTC)),
            "hidden": one.hidden,
            "restrictions": {"driveMembersOnly": one.members_only, "domainUsersOnly": False},
            "capabilities": {"canListChildren": True},
        }


def _choices(fields: dict[str, list[str]]) -> Json:
    return {
        id: {"id": id, "kind": "drive#labelField", "valueType": "selection", "selection": chosen}
        for id, chosen in fields.items()
    }
