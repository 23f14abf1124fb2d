"""A double of Jira with connectors on it, for the tests of that connector.

What belongs here: what its test modules share. What does not: tests; the kit's worlds (`jira_world`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from rag_pipelines.connectors.base import Connector, Failure, Group, Item
from rag_pipelines.connectors.registry import make_connector
from rag_pipelines.model import EVERYONE
from rag_pipelines_tests.connectors.conformance import Listing
from rag_pipelines_tests.doubles.jira import Double
from rag_pipelines_tests.doubles.jira_cloud import JiraCloud
from rag_pipelines_tests.doubles.jira_data_center import JiraDataCenter
from rag_pipelines_tests.doubles.jira_state import Issue, Site, adf

TOKEN = "Bearer secret"
HERE = "acme"
ALWAYS = 10**9
KINDS: dict[str, type[Double]] = {"cloud": JiraCloud, "data_center": JiraDataCenter}


class Bench:
    """A double with its site, and connectors on it."""

    def __init__(self, kind: type[Double], *, now: datetime = datetime(2026, 3, 1, 12, tzinfo=UTC)) -> None:
        self.site = Site(now=now)
        self.double = kind(self.site, logins={TOKEN: "sync"})
        self.double.start()
        self._connectors: list[Connector] = []

    @property
    def is_cloud(self) -> bool:
        return isinstance(self.double, JiraCloud)

    def connector(self, **options: Any) -> Connector:
        login = "oauth_token" if self.is_cloud else "personal_access_token"
        values = {
            "url": self.double.url,
            "deployment": "cloud" if self.is_cloud else "data_center",
            login: TOKEN.removeprefix("Bearer "),
            "directory": HERE,
            "retries": 2,
            "retry_delay": 0.001,
            **options,
        }
        self._connectors.append(make_connector("jira", "jira", values))
        return self._connectors[-1]

    def listed(self, **options: Any) -> Listing:
        connector = self.connector(**options)
        return Listing.of(connector.items(), connector)

    def content(self, issue: Issue, **options: Any) -> dict[str, Any]:
        return json.loads(self.listed(**options).items[f"issue/{issue.id}"].load())

    def text(self, text: str) -> Any:
        """A description in the language of the deployment."""
        return adf(text) if self.is_cloud else text

    def visible(self, email: str, **options: Any) -> set[str]:
        """The documents that a person may see, by rules and groups together, as the engine puts them."""
        connector = self.connector(**options)
        held = {f"user:{email}", EVERYONE}
        groups = [entry for entry in connector.groups() if isinstance(entry, Group)]
        while grown := {one.principal for one in groups if held & set(one.members)} - held:
            held |= grown
        items = Listing.of(connector.items()).items.values()
        return {item.external_id for item in items if _admits(item, held)}

    def close(self) -> None:
        for connector in self._connectors:
            connector.close()
        self.double.stop()


def _admits(item: Item, held: set[str]) -> bool:
    assert item.access is not None
    return not held & set(item.access.deny) and all(held & set(clause) for clause in item.access.clauses)


def clauses_of(item: Item) -> tuple[tuple[str, ...], ...]:
    assert item.access is not None
    return item.access.clauses


def failures_of(connector: Connector) -> list[Failure]:
    return [entry for entry in connector.groups() if isinstance(entry, Failure)]


def opened(kind: str) -> Iterator[Bench]:
    """A bench for a test, which is closed after it; ``cloud`` or ``data_center``."""
    bench = Bench(KINDS[kind])
    yield bench
    bench.close()
