"""Jira, Cloud and Data Center, as the conformance kit changes it: a folder is a project, a document an issue.

What belongs here: the two worlds. What does not: the doubles (`rag_pipelines_tests.doubles`), promises.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

from rag_pipelines_tests.connectors.conformance import GROUP, START, USERS, World
from rag_pipelines_tests.doubles.faults import Status
from rag_pipelines_tests.doubles.jira import Double
from rag_pipelines_tests.doubles.jira_cloud import JiraCloud as CloudDouble
from rag_pipelines_tests.doubles.jira_data_center import JiraDataCenter as DataCenterDouble
from rag_pipelines_tests.doubles.jira_state import Issue, Site, adf, holder

TOKEN = "Bearer conformance"
DIRECTORY = "jira.example.com"
_ALWAYS = 10**9
_SEARCH = r"/search(/jql)?\?.*updated%2Cproject|/search(/jql)?\?.*updated,project"


class Jira(World):
    """The common part; both deployments have the same state behind them.

    A restricted document is in a security level of its own, whose members are who may see it.
    """

    kind = "jira"
    double_type: ClassVar[type[Double]]
    deployment: ClassVar[str]
    not_applicable: ClassVar = {
        "test_a_rename_keeps_the_token": "the summary is part of an issue's content",
        "test_a_change_of_access_shows_without_a_new_token": (
            "a security level is a field of the issue and moves `updated`; equal bytes are seen by their hash"
        ),
        "test_a_second_document_of_one_id_is_reported_and_the_first_counts": (
            "an id is there once; an issue that two answers name is taken once"
        ),
    }

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.site = Site(now=START)
        self.double = self.double_type(self.site, logins={TOKEN: "sync"})
        self.double.start()
        self._issues: dict[str, Issue] = {}
        for user in USERS:
            self.site.account(user, user.title(), f"{user}@example.com")
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
            "page_size": 1 if len(self.documents) < 100 else 250,
            "retries": 3,
            "retry_delay": 0.01,
            "max_wait": 2.0,
            "security_levels": {
                f"only {who}": [f"{'group' if who == GROUP else 'user'}:{who}"] for who in (*USERS, GROUP)
            },
        }

    def id_of(self, name: str) -> str:
        return f"issue/{self._issues[name].id}"

    def text_of(self, data: bytes) -> str:
        return _plain(json.loads(data)["description"])

    @property
    def requests(self) -> int:
        return len(self.double.log)

    def write(self, name: str, text: str, at: datetime) -> None:
        with self.double.lock:
            self.site.now = at
            body = adf(text) if self.double_type is CloudDouble else text
            issue = self._issues.get(name)
            if issue is not None and issue.id in self.site.issues:
                self.site.edit(issue.id, description=body)
            else:
                self._issues[name] = self.site.create(self._project(name), _summary(name), body)

    def remove(self, name: str) -> None:
        with self.double.lock:
            self.site.delete(self._issues[name].id)

    def bring_back(self, name: str, text: str, at: datetime) -> None:
        with self.double.lock:
            self.site.now = at
            self.site.undelete(self._issues[name])

    def relocate(self, old: str, new: str, at: datetime) -> None:
        with self.double.lock:
            self.site.now = at
            issue = self._issues[new] = self._issues.pop(old)
            if (project := self._project(new)) != issue.project:
                self.site.move(issue.id, project)
            self.site.edit(issue.id, summary=_summary(new))

    def remove_folder(self, folder: str) -> None:
        with self.double.lock:
            self.site.delete_project(_key(folder))

    def duplicate(self, name: str) -> None:
        self.double.cap = 2
        self.double.repeated.add(self._issues[name].id)

    def restrict(self, name: str, who: str) -> None:
        with self.double.lock:
            self.site.now = self._now
            name_of_level = f"only {who}"
            level = next((id for id, one in self.site.levels.items() if one.name == name_of_level), None)
            if level is None:
                level = self.site.level(name_of_level, holder("group" if who == GROUP else "user", who))
                for project in self.site.projects.values():
                    project.levels = [*(project.levels or ()), level]
            self.site.edit(self._issues[name].id, level=level)

    def release(self, name: str) -> None:
        with self.double.lock:
            self.site.edit(self._issues[name].id, level=None)

    def add_member(self, user: str) -> None:
        self.site.group(GROUP, *{*self.site.groups[GROUP][1], user})

    def remove_member(self, user: str) -> None:
        self.site.group(GROUP, *(set(self.site.groups[GROUP][1]) - {user}))

    def principal_of(self, who: str) -> str:
        return f"{'group' if who == GROUP else 'user'}:{DIRECTORY}/{who}"

    def mend(self) -> None:
        with self.double.lock:
            self.double.faults.clear()
            self.double.logins = {TOKEN: "sync"}
            self.double.malformed.clear()
            self.double.refused_projects.clear()
            self.site.unindexed.clear()
            self.site.hidden.clear()
            self.site.changed()

    def vanish(self, name: str) -> None:
        with self.double.lock:
            self.site.hidden.add(self._issues[name].id)
            self.site.changed()

    def break_document(self, name: str) -> None:
        self.double.malformed.add(self._issues[name].id)

    def break_part(self, folder: str) -> None:
        with self.double.lock:
            self.double.refused_projects.add(_key(folder))
            self.site.changed()

    def break_source(self) -> None:
        self.double.faults.script(Status(503), times=_ALWAYS)

    def cut_short(self) -> None:
        with self.double.lock:
            self.site.unindexed.update(key for key in self.site.projects if key >= "LEGAL")
            self.site.changed()

    def throttle(self, requests: int) -> None:
        self.double.faults.script(Status(429, retry_after=0), times=requests)

    def expire_credential(self) -> None:
        self.double.logins = {}

    def during_listing(self, action: Callable[[], None]) -> None:
        """Between the first two pages of a search."""
        self.double.before(2, action, _SEARCH)

    def _project(self, name: str) -> str:
        key = _key(name.partition("/")[0])
        if key not in self.site.projects:
            self.site.project(key).levels = list(self.site.levels)
        return key


class JiraCloud(Jira):
    name = "jira-cloud"
    deployment = "cloud"
    double_type = CloudDouble


class JiraDataCenter(Jira):
    name = "jira-data-center"
    deployment = "data_center"
    double_type = DataCenterDouble


def _key(folder: str) -> str:
    return "".join(c for c in folder.upper() if c.isalnum())


def _summary(name: str) -> str:
    return name.partition("/")[2]


def _plain(text: Any) -> str:
    """The text of an issue's description as it was put."""
    if isinstance(text, str):
        return text
    return "\n".join("".join(one["text"] for one in paragraph["content"]) for paragraph in text["content"])
