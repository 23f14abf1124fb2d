"""Google Drive in the conformance kit: a folder is a shared drive, or somebody's My Drive; a document a file.

What belongs here: the two worlds. What does not: the double (`rag_pipelines_tests.doubles`), promises.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

from rag_pipelines_tests.connectors.conformance import GROUP, START, USERS, Case, World
from rag_pipelines_tests.connectors.google_drive_bench import ADMIN, ALWAYS, options_of
from rag_pipelines_tests.doubles.faults import Status
from rag_pipelines_tests.doubles.google_drive import GoogleDrive
from rag_pipelines_tests.doubles.google_drive_items import Drive, Grant, Item
from rag_pipelines_tests.doubles.google_drive_state import Workspace

_EVERYBODY = "everybody@example.com"
_HR = f"{GROUP}@example.com"
_API = "/drive/v3/|/admin/"
_SECOND_PAGE = r"/drive/v3/files\?.*%21%3D.*pageToken="


def refusal(status: int, reason: str) -> Status:
    """A refusal in Google's words."""
    body = {"error": {"code": status, "message": reason, "errors": [{"reason": reason, "message": reason}]}}
    return Status(status, body=json.dumps(body))


class _Google(World):
    """What both worlds share."""

    kind = "google_drive"
    not_applicable: ClassVar = {
        "test_a_second_document_of_one_id_is_reported_and_the_first_counts": (
            "an id is there once; a file that two answers name is taken once"
        ),
    }

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.site = Workspace(now=START)
        self.double = GoogleDrive(self.site)
        self.double.admins.add(ADMIN)
        self.double.start()
        self._items: dict[str, Item] = {}
        for email in (ADMIN, *(f"{user}@example.com" for user in USERS)):
            self.site.person(email)
        self.site.group(_EVERYBODY, *(f"{user}@example.com" for user in USERS))
        self.site.group(_HR)

    def close(self) -> None:
        super().close()
        self.double.stop()
        assert self.double.problems == []

    def options(self) -> dict[str, Any]:
        return {**options_of(self.double, self.folder), "read_timeout": 30.0}

    def id_of(self, name: str) -> str:
        return f"file/{self._items[name].id}"

    @property
    def requests(self) -> int:
        return len(self.double.log)

    def write(self, name: str, text: str, at: datetime) -> None:
        with self.double.lock:
            self.site.now = at
            item = self._items.get(name)
            if item is not None and item.id in self.site.items and not item.trashed:
                self.site.edit(item, text)
            else:
                self._items[name] = self.make(name, text)

    def make(self, name: str, text: str) -> Item:
        """A new file that everybody may read."""
        raise NotImplementedError

    def remove(self, name: str) -> None:
        with self.double.lock:
            self.site.trash(self._items[name])

    def bring_back(self, name: str, text: str, at: datetime) -> None:
        with self.double.lock:
            self.site.restore(self._items[name])

    def duplicate(self, name: str) -> None:
        self.double.cap = 1
        self.double.repeated.add(self._items[name].id)

    def add_member(self, user: str) -> None:
        self.site.group(_HR, *self.site.groups[_HR].members, f"{user}@example.com")

    def remove_member(self, user: str) -> None:
        members = self.site.groups[_HR].members
        self.site.group(_HR, *(one for one in members if one != f"{user}@example.com"))

    def mend(self) -> None:
        double = self.double
        double.faults.clear()
        double.revoked = False
        for spoiled in (double.malformed, double.silent, double.incomplete):
            spoiled.clear()
        for name, text in self.documents.items():
            item = self._items[name]
            self.site.items[item.id] = item
            assert item.data.decode() == text

    def vanish(self, name: str) -> None:
        with self.double.lock:
            del self.site.items[self._items[name].id]

    def break_document(self, name: str) -> None:
        self.double.malformed.add(self._items[name].id)

    def break_source(self) -> None:
        self.double.faults.script(Status(503), path=_API, times=ALWAYS)

    def cut_short(self) -> None:
        left_out = (item for name, item in self._items.items() if name >= "legal")
        self.double.silent.update(item.id for item in left_out)

    def throttle(self, requests: int) -> None:
        self.double.faults.script(refusal(403, "userRateLimitExceeded"), path=_API, times=requests)

    def expire_credential(self) -> None:
        self.double.revoked = True
        self.double.tokens.clear()

    def during_listing(self, action: Callable[[], None]) -> None:
        """Between the first two answers that list files; they hold one each, so that there are two."""
        self.double.cap = 1
        self.double.before(1, action, _SECOND_PAGE)


