"""Subscriptions of the double of Microsoft Graph: made, renewed, ended, forgotten when their time is over.

What belongs here: the resource ``subscription``. What does not: sending notifications, which a test does.
learn.microsoft.com/graph/api/resources/subscription, subscription-post-subscriptions, -update, -list, -delete
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from rag_pipelines_tests.doubles.server import Answer, Request, json_answer
from rag_pipelines_tests.doubles.sharepoint_feeds import problem

if TYPE_CHECKING:
    from rag_pipelines_tests.doubles.sharepoint import Graph

Json = dict[str, Any]

LONGEST = timedelta(minutes=42_300)
"""Of a subscription to a driveItem or a list."""
WRITE = {"drives": "Files.ReadWrite.All", "sites": "Sites.ReadWrite.All"}
"""Least role of an app that subscribes, by how the resource begins."""


class Subscriptions:
    """Those of one app. `handshake` sends a validation token to an address and gives what came back."""

    def __init__(self, graph: Graph) -> None:
        self.now = datetime(2024, 6, 1, tzinfo=UTC)
        self.handshake: Callable[[str, str], str] = lambda address, token: token
        self._graph = graph
        self._made: dict[str, Json] = {}
        self._count = 0
        for path, method, handler in (
            ("", "GET", self._list),
            ("", "POST", self._make),
            ("/{id}", "PATCH", self._prolong),
            ("/{id}", "DELETE", self._end),
        ):
            graph.route(f"/v1.0/subscriptions{path}", self._known(handler), method)

    def alive(self) -> list[Json]:
        """Those whose time is not over."""
        return [one for one in self._made.values() if _time(one["expirationDateTime"]) > self.now]

    def _known(self, handler: Callable[..., Any]) -> Callable[..., Any]:
        def answer(request: Request, **parameters: str) -> Any:
            return self._graph.refusal(request, "graph") or handler(request, **parameters)

        return answer

    def _list(self, request: Request) -> Any:
        """The secret is never told. A page holds two."""
        start = request.number("$skiptoken", 0)
        alive = self.alive()
        page: Json = {"value": [{**one, "clientState": None} for one in alive[start : start + 2]]}
        if start + 2 < len(alive):
            page["@odata.nextLink"] = f"{self._graph.graph_url}/subscriptions?$skiptoken={start + 2}"
        return page

    def _make(self, request: Request) -> Any:
        asked: Json = json.loads(request.body)
        kind = str(asked["resource"]).strip("/").partition("/")[0]
        if WRITE.get(kind) not in self._graph.roles:
            return problem(403, "ExtensionError", "Operation: Create; Exception: Forbidden")
        if asked["changeType"] != "updated" or len(asked.get("clientState", "")) > 128:
            return problem(400, "InvalidRequest", "changeType or clientState is not allowed.")
        if (refusal := self._too_long(asked)) is not None:
            return refusal
        for name in ("notificationUrl", "lifecycleNotificationUrl"):
            address = str(asked[name])
            if not address.startswith("https://"):
                return problem(400, "InvalidRequest", f"{name} must start with https")
            if self.handshake(address, "Validation: Testing <1>") != "Validation: Testing <1>":
                return problem(400, "ValidationError", "Subscription validation request failed.")
        self._count += 1
        made = {"id": f"s{self._count}", **asked}
        self._made[made["id"]] = made
        return json_answer({**made, "clientState": None}, 201)

    def _prolong(self, request: Request, id: str) -> Any:
        if id not in {one["id"] for one in self.alive()}:
            return problem(404, "ResourceNotFound", "The object was not found.")
        asked: Json = json.loads(request.body)
        if (refusal := self._too_long(asked)) is not None:
            return refusal
        self._made[id]["expirationDateTime"] = asked["expirationDateTime"]
        return {**self._made[id], "clientState": None}

    def _end(self, request: Request, id: str) -> Any:
        if self._made.pop(id, None) is None:
            return problem(404, "ResourceNotFound", "The object was not found.")
        return Answer(204)

    def _too_long(self, asked: Json) -> Answer | None:
        if self.now < _time(asked["expirationDateTime"]) <= self.now + LONGEST:
            return None
        return problem(400, "InvalidRequest", "Subscription expiration can only be 42300 minutes ahead.")


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
