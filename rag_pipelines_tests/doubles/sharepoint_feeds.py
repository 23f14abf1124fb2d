"""Delta feeds of the double: tokens, pages, what was touched since, and the ways in which they end badly.

What belongs here: feeds. What does not: routes (`sharepoint`), shapes of what they name (`sharepoint_json`).

After learn.microsoft.com/graph/api/driveitem-delta and listitem-delta: the last of several entries of one
thing counts, what is gone has the facet ``deleted``, 410 comes with one of two codes and an address to begin
anew at. A feed names the folders above what it names; what was only shared anew it names when it is asked to.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

from rag_pipelines_tests.doubles import sharepoint_json as shapes
from rag_pipelines_tests.doubles.server import Answer, Request, json_answer
from rag_pipelines_tests.doubles.sharepoint_state import Place, Thing

if TYPE_CHECKING:
    from rag_pipelines_tests.doubles.sharepoint import Graph

Json = dict[str, Any]
_TOGETHER = {"deltashowremovedasdeleted", "deltatraversepermissiongaps"}
Shape = Callable[[Place, Thing], Json]

RESYNC_APPLY, RESYNC_UPLOAD = "resyncChangesApplyDifferences", "resyncChangesUploadDifferences"


class Feeds:
    """The feeds of one server."""

    def __init__(self, double: Graph) -> None:
        self.repeated: set[str] = set()
        """Keys of things that are named twice: as they were before, then as they are."""
        self.silent: set[str] = set()
        """Keys of things that are not named, without a word of that."""
        self.reticent: set[str] = set()
        """Keys of things whose sharing is told in listings of everything only."""
        self.children_first = False
        self.empty_last_page = True
        self._double = double
        self._snapshots: dict[str, list[str]] = {}
        self._epoch = 0
        self._code = RESYNC_APPLY

    def expire(self, code: str = RESYNC_APPLY) -> None:
        """Refuse every token that was given out, in the middle of a listing too."""
        self._epoch += 1
        self._code = code

    def answer(self, request: Request, place: Place, shape: Shape) -> Any:
        """A page of the feed of `place`, each thing in the form that `shape` gives it."""
        token = request.one("token")
        state = _decode(token) if token else self._begin(place)
        if state is None:
            return problem(400, "invalidRequest", "The token is malformed.")
        if state.get("epoch", self._epoch) != self._epoch:
            fresh = f"{self._double.url}{urlsplit(request.target).path}"
            return problem(410, self._code, "The token has expired.", {"Location": fresh})
        if "since" in state:
            wanted = preferences(request)
            if "deltashowsharingchanges" in wanted and not wanted >= _TOGETHER:
                return problem(400, "invalidRequest", f"Must also prefer {' and '.join(sorted(_TOGETHER))}.")
            state = {**self._continue(place, state["since"], wanted), "follows": True}
        keys, start = self._snapshots[state["snapshot"]], state["start"]
        limit = min(request.number("$top", self._double.cap), self._double.cap)
        some = [key for key in keys[start : start + limit] if key not in self.silent]
        value = [raw for key in some for raw in self._told(place, key, shape)]
        for raw in value:
            if "follows" in state and raw["id"] in self.reticent:
                raw.pop("shared", None)
        answer: Json = {"value": [selected(raw, request) for raw in value]}
        if start + limit < len(keys) or (self.empty_last_page and keys[start:]):
            following = {**state, "start": start + limit}
            answer["@odata.nextLink"] = self._link(request, following)
        else:
            answer["@odata.deltaLink"] = self._link(request, {"since": state["seen"]})
        return answer

    def _begin(self, place: Place) -> Json:
        """Everything there is now; what happens while it is read is told by the next delta."""
        keys = [place.root.key, *place.things]
        return self._snapshot(place, keys[::-1] if self.children_first else keys)

    def _continue(self, place: Place, since: int, wanted: set[str]) -> Json:
        """What was touched since then, in the order of its last touch, with the folders above it."""
        with_sharing = "deltashowsharingchanges" in wanted and place.drive
        new = (entry for entry in place.log if entry[0] > since)
        touched = {key: number for number, key, sharing in new if with_sharing or not sharing}
        keys = sorted(touched, key=touched.__getitem__)
        above: dict[str, None] = {}
        for key in keys:
            if place.drive and key in place.things:
                path = self._double.tenant.path(place, place.things[key])
                above.update(dict.fromkeys(one.key for one in path[1:]))
        return self._snapshot(place, [*(key for key in reversed(above) if key not in touched), *keys])

    def _snapshot(self, place: Place, keys: list[str]) -> Json:
        name = str(len(self._snapshots))
        self._snapshots[name] = keys
        return {"snapshot": name, "start": 0, "seen": place.log[-1][0]}

    def _told(self, place: Place, key: str, shape: Shape) -> Iterator[Json]:
        thing = self._double.tenant.find(place, key)
        if key in self.repeated:
            yield shape(place, replace(thing, name=thing.before or thing.name))
        yield shapes.deleted(place, thing) if key in place.gone else shape(place, thing)

    def _link(self, request: Request, state: Json) -> str:
        told = json.dumps({**state, "epoch": self._epoch}).encode()
        token = base64.urlsafe_b64encode(told).decode()
        query = {**request.query, "token": [token]}
        return f"{self._double.url}{quote(request.path, safe='/,:')}?{query_of(query)}"


def preferences(request: Request) -> set[str]:
    """What the header ``Prefer`` asks for."""
    return {one.strip() for one in (request.headers.get("Prefer") or "").split(",")}


def problem(status: int, code: str, message: str, headers: Json | None = None) -> Answer:
    return json_answer({"error": {"code": code, "message": message}}, status, headers)


def missing(what: str) -> Answer:
    return problem(404, "itemNotFound", f"The {what} could not be found.")


def selected(raw: Json, request: Request) -> Json:
    """What ``$select`` asks for, and annotations, which it does not name."""
    wanted = set(request.list("$select"))
    if not wanted:
        return raw
    expanded = re.findall(r"(\w+)(?:\(|,|$)", request.one("$expand"))[:1]
    wanted.update(expanded)
    if any("downloadUrl" in name for name in wanted):
        wanted.add("@microsoft.graph.downloadUrl")
    return {name: value for name, value in raw.items() if name in wanted}


def query_of(query: Any) -> str:
    return urlencode(query, doseq=True, safe="$(),*=@.")


def _decode(token: str) -> Json | None:
    try:
        return json.loads(base64.urlsafe_b64decode(token))
    except ValueError:
        return None
