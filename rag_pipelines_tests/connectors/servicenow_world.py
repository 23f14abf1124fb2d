"""ServiceNow as the conformance kit changes it: a folder is a knowledge base, a document an article.

What belongs here: the world. What does not: the double (`rag_pipelines_tests.doubles`), promises.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

from rag_pipelines_tests.connectors.conformance import GROUP, START, USERS, World
from rag_pipelines_tests.connectors.servicenow_bench import HERE, LOGIN
from rag_pipelines_tests.doubles.faults import Status
from rag_pipelines_tests.doubles.servicenow import ServiceNow, too_many
from rag_pipelines_tests.doubles.servicenow_state import Instance, Row

_ALWAYS = 10**9
_PAGES = r"/table/kb_knowledge\?.*ORDERBYsys_updated_on"


class ServiceNowKnowledge(World):
    """A restricted document has a criterion of its own, and with it the base every user can read."""

    name = "servicenow"
    kind = "servicenow"
    not_applicable: ClassVar = {
        "test_a_rename_keeps_the_token": "the title is a field of the article and moves sys_updated_on",
        "test_a_change_of_access_shows_without_a_new_token": (
            "criteria are fields of the article and move sys_updated_on; equal bytes are seen by their hash"
        ),
        "test_a_second_document_of_one_id_is_reported_and_the_first_counts": (
            "an id is there once; a row that two answers name is taken once"
        ),
    }

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.instance = Instance(now=START)
        self.double = ServiceNow(self.instance, logins={LOGIN: "sync"})
        self.double.start()
        self._articles: dict[str, Row] = {}
        self._bases: dict[str, Row] = {}
        self._people = {user: self.instance.user(user) for user in USERS}
        self._group = self.instance.group(GROUP)
        self._criteria = {
            user: self.instance.criterion(user, user=[row]) for user, row in self._people.items()
        }
        self._criteria[GROUP] = self.instance.criterion(GROUP, group=[self._group])

    def close(self) -> None:
        super().close()
        self.double.stop()

    def options(self) -> dict[str, Any]:
        return {
            "url": self.double.url,
            "username": "sync",
            "password": "secret",
            "directory": HERE,
            "page_size": 1 if len(self.documents) < 100 else 1000,
            "retries": 3,
            "retry_delay": 0.01,
            "max_wait": 2.0,
        }

    def id_of(self, name: str) -> str:
        return f"article/{self._articles[name]['article_id']}"

    @property
    def requests(self) -> int:
        return len(self.double.log)

    def write(self, name: str, text: str, at: datetime) -> None:
        with self.double.lock:
            self.instance.now = at
            row = self._articles.get(name)
            if row is not None and row["sys_id"] in self.instance.tables["kb_knowledge"]:
                self.instance.edit(row, text=text)
            else:
                self._articles[name] = self.instance.article(self._base(name), _title(name), text)

    def remove(self, name: str) -> None:
        with self.double.lock:
            self.instance.now = self._now
            self.instance.delete(self._articles[name])

    def bring_back(self, name: str, text: str, at: datetime) -> None:
        with self.double.lock:
            self.instance.now = at
            self.instance.undelete(self._articles[name])

    def relocate(self, old: str, new: str, at: datetime) -> None:
        with self.double.lock:
            self.instance.now = at
            row = self._articles[new] = self._articles.pop(old)
            base = self._base(new)["sys_id"]
            self.instance.edit(row, kb_knowledge_base=base, short_description=_title(new))

    def remove_folder(self, folder: str) -> None:
        with self.double.lock:
            self.instance.edit(self._bases.pop(folder), active="false")

    def duplicate(self, name: str) -> None:
        self.double.repeated.add(self._articles[name]["sys_id"])

    def restrict(self, name: str, who: str) -> None:
        with self.double.lock:
            self.instance.now = self._now
            self.instance.set_readers(self._articles[name], [self._criteria[who]])

    def release(self, name: str) -> None:
        with self.double.lock:
            self.instance.set_readers(self._articles[name])

    def add_member(self, user: str) -> None:
        with self.double.lock:
            self.instance.join(self._group, self._people[user])

    def remove_member(self, user: str) -> None:
        with self.double.lock:
            self.instance.leave(self._group, self._people[user])

    def principal_of(self, who: str) -> str:
        if who == GROUP:
            return f"group:{HERE}/criterion/{self._criteria[GROUP]['sys_id']}"
        return f"user:{HERE}/{self._people[who]['sys_id']}"

    def mend(self) -> None:
        with self.double.lock:
            self.double.faults.clear()
            self.double.logins = {LOGIN: "sync"}
            self.double.malformed.clear()
            self.double.left_out.clear()
            self.instance.hidden.clear()

    def vanish(self, name: str) -> None:
        with self.double.lock:
            self.instance.hidden.add(self._articles[name]["sys_id"])

    def break_document(self, name: str) -> None:
        self.double.malformed.add(self._articles[name]["sys_id"])

    def break_part(self, folder: str) -> None:
        with self.double.lock:
            base = self._bases[folder]["sys_id"]
            rows = self.instance.tables["kb_knowledge"].values()
            self.instance.hidden.update(row["sys_id"] for row in rows if row["kb_knowledge_base"] == base)

    def break_source(self) -> None:
        self.double.faults.script(Status(503), times=_ALWAYS)

    def cut_short(self) -> None:
        with self.double.lock:
            late = [base["sys_id"] for folder, base in self._bases.items() if folder >= "legal"]
            self.double.left_out.update(late)

    def throttle(self, requests: int) -> None:
        self.double.faults.script(too_many(), times=requests)

    def expire_credential(self) -> None:
        self.double.logins = {}

    def during_listing(self, action: Callable[[], None]) -> None:
        """Between the first two pages of articles."""
        self.double.before(2, action, _PAGES)

    def _base(self, name: str) -> Row:
        folder = name.partition("/")[0]
        if folder not in self._bases:
            self._bases[folder] = self.instance.base(folder)
        return self._bases[folder]


def _title(name: str) -> str:
    return name.partition("/")[2]
