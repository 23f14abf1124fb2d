"""A double of ServiceNow with connectors on it, for the tests of that connector.

What belongs here: what its test modules share. What does not: tests; the kit's world (`servicenow_world`).
"""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from rag_pipelines.connectors.base import Connector, Cursor, Failure, Group, Item
from rag_pipelines.connectors.registry import make_connector
from rag_pipelines.model import EVERYONE, AccessRule
from rag_pipelines_tests.connectors.conformance import Listing
from rag_pipelines_tests.doubles.server import Request
from rag_pipelines_tests.doubles.servicenow import ServiceNow
from rag_pipelines_tests.doubles.servicenow_state import Instance, Row

LOGIN = "Basic c3luYzpzZWNyZXQ="
"""Of the user sync with the password secret."""
HERE = "acme"


class Bench:
    """A double with its instance, and connectors on it."""

    def __init__(self) -> None:
        self.instance = Instance()
        self.double = ServiceNow(self.instance, logins={LOGIN: "sync"}, clients={"client": "secret"})
        self.double.start()
        self._connectors: list[Connector] = []

    def connector(self, **options: Any) -> Connector:
        login = {} if "client_id" in options else {"username": "sync", "password": "secret"}
        values = {
            "url": self.double.url,
            "directory": HERE,
            "retries": 2,
            "retry_delay": 0.001,
            "page_size": 3,
            **login,
            **options,
        }
        self._connectors.append(make_connector("kb", "servicenow", values))
        return self._connectors[-1]

    def listed(self, **options: Any) -> Listing:
        connector = self.connector(**options)
        return Listing.of(connector.items(), connector)

    def changed(self, cursor: Any, **options: Any) -> Listing:
        connector = self.connector(**options)
        return Listing.of(connector.changes(cursor), connector)

    def groups(self, **options: Any) -> dict[str, Group]:
        entries = self.connector(**options).groups()
        return {entry.principal: entry for entry in entries if isinstance(entry, Group)}

    def failures_of_groups(self) -> list[Failure]:
        return [entry for entry in self.connector().groups() if isinstance(entry, Failure)]

    def close(self) -> None:
        for connector in self._connectors:
            connector.close()
        self.double.stop()


class Direct:
    """Stands in for `RestClient` and asks a double without a wire, for tests of many requests."""

    def __init__(self, double: ServiceNow) -> None:
        self._double = double

    def get_response(self, path: str, params: dict[str, Any]) -> SimpleNamespace:
        query = {name: [str(value)] for name, value in params.items() if value is not None}
        table = path.rpartition("/")[2]
        answer = self._double.answer_table(Request("GET", path, path, query, {}), table)
        assert answer.status == 200, answer.body
        return SimpleNamespace(content=answer.body, headers=answer.headers)

    def close(self) -> None:
        """Nothing is open."""


class Replica:
    """What an engine holds of one instance: rules and groups, by listings and by following changes."""

    def __init__(self, connector: Connector) -> None:
        self.connector = connector
        self.items: dict[str, Item] = {}
        self.cursor: Cursor | None = None

    def list_everything(self) -> None:
        listing = Listing.of(self.connector.items())
        assert listing.is_full, listing.failures
        assert listing.complete is not None
        self.items, self.cursor = dict(listing.items), listing.complete.cursor

    def follow(self) -> None:
        assert self.cursor is not None
        listing = Listing.of(self.connector.changes(self.cursor))
        assert not listing.failures
        for one in listing.removed:
            below = f"{one}/"
            self.items = {
                id: item for id, item in self.items.items() if id != one and not id.startswith(below)
            }
        self.items.update(listing.items)
        assert listing.complete is not None
        self.cursor = listing.complete.cursor


def held_by(user: Row, groups: dict[str, Group]) -> set[str]:
    """The principals of a caller who comes with an e-mail address."""
    held = {f"user:{user['email']}", EVERYONE}
    above: dict[str, list[str]] = {}
    for principal, group in groups.items():
        for member in group.members:
            above.setdefault(member, []).append(principal)
    waiting = list(held)
    while waiting:
        for principal in above.get(waiting.pop(), ()):
            if principal not in held:
                held.add(principal)
                waiting.append(principal)
    return held


def admits(rule: AccessRule | None, held: set[str]) -> bool:
    assert rule is not None
    return not held & set(rule.deny) and all(held & set(clause) for clause in rule.clauses)


def visible(user: Row, items: dict[str, Item], groups: dict[str, Group]) -> set[str]:
    """The documents that a user may see, by rules and groups together, as the engine puts them."""
    held = held_by(user, groups)
    return {identity for identity, item in items.items() if admits(item.access, held)}


def id_of(row: Row) -> str:
    return f"article/{row['article_id']}"


def opened() -> Iterator[Bench]:
    """A bench for a test, which is closed after it."""
    bench = Bench()
    yield bench
    bench.close()