class SharedDrives(_Google):
    """What only some may see lies in a folder with limited access of a drive apart."""

    name = "google-shared-drives"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._drives: dict[str, Drive] = {}
        closed = self._drive("closed")
        granted = {user: Grant("user", f"{user}@example.com") for user in USERS}
        granted[GROUP] = Grant("group", _HR)
        self._closed = {
            who: self.site.folder(closed.id, who, grant, limited=True) for who, grant in granted.items()
        }

    def make(self, name: str, text: str) -> Item:
        folder, _, title = name.partition("/")
        return self.site.file(self._drive(folder).id, title, text)

    def relocate(self, old: str, new: str, at: datetime) -> None:
        with self.double.lock:
            self.site.now = at
            item = self._items[new] = self._items.pop(old)
            folder, _, title = new.partition("/")
            if item.drive != self._drive(folder).id:
                self.site.move(item, self._drive(folder).id)
            if item.name != title:
                self.site.rename(item, title)

    def remove_folder(self, folder: str) -> None:
        with self.double.lock:
            self.site.delete_drive(self._drives.pop(folder))

    def restrict(self, name: str, who: str) -> None:
        with self.double.lock:
            self.site.move(self._items[name], self._closed[who].id)

    def release(self, name: str) -> None:
        with self.double.lock:
            self.site.move(self._items[name], self._drive(name.partition("/")[0]).id)

    def principal_of(self, who: str) -> str:
        return f"group:google/folder/{self._closed[who].id}"

    def break_part(self, folder: str) -> None:
        path = rf"/drive/v3/(files|changes)\?.*driveId={self._drives[folder].id}"
        self.double.faults.script(refusal(403, "teamDriveMembershipRequired"), path=path, times=ALWAYS)

    def _drive(self, name: str) -> Drive:
        if name not in self._drives:
            members = Grant("user", ADMIN, "organizer"), Grant("group", _EVERYBODY)
            self._drives[name] = self.site.drive(name, *members)
        return self._drives[name]


class MyDrives(_Google):
    """Each folder is the My Drive of somebody of that name, who shares every file with everybody."""

    name = "google-my-drives"
    not_applicable: ClassVar = {
        **_Google.not_applicable,
        Case.MANY_IDS: "it is the walk of shared drives, which is tried there",
        "test_a_change_of_access_shows_without_a_new_token": "no clause names a group alone: its owner reads",
    }

    def options(self) -> dict[str, Any]:
        return {**super().options(), "shared_drives": [], "users": ["*"]}

    def make(self, name: str, text: str) -> Item:
        folder, _, title = name.partition("/")
        return self.site.file(self._top(folder), title, text, Grant("group", _EVERYBODY))

    def relocate(self, old: str, new: str, at: datetime) -> None:
        with self.double.lock:
            self.site.now = at
            item = self._items[new] = self._items.pop(old)
            folder, _, title = new.partition("/")
            if item.parent != self._top(folder):
                self.site.transfer(item, f"{folder}@example.com")
            if item.name != title:
                self.site.rename(item, title)

    def remove_folder(self, folder: str) -> None:
        with self.double.lock:
            self.site.delete_person(f"{folder}@example.com")

    def restrict(self, name: str, who: str) -> None:
        grant = Grant("group", _HR) if who == GROUP else Grant("user", f"{who}@example.com")
        with self.double.lock:
            self.site.unshare(self._items[name])
            self.site.share(self._items[name], grant)

    def release(self, name: str) -> None:
        with self.double.lock:
            self.site.unshare(self._items[name])
            self.site.share(self._items[name], Grant("group", _EVERYBODY))

    def principal_of(self, who: str) -> str:
        kind = "group" if who == GROUP else "user"
        return f"{kind}:google/{who}@example.com"

    def break_part(self, folder: str) -> None:
        self.double.suspended_apis.add(f"{folder}@example.com")

    def mend(self) -> None:
        self.double.suspended_apis.clear()
        super().mend()

    def _top(self, folder: str) -> str:
        email = f"{folder}@example.com"
        if email not in self.site.roots:
            self.site.person(email)
        return self.site.roots[email]
