"""A small Confluence site behind a double, and what the tests of the connector share.

What belongs here: the site, and helpers to read it. What does not: assertions on the connector.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rag_pipelines.connectors.base import Complete, Connector, Failure, Group
from rag_pipelines.connectors.registry import make_connector
from rag_pipelines.model import AccessRule
from rag_pipelines_tests.connectors.conformance import Listing
from rag_pipelines_tests.doubles.confluence import Double
from rag_pipelines_tests.doubles.confluence_cloud import ConfluenceCloud
from rag_pipelines_tests.doubles.confluence_state import Readers, Site

TOKEN = "secret-token"
DIRECTORY = "wiki.example.com"
HR_SPACE = f"space:{DIRECTORY}/HR"
STORAGE = "application/vnd.atlassian.confluence.storage+xml"


def user(key: str) -> str:
    return f"user:{DIRECTORY}/{key}"


def group(key: str) -> str:
    return f"group:{DIRECTORY}/{key}"


class Wiki:
    """A site with two spaces behind a double, and connectors to it."""

    def __init__(self, kind: type[Double], **double: Any) -> None:
        self.site = Site()
        self.double = kind(self.site, logins={f"Bearer {TOKEN}": "sync"}, **double)
        self.is_cloud = kind is ConfluenceCloud
        for key in ("ann", "bob", "eve"):
            self.site.person(key, key.title(), f"{key}@example.com")
        self.site.group("staff", "ann", "bob")
        self.site.group("hr", "ann")
        self.site.space("HR", "Human Resources", Readers(groups=["staff"]))
        self.site.space("IT", "Computers", Readers(people=["eve"], anonymous=True))
        self._open: list[Connector] = []

    def connector(self, **options: Any) -> Any:
        login = "oauth_token" if self.is_cloud else "personal_access_token"
        given = {
            "url": self.double.url,
            "deployment": "cloud" if self.is_cloud else "data_center",
            login: TOKEN,
            "directory": DIRECTORY,
            "retries": 1,
            "retry_delay": 0.01,
            **options,
        }
        connector = make_connector("wiki", "confluence", given)
        self._open.append(connector)
        return connector

    def listed(self, **options: Any) -> Listing:
        connector = self.connector(**options)
        return Listing.of(connector.items(), connector)

    def rule(self, id: int, **options: Any) -> AccessRule | None:
        return self.listed(**options).items[f"page/{id}"].access

    def followed(self, cursor: Any, **options: Any) -> Listing:
        connector = self.connector(**options)
        return Listing.of(connector.changes(cursor), connector)

    def groups(self, **options: Any) -> tuple[dict[str, Group], list[Failure], Complete]:
        *entries, complete = self.connector(**options).groups()
        groups = [one for one in entries if isinstance(one, Group)]
        assert isinstance(complete, Complete)
        assert len({one.principal for one in groups}) == len(groups)
        return (
            {one.principal: one for one in groups},
            [one for one in entries if isinstance(one, Failure)],
            complete,
        )

    def requests(self, path: str) -> int:
        return len(self.double.requests(path))

    def close(self) -> None:
        for connector in self._open:
            connector.close()
        self.double.stop()


def opened(kind: type[Double]) -> Iterator[Wiki]:
    """A site behind a started double of this kind."""
    made = Wiki(kind)
    made.double.start()
    yield made
    made.close()


def whole_cursor(listing: Listing) -> Any:
    assert listing.complete is not None
    assert listing.complete.cursor is not None
    return listing.complete.cursor
