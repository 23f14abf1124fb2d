"""A double of Zendesk with connectors on it, for the tests of that connector.

What belongs here: what its test modules share. What does not: tests; the kit's world (`zendesk_world`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

from rag_pipelines.connectors.base import Connector, Failure, Group
from rag_pipelines.connectors.registry import make_connector
from rag_pipelines.errors import RagError
from rag_pipelines.http.statuses import error_of_status
from rag_pipelines_tests.connectors.conformance import Listing
from rag_pipelines_tests.doubles.server import Request
from rag_pipelines_tests.doubles.zendesk import Zendesk
from rag_pipelines_tests.doubles.zendesk_state import Desk, Row

LOGIN = "Basic c3luY0BleGFtcGxlLmNvbS90b2tlbjpzZWNyZXQ="
"""Of sync@example.com with the token secret."""
HERE = "acme"


class Bench:
    """A double with its account, and connectors on it."""

    def __init__(self) -> None:
        self.desk = Desk()
        self.double = Zendesk(
            self.desk, logins={LOGIN: "sync", "Bearer given": "sync"}, clients={"client": "secret"}
        )
        self.double.start()
        self.section = self.desk.section("Leave", self.desk.category("HR"))
        self._connectors: list[Connector] = []

    def connector(self, **options: Any) -> Connector:
        others = {"oauth_token", "client_id"} & options.keys()
        login = {} if others else {"email": "sync@example.com", "api_token": "secret"}
        values = {
            "url": self.double.url,
            "directory": HERE,
            "retries": 2,
            "retry_delay": 0.001,
            "page_size": 3,
            **login,
            **options,
        }
        self._connectors.append(make_connector("help", "zendesk", values))
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

    def failures_of_groups(self, **options: Any) -> list[Failure]:
        return [entry for entry in self.connector(**options).groups() if isinstance(entry, Failure)]

    def article(self, title: str = "A", body: str = "a", **values: Any) -> Row:
        return self.desk.article(self.section, title, body, **values)

    def close(self) -> None:
        for connector in self._connectors:
            connector.close()
        self.double.stop()


class Direct:
    """Stands in for `RestClient` and asks a double without a wire, for tests of many requests."""

    url = "https://acme.example.com"

    def __init__(self, double: Zendesk) -> None:
        self._double = double
        double.address = self.url

    def get_json(self, path: str, params: dict[str, Any] | None = None) -> Any:
        parts = urlsplit(path)
        query = {**parse_qs(parts.query), **{name: [str(value)] for name, value in (params or {}).items()}}
        answer = self._double.answer(Request("GET", parts.path, parts.path, query, {}))
        error: RagError | None = error_of_status(answer.status, answer.body.decode())
        if error is not None:
            raise error
        return json.loads(answer.body)

    def close(self) -> None:
        """Nothing is open."""


def opened() -> Iterator[Bench]:
    """A bench for a test, which is closed after it."""
    bench = Bench()
    yield bench
    bench.close()
