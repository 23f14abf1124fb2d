"""A small tenant behind a double of Graph, and what the tests of the connector share.

What belongs here: the tenant, and helpers to read it. What does not: assertions on the connector.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rag_pipelines.connectors.base import Complete, Connector, Failure, Group
from rag_pipelines.connectors.registry import make_connector
from rag_pipelines.model import EVERYONE, AccessRule
from rag_pipelines_tests.connectors.conformance import Listing
from rag_pipelines_tests.doubles.sharepoint import CLIENT, SECRET
from rag_pipelines_tests.doubles.sharepoint_rest import SharePoint
from rag_pipelines_tests.doubles.sharepoint_state import SITE_GROUP, USER, Place, Tenant, Thing

VISITORS = (SITE_GROUP, "4")


class Office:
    """A tenant with one site, which ann and bob may visit, and one library behind a started double."""

    def __init__(self, **double: Any) -> None:
        self.tenant = Tenant()
        self.double = SharePoint(self.tenant, **double)
        self.double.start()
        self.ann, self.bob, self.eve = (self.tenant.person(name) for name in ("ann", "bob", "eve"))
        self.site = self.tenant.site("sites/hr")
        self.site.groups["4"][1].extend([(USER, self.ann.key), (USER, self.bob.key)])
        self.library = self.tenant.library(self.site.key, "Documents")
        self._open: list[Connector] = []

    @property
    def url(self) -> str:
        """The address of the site."""
        return f"{self.double.sites_url}/{self.site.path}"

    def settings(self, **options: Any) -> dict[str, Any]:
        return {
            "tenant_id": "contoso.example",
            "client_id": CLIENT,
            "client_secret": SECRET,
            "graph_url": self.double.graph_url,
            "login_url": self.double.url,
            "retries": 2,
            "retry_delay": 0.01,
            "max_wait": 2.0,
            **options,
        }

    def connector(self, **options: Any) -> Any:
        connector = make_connector("office", "sharepoint", self.settings(**options))
        self._open.append(connector)
        return connector

    def listed(self, **options: Any) -> Listing:
        connector = self.connector(**options)
        return Listing.of(connector.items(), connector)

    def followed(self, cursor: Any, **options: Any) -> Listing:
        connector = self.connector(**options)
        return Listing.of(connector.changes(cursor), connector)

    def groups(self, **options: Any) -> tuple[dict[str, Group], list[Failure], Complete]:
        *entries, complete = self.connector(**options).groups()
        groups = [one for one in entries if isinstance(one, Group)]
        assert isinstance(complete, Complete)
        assert len({one.principal for one in groups}) == len(groups)
        failures = [one for one in entries if isinstance(one, Failure)]
        return {one.principal: one for one in groups}, failures, complete

    def members(self, principal: str, **options: Any) -> set[str]:
        """The addresses of the people behind a principal."""
        groups, _, _ = self.groups(**options)
        return addresses(groups, principal)

    def id(self, thing: Thing, place: Place | None = None) -> str:
        where = place or self.library
        return f"{'drive' if where.drive else 'list'}/{where.key}/item/{thing.key}"

    def requests(self, path: str) -> int:
        return len(self.double.requests(path))

    def close(self) -> None:
        for connector in self._open:
            connector.close()
        self.double.stop()


def opened(**double: Any) -> Iterator[Office]:
    """A tenant behind a started double."""
    made = Office(**double)
    yield made
    made.close()


def cursor_of(listing: Listing) -> Any:
    assert listing.complete is not None
    assert listing.complete.cursor is not None
    return listing.complete.cursor


def behind(groups: Mapping[str, Group], principal: str) -> set[str]:
    """Everything that stands behind a principal, through any number of groups."""
    found: set[str] = set()
    waiting = [principal]
    while waiting:
        one = groups.get(waiting.pop())
        inner = set(one.members) - found if one is not None else set()
        found |= inner
        waiting += inner
    return found


def addresses(groups: Mapping[str, Group], principal: str) -> set[str]:
    """The addresses of the people behind a principal."""
    return {one for one in behind(groups, principal) if one.startswith("user:") and "/" not in one}


def callers_principals(groups: Mapping[str, Group], address: str | None) -> set[str]:
    """What somebody searches with: their address, everybody, and every group that these stand behind."""
    found = {EVERYONE, *([f"user:{address}"] if address else [])}
    while True:
        more = {one.principal for one in groups.values() if found & set(one.members)} - found
        if not more:
            return found
        found |= more


def may_see(rule: AccessRule | None, principals: set[str]) -> bool:
    """Whether a caller with these principals sees a document with this rule."""
    assert rule is not None
    return all(principals & set(clause) for clause in rule.clauses) and not principals & set(rule.deny)
