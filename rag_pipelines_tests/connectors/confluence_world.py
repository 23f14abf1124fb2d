"""Confluence, Cloud and Data Center, in the conformance kit: a folder is a space, a document a page.

What belongs here: the two worlds. What does not: the doubles (`rag_pipelines_tests.doubles`), promises.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from html import escape, unescape
from pathlib import Path
from typing import Any, ClassVar

from rag_pipelines_tests.connectors.conformance import GROUP, START, USERS, World
from rag_pipelines_tests.doubles.confluence import Double
from rag_pipelines_tests.doubles.confluence_cloud import ConfluenceCloud as CloudDouble
from rag_pipelines_tests.doubles.confluence_data_center import ConfluenceDataCenter as DataCenterDouble
from rag_pipelines_tests.doubles.confluence_state import Content, Readers, Site
from rag_pipelines_tests.doubles.faults import Status

TOKEN = "Bearer conformance"
_ALWAYS = 10**9
_LISTINGS = r"/spaces/\d+/pages\?|/content\?.*type=page"
DIRECTORY = "wiki.example.com"


class Confluence(World):
    """The common part; both deployments have the same state behind them."""

    kind = "confluence"
    double_type: ClassVar[type[Double]]
    deployment: ClassVar[str]
    not_applicable: ClassVar = {
        "test_a_rename_keeps_the_token": "a rename makes a version; equal bytes are seen by their hash",
        "test_a_second_document_of_one_id_is_reported_and_the_first_counts": (
            "an id is there once; a page that two answers name is taken once"
        ),
    }

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.site = Site(now=START)
        self.double = self.double_type(self.site, logins={TOKEN: "sync"})
        self.double.start()
        self._pages: dict[str, Content] = {}
        for user in USERS:
            self.site.person(user, user.title(), f"{user}@example.com")
        self.site.group("everybody", *USERS)
        self.site.group(GROUP)

    def close(self) -> None:
        super().close()
        self.double.stop()

    def options(self) -> dict[str, Any]:
        login = "oauth_token" if self.deployment == "cloud" else "personal_access_token"
        return {
            "url": self.double.url,
            "deployment": self.deployment,
            login: TOKEN.removeprefix("Bearer "),
            "directory": DIRECTORY,
            "retries": 3,
            "retry_delay": 0.01,
            "max_wait": 2.0,
            "email_template": "{username}@example.com",
        }

    def id_of(self, name: str) -> str:
        return f"page/{self._pages[name].id}"

    def text_of(self, data: bytes) -> str:
        return unescape(data.decode().removeprefix("<p>").removesuffix("</p>"))

    @property
    def requests(self) -> int:
        return len(self.double.log)

    def write(self, name: str, text: str, at: datetime) -> None:
        with self.double.lock:
            self.site.now = at
            body = f"<p>{escape(text)}</p>"
            page = self._pages.get(name)
            if page is not None and page.id in self.site.contents and page.status == "current":
                self.site.edit(page.id, body)
            else:
                self._pages[name] = self.site.page(self._space(name), _title(name), body)

    def remove(self, name: str) -> None:
        with self.double.lock:
            self.site.trash(self._pages[name].id)

    def bring_back(self, name: str, text: str, at: datetime) -> None:
        with self.double.lock:
            self.site.restore(self._pages[name].id)

    def relocate(self, old: str, new: str, at: datetime) -> None:
        with self.double.lock:
            self.site.now = at
            page = self._pages[new] = self._pages.pop(old)
            if (space := self._space(new)) != page.space:
                self.site.move(page.id, space=space)
            if page.title != _title(new):
                self.site.edit(page.id, title=_title(new))

    def remove_folder(self, folder: str) -> None:
        with self.double.lock:
            self.site.delete_space(_key(folder))

    def duplicate(self, name: str) -> None:
        self.double.cap = 1
        self.double.repeated.add(self._pages[name].id)

    def restrict(self, name: str, who: str) -> None:
        with self.double.lock:
            people, groups = ((), (who,)) if who == GROUP else ((who,), ())
            self.site.restrict(self._pages[name].id, people, groups)

    def release(self, name: str) -> None:
        with self.double.lock:
            self.site.restrict(self._pages[name].id)

    def add_member(self, user: str) -> None:
        self.site.group(GROUP, *{*self.site.groups[GROUP][1], user})

    def remove_member(self, user: str) -> None:
        self.site.group(GROUP, *(set(self.site.groups[GROUP][1]) - {user}))

    def principal_of(self, who: str) -> str:
        return f"{'group' if who == GROUP else 'user'}:{DIRECTORY}/{who}"

    def mend(self) -> None:
        self.double.faults.clear()
        self.double.logins = {TOKEN: "sync"}
        self.double.malformed.clear()
        self.double.silent.clear()
        for name, text in self.documents.items():
            page = self._pages[name]
            if page.id not in self.site.contents:
                self.site.contents[page.id] = page
                self.site.refresh()
                self.site.reindex()
            assert text == self.text_of(page.body.encode())

    def vanish(self, name: str) -> None:
        with self.double.lock:
            self.site.purge(self._pages[name].id)

    def break_document(self, name: str) -> None:
        self.double.malformed.add(self._pages[name].id)

    def break_part(self, folder: str) -> None:
        space = self.site.spaces[_key(folder)]
        path = rf"/spaces/{space.id}/pages|/content\?.*spaceKey={space.key}&"
        self.double.faults.script(Status(403), path=path, times=_ALWAYS)

    def break_source(self) -> None:
        self.double.faults.script(Status(503), times=_ALWAYS)

    def cut_short(self) -> None:
        self.double.silent.update(key for key in self.site.spaces if key >= "LEGAL")

    def throttle(self, requests: int) -> None:
        self.double.faults.script(Status(429, retry_after=0), times=requests)

    def expire_credential(self) -> None:
        self.double.logins = {}

    def during_listing(self, action: Callable[[], None]) -> None:
        """Between the first two answers that list pages; they are made small, so that there are two."""
        self.double.cap = 2
        self.double.before(2, action, _LISTINGS)

    def _space(self, name: str) -> str:
        key = _key(name.partition("/")[0])
        if key not in self.site.spaces:
            self.site.space(key, readers=Readers(anonymous=True))
        return key


class ConfluenceCloud(Confluence):
    name = "confluence-cloud"
    deployment = "cloud"
    double_type = CloudDouble


class ConfluenceDataCenter(Confluence):
    name = "confluence-data-center"
    deployment = "data_center"
    double_type = DataCenterDouble


def _key(folder: str) -> str:
    return "".join(c for c in folder.upper() if c.isalnum())


def _title(name: str) -> str:
    return name.partition("/")[2]
