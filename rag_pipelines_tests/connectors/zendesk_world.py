"""Zendesk as the conformance kit changes it: a folder is a section, a document an article.

What belongs here: the world. What does not: the double (`rag_pipelines_tests.doubles`), promises.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

from rag_pipelines_tests.connectors.conformance import GROUP, START, USERS, World
from rag_pipelines_tests.connectors.zendesk_bench import HERE, LOGIN
from rag_pipelines_tests.doubles.faults import Status
from rag_pipelines_tests.doubles.zendesk import Zendesk, too_many
from rag_pipelines_tests.doubles.zendesk_state import Desk, Row

_ALWAYS = 10**9
_PAGES = r"/help_center/articles\?.*include=translations"


class ZendeskGuide(World):
    """A restricted document has a segment of its own."""

    name = "zendesk"
    kind = "zendesk"
    not_applicable: ClassVar = {
        "test_content_that_vanished_after_the_listing_fails_that_document_only": (
            "an article is listed with its text"
        ),
        "test_a_sync_without_changes_loads_nothing_and_asks_less": (
            "an article is listed with its text: a first sync asks for nothing more"
        ),
        "test_a_document_that_cannot_be_loaded_is_served_as_it_was": "an article is listed with its text",
        "test_a_second_document_of_one_id_is_reported_and_the_first_counts": (
            "an id is there once; an article that two pages name is taken once"
        ),
    }

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.desk = Desk(now=START)
        self.double = Zendesk(self.desk, logins={LOGIN: "sync"})
        self.double.start()
        self._category = self.desk.category("Help")
        self._sections: dict[str, Row] = {}
        self._articles: dict[str, Row] = {}
        self._people = {user: self.desk.user(user, "agent") for user in USERS}
        self._group = self.desk.group(GROUP)
        self._segments = {
            user: self.desk.segment(user, added_user_ids=[row["id"]], tags=["nobody"])
            for user, row in self._people.items()
        }
        self._segments[GROUP] = self.desk.segment(GROUP, "staff", group_ids=[self._group["id"]])

    def close(self) -> None:
        super().close()
        self.double.stop()

    def options(self) -> dict[str, Any]:
        few = len(self.documents) < 100
        return {
            "url": self.double.url,
            "email": "sync@example.com",
            "api_token": "secret",
            "directory": HERE,
            "page_size": 1 if few else 100,
            "attachments": few,
            "retries": 3,
            "retry_delay": 0.01,
            "max_wait": 2.0,
        }

    def publish(self) -> None:
        """Exports leave the last minute out."""
        self.desk.now = self._now + timedelta(minutes=2)

    def id_of(self, name: str) -> str:
        return f"article/{self._articles[name]['id']}"

    @property
    def requests(self) -> int:
        return len(self.double.log)

    def write(self, name: str, text: str, at: datetime) -> None:
        with self.double.lock:
            self.desk.now = at
            row = self._articles.get(name)
            if row is not None and row["id"] in self.desk.articles:
                self.desk.translate(row, "en-us", body=text)
            else:
                self._articles[name] = self.desk.article(self._section(name), _title(name), text)

    def remove(self, name: str) -> None:
        with self.double.lock:
            self.desk.archive(self._articles[name])

    def bring_back(self, name: str, text: str, at: datetime) -> None:
        with self.double.lock:
            self.desk.now = at
            self.desk.restore(self._articles[name])

    def relocate(self, old: str, new: str, at: datetime) -> None:
        with self.double.lock:
            self.desk.now = at
            row = self._articles[new] = self._articles.pop(old)
            self.desk.edit(row, section_id=self._section(new)["id"])
            self.desk.translate(row, "en-us", title=_title(new))

    def remove_folder(self, folder: str) -> None:
        with self.double.lock:
            del self.desk.sections[self._sections.pop(folder)["id"]]

    def duplicate(self, name: str) -> None:
        self.double.repeated.add(self._articles[name]["id"])

    def restrict(self, name: str, who: str) -> None:
        with self.double.lock:
            self.desk.now = self._now
            self.desk.show_to(self._articles[name], [self._segments[who]])

    def release(self, name: str) -> None:
        with self.double.lock:
            self.desk.show_to(self._articles[name])

    def add_member(self, user: str) -> None:
        with self.double.lock:
            self.desk.group_members.add((self._group["id"], self._people[user]["id"]))

    def remove_member(self, user: str) -> None:
        with self.double.lock:
            self.desk.group_members.discard((self._group["id"], self._people[user]["id"]))

    def principal_of(self, who: str) -> str:
        if who == GROUP:
            return f"group:{HERE}/segment/{self._segments[GROUP]['id']}"
        return f"user:{HERE}/{self._people[who]['id']}"

    def mend(self) -> None:
        with self.double.lock:
            self.double.faults.clear()
            self.double.logins = {LOGIN: "sync"}
            self.double.malformed.clear()
            self.double.left_out.clear()

    def break_document(self, name: str) -> None:
        self.double.malformed.add(self._articles[name]["id"])

    def break_part(self, folder: str) -> None:
        """What stands below the folder's articles."""
        section = self._sections[folder]["id"]
        rows = [row for row in self.desk.articles.values() if row["section_id"] == section]
        for row in rows:
            self.double.faults.script(Status(403), path=rf"/articles/{row['id']}/attachments", times=_ALWAYS)

    def break_source(self) -> None:
        self.double.faults.script(Status(503), times=_ALWAYS)

    def cut_short(self) -> None:
        with self.double.lock:
            late = [row["id"] for folder, row in self._sections.items() if folder >= "legal"]
            self.double.left_out.update(late)

    def throttle(self, requests: int) -> None:
        self.double.faults.script(too_many(), times=requests)

    def expire_credential(self) -> None:
        self.double.logins = {}

    def during_listing(self, action: Callable[[], None]) -> None:
        """Between the first two pages of articles."""
        self.double.before(2, action, _PAGES)

    def _section(self, name: str) -> Row:
        folder = name.partition("/")[0]
        if folder not in self._sections:
            self._sections[folder] = self.desk.section(folder, self._category)
        return self._sections[folder]


def _title(name: str) -> str:
    return name.partition("/")[2]
