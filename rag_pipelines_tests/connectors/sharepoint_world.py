"""SharePoint in the conformance kit: a folder of the kit is a library of one site, a document a file.

What belongs here: the world. What does not: the double (`rag_pipelines_tests.doubles`), promises.

A rule names the scope that a file is in, never a person or a group: `principal_of` is the scope of the file
that was restricted, whose only member is who it was restricted to.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

from rag_pipelines_tests.connectors.conformance import GROUP, START, USERS, World
from rag_pipelines_tests.doubles.faults import Status
from rag_pipelines_tests.doubles.sharepoint import CLIENT, SECRET
from rag_pipelines_tests.doubles.sharepoint_rest import SharePoint as Double
from rag_pipelines_tests.doubles.sharepoint_state import ANYBODY, Grant, Place, Tenant, Thing, Who
from rag_pipelines_tests.doubles.sharepoint_state import GROUP as ENTRA_GROUP
from rag_pipelines_tests.doubles.sharepoint_state import USER as ACCOUNT

_ALWAYS = 10**9
_GRAPH = "/v1.0/"


class SharePoint(World):
    name = "sharepoint"
    kind = "sharepoint"
    not_applicable: ClassVar = {
        "test_a_second_document_of_one_id_is_reported_and_the_first_counts": (
            "an id is there once; of several entries of a feed the last counts"
        ),
        "test_a_move_in_the_changes_names_the_place_before": (
            "an id outlives moves within a library; across libraries it is another file"
        ),
    }

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.tenant = Tenant(now=START)
        self.double = Double(self.tenant)
        self.double.start()
        self.site = self.tenant.site("sites/work")
        self.site.grants = [Grant(who=(ANYBODY, ""))]
        self.people = {user: self.tenant.person(user).key for user in USERS}
        self.hr = self.tenant.group(GROUP)
        self._libraries: dict[str, Place] = {}
        self._files: dict[str, tuple[Place, Thing]] = {}
        self._restricted = ""

    def close(self) -> None:
        super().close()
        self.double.stop()

    def options(self) -> dict[str, Any]:
        return {
            "tenant_id": "contoso.example",
            "client_id": CLIENT,
            "client_secret": SECRET,
            "graph_url": self.double.graph_url,
            "login_url": self.double.url,
            "sites": [f"{self.double.sites_url}/sites/work"],
            "pages": False,
            "retries": 3,
            "retry_delay": 0.01,
            "max_wait": 2.0,
        }

    def id_of(self, name: str) -> str:
        place, thing = self._files[name]
        return f"drive/{place.key}/item/{thing.key}"

    @property
    def requests(self) -> int:
        return len(self.double.log)

    def write(self, name: str, text: str, at: datetime) -> None:
        with self.double.lock:
            self.tenant.now = at
            place = self._library(name)
            known = self._files.get(name)
            if known is not None and known[1].key in place.things:
                self.tenant.edit(*known, text.encode())
            else:
                self._files[name] = place, self.tenant.file(place, _leaf(name), text.encode())

    def remove(self, name: str) -> None:
        with self.double.lock:
            self.tenant.delete(*self._files[name])

    def bring_back(self, name: str, text: str, at: datetime) -> None:
        with self.double.lock:
            self.tenant.now = at
            self.tenant.restore(*self._files[name])

    def relocate(self, old: str, new: str, at: datetime) -> None:
        """Within a library a file keeps its id; into another one it is copied and deleted."""
        with self.double.lock:
            self.tenant.now = at
            place, thing = self._files.pop(old)
            target = self._library(new)
            if target is place:
                self._files[new] = place, self.tenant.rename(place, thing, _leaf(new))
            else:
                self.tenant.delete(place, thing)
                self._files[new] = target, self.tenant.file(target, _leaf(new), thing.data)

    def remove_folder(self, folder: str) -> None:
        with self.double.lock:
            self.tenant.delete_place(self._libraries.pop(folder).key)

    def duplicate(self, name: str) -> None:
        self.double.feeds.repeated.add(self._files[name][1].key)

    def restrict(self, name: str, who: str) -> None:
        with self.double.lock:
            place, thing = self._files[name]
            only: Who = (ENTRA_GROUP, self.hr.key) if who == GROUP else (ACCOUNT, self.people[who])
            self.tenant.share(place, thing, [Grant(who=only)])

    def release(self, name: str) -> None:
        with self.double.lock:
            self.tenant.share(*self._files[name], None)

    def add_member(self, user: str) -> None:
        self.hr.members.append((ACCOUNT, self.people[user]))

    def remove_member(self, user: str) -> None:
        self.hr.members.remove((ACCOUNT, self.people[user]))

    def principal_of(self, who: str) -> str:
        place, thing = self._files["handbook/leave.md"]
        return f"group:graph/{place.key}/{thing.key}"

    def mend(self) -> None:
        self.double.faults.clear()
        self.double.secrets = {CLIENT: SECRET}
        self.double.malformed.clear()
        self.double.lost.clear()
        self.double.feeds.silent.clear()

    def vanish(self, name: str) -> None:
        self.double.lost.add(self._files[name][1].key)

    def break_document(self, name: str) -> None:
        self.double.malformed.add(self._files[name][1].key)

    def break_part(self, folder: str) -> None:
        path = rf"/drives/{self._libraries[folder].key}/root/delta"
        self.double.faults.script(Status(403), path=path, times=_ALWAYS)

    def break_source(self) -> None:
        self.double.faults.script(Status(503), path=_GRAPH, times=_ALWAYS)

    def cut_short(self) -> None:
        files = (thing.key for name, (_, thing) in self._files.items() if name >= "legal")
        self.double.feeds.silent.update(files)

    def throttle(self, requests: int) -> None:
        self.double.faults.script(Status(429, retry_after=0), path=_GRAPH, times=requests)

    def expire_credential(self) -> None:
        self.double.secrets = {}
        self.double.expire_tokens()

    def during_listing(self, action: Callable[[], None]) -> None:
        """Between two pages of the first library; they are made small, so that there are two."""
        self.double.cap = 2
        self.double.before(2, action, "/root/delta.*shared.*lastModified")

    def _library(self, name: str) -> Place:
        folder = name.partition("/")[0]
        if folder not in self._libraries:
            self._libraries[folder] = self.tenant.library(self.site.key, folder)
        return self._libraries[folder]


def _leaf(name: str) -> str:
    return name.partition("/")[2]
