"""What the doubles of Confluence Cloud and Data Center share: paging, the content search, JSON of v1.

What belongs here: everything that REST v1 says alike on both. What does not: the site's state
(`confluence_state`), and endpoints of one deployment.

Shapes follow the vendor's documentation; the links of a page of results are relative as there: v1's
below the context path, v2's with it. Answers hold fewer entries than were asked for above `cap`.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

from rag_pipelines_tests.doubles.confluence_state import ATTACHMENT, COMMENT, Content, Readers, Site
from rag_pipelines_tests.doubles.server import Answer, Request, Server, json_answer

Json = dict[str, Any]

_CONDITION = re.compile(
    r"""(?P<field>space|type|id|lastmodified)\s*(?P<operator>=|>=|in)\s*(?P<value>"[^"]*"|\([^)]*\)|[\w~-]+)$"""
)


class Double(Server):
    """A server for one `Site`; the deployments add their routes.

    Args:
        cap: entries in one answer at most, however many were asked for.
        removed: patterns of paths that answer 410, as endpoints do that Atlassian has taken away.
    """

    context_path = ""

    def __init__(self, site: Site, cap: int = 100, **server: Any) -> None:
        super().__init__(self.context_path, **server)
        self.site = site
        self.cap = cap
        self.removed: list[str] = []
        self.malformed: set[int] = set()
        """Content that is described without its version."""
        self.repeated: set[int] = set()
        """Content that a page of results names again after the page before."""
        self.silent: set[str] = set()
        """Keys of spaces whose pages no listing names, without a word of that."""
        self.forbidden: set[int] = set()
        """Content whose restriction the account may not read."""
        self.add_v1("/rest/api/content/search", self.search)
        self.add_v1("/rest/api/content/{id}/restriction/byOperation/read", self.restriction)
        self.add_v1("/rest/api/space/{key}", self.space)
        self.add_v1("/rest/api/user/current", self.current)
        self.add_v1("/rest/api/group", self.list_groups)

    def add_v1(self, path: str, handler: Callable[..., Any]) -> None:
        """A route that may be taken away."""

        def answer(request: Request, **parameters: str) -> Any:
            if any(re.search(pattern, request.path) for pattern in self.removed):
                return error(410, "This deprecated endpoint has been removed.")
            return handler(request, **parameters)

        self.route(path, answer)

    # Endpoints.

    def search(self, request: Request) -> Any:
        """`GET /rest/api/content/search`: what the index knows, read from the database."""
        try:
            wanted = self._matching(request)
        except ValueError as problem:
            return error(400, f"Could not parse cql : {problem}")
        return self.offset_page(request, wanted, lambda one: self.v1(one, request.one("expand")))

    def restriction(self, request: Request, id: str) -> Any:
        content = self.site.visible(number_of(id))
        if content is None:
            return not_found(id)
        if content.id in self.forbidden:
            return error(403, "The account may not read the restrictions of this content.")
        return {"operation": "read", "restrictions": self._readers(content.readers, request, self.cap)}

    def space(self, request: Request, key: str) -> Any:
        space = self.site.spaces.get(key)
        if space is None or key in self.site.hidden_spaces:
            return not_found(key)
        answer: Json = {
            "id": space.id,
            "key": key,
            "name": space.name,
            "type": "global",
            "status": space.status,
        }
        if "permissions" in request.one("expand"):
            operation = {"operation": "read", "targetType": "space"}
            subjects = self._readers(space.readers, request, 1000)
            answer["permissions"] = [
                {"operation": operation, "subjects": subjects, "anonymousAccess": False},
                {
                    "operation": {**operation, "operation": "administer"},
                    "subjects": {},
                    "anonymousAccess": False,
                },
            ]
            if space.readers.anonymous:
                answer["permissions"].append({"operation": operation, "anonymousAccess": True})
        return answer

    def current(self, request: Request) -> Any:
        return {"type": "known", "displayName": "Sync Account", "username": "sync", "accountId": "sync"}

    def list_groups(self, request: Request) -> Any:
        return self.offset_page(request, list(self.site.groups), self.group_json)

    # Shapes.

    def person_json(self, key: str) -> Json:
        raise NotImplementedError

    def group_json(self, key: str) -> Json:
        raise NotImplementedError

    def v1(self, content: Content, expand: str) -> Json:
        """A content of REST v1 with what `expand` names."""
        site = self.site
        wanted = set(expand.split(","))
        answer: Json = {
            "id": content.identity,
            "type": content.type,
            "status": content.status,
            "title": content.title,
            "_links": {"webui": self.webui(content), "self": f"/rest/api/content/{content.identity}"},
            "extensions": {},
        }
        if content.type == ATTACHMENT:
            answer["extensions"] = {"mediaType": content.media_type, "fileSize": len(content.data)}
            answer["_links"]["download"] = self.download_link(content)
        if content.type == COMMENT:
            answer["extensions"] = {"location": content.location}
        if "version" in wanted and content.id not in self.malformed:
            by = self.person_json(content.by)
            answer["version"] = {"number": content.version, "when": self.moment(content.when), "by": by}
        if "space" in wanted:
            space = site.spaces[content.space]
            answer["space"] = {"id": space.id, "key": space.key, "name": space.name, "status": space.status}
        if "ancestors" in wanted:
            above = [one for one in site.ancestors(content) if site.visible(one.id)]
            answer["ancestors"] = [{"id": str(one.id), "type": one.type, "title": one.title} for one in above]
        if "container" in wanted and content.container is not None:
            container = site.contents[content.container]
            answer["container"] = {
                "id": str(container.id),
                "type": container.type,
                "title": container.title,
                "status": container.status,
            }
        if "metadata.labels" in wanted:
            results = [{"prefix": "global", "name": name, "id": name} for name in content.labels]
            answer["metadata"] = {
                "labels": {"results": results, "start": 0, "limit": 200, "size": len(results)}
            }
        if "restrictions.read.restrictions.user" in wanted and content.id not in self.forbidden:
            readers = self._readers(content.readers, None, self.cap)
            answer["restrictions"] = {"read": {"operation": "read", "restrictions": readers}}
        if "body.storage" in wanted:
            answer["body"] = {"storage": {"value": content.body, "representation": "storage"}}
        return answer

    def webui(self, content: Content) -> str:
        page = self.site.contents[content.container] if content.container is not None else content
        link = f"/spaces/{content.space}/pages/{page.id}/{page.title.replace(' ', '+')}"
        return link if page is content else f"{link}?focused={content.identity}"

    def download_link(self, content: Content) -> str:
        return f"/download/attachments/{content.container}/{quote(content.title)}?version={content.version}"

    def moment(self, when: datetime) -> str:
        return f"{when.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{when.microsecond // 1000:03d}Z"

    # Paging.

    def offset_page(self, request: Request, found: Sequence[Any], shape: Callable[[Any], Json]) -> Json:
        """A page of REST v1."""
        start = request.number("start", 0)
        limit = min(request.number("limit", 25), self.cap)
        some = found[start : start + limit]
        again = [
            one for one in found[max(start - limit, 0) : start] if getattr(one, "id", None) in self.repeated
        ]
        links: Json = {"base": self.url, "context": self.context, "self": self.url + request.path}
        if start + limit < len(found):
            query = {**request.query, "start": [start + limit], "limit": [limit]}
            links["next"] = f"{request.path}?{urlencode(query, doseq=True)}"
        results = [shape(one) for one in (*again, *some)]
        return {"results": results, "start": start, "limit": limit, "size": len(results), "_links": links}

    def cursor_page(self, request: Request, found: Sequence[Any], shape: Callable[[Any], Json]) -> Any:
        """A page of REST v2; the cursor is opaque, and says where the next page begins."""
        if request.number("limit", 25) > 250:
            return error(400, "limit: must be less than or equal to 250")
        cursor = request.one("cursor")
        start = json.loads(base64.urlsafe_b64decode(cursor))["start"] if cursor else 0
        limit = min(request.number("limit", 25), self.cap)
        some = found[start : start + limit]
        again = [
            one for one in found[max(start - limit, 0) : start] if getattr(one, "id", None) in self.repeated
        ]
        links: Json = {"base": self.url}
        if start + limit < len(found):
            position = json.dumps({"start": start + limit}).encode()
            query = {
                **request.query,
                "cursor": [base64.urlsafe_b64encode(position).decode()],
                "limit": [limit],
            }
            links["next"] = f"{self.context}{request.path}?{urlencode(query, doseq=True)}"
        return {"results": [shape(one) for one in (*again, *some)], "_links": links}

    # The search.

    def _matching(self, request: Request) -> list[Content]:
        question = request.one("cql") + request.one("cqlcontext")
        return self.site.kept(("search", question), lambda: self._search(request))

    def _search(self, request: Request) -> list[Content]:
        statuses = ["current"]
        if context := request.one("cqlcontext"):
            statuses = json.loads(context)["contentStatuses"]
        conditions: dict[str, str | list[str]] = {}
        for term in request.one("cql").split(" and "):
            match = _CONDITION.match(term.strip())
            if match is None:
                raise ValueError(term)
            value = match["value"]
            listed = [one.strip() for one in value.strip("()").split(",")]
            conditions[match["field"]] = listed if match["operator"] == "in" else value.strip('"')
        return [one for one in self._candidates(conditions) if self._finds(one, conditions, statuses)]

    def _candidates(self, conditions: Json) -> Iterable[Content]:
        if "id" in conditions:
            found = (self.site.contents.get(number_of(id)) for id in conditions["id"])
            return sorted((one for one in found if one is not None), key=lambda one: one.id)
        return list(self.site.contents.values())

    def _finds(self, content: Content, conditions: Json, statuses: list[str]) -> bool:
        at = self.site.indexed_at(content)
        if at is None or content.status not in statuses or not self.site.alive(content):
            return False
        if self.site.visible(content.id) is None:
            return False
        if conditions.get("space", content.space) != content.space:
            return False
        if content.type not in conditions.get("type", [content.type]):
            return False
        if since := conditions.get("lastmodified"):
            return at >= datetime.strptime(since, "%Y-%m-%d %H:%M").replace(tzinfo=self.site.zone)
        return True

    def _readers(self, readers: Readers | None, request: Request | None, limit: int) -> Json:
        start = 0 if request is None else request.number("start", 0)
        if request is not None and request.one("limit"):
            limit = min(limit, request.number("limit", limit))
        given = readers or Readers()
        people = [self.person_json(key) for key in given.people[start : start + limit]]
        groups = [self.group_json(key) for key in given.groups[start : start + limit]]
        return {
            "user": {"results": people, "start": start, "limit": limit, "size": len(people)},
            "group": {"results": groups, "start": start, "limit": limit, "size": len(groups)},
        }


def number_of(id: str) -> int:
    return int(id.removeprefix("att"))


def error(status: int, message: str) -> Answer:
    return json_answer({"statusCode": status, "message": message}, status)


def not_found(id: str) -> Answer:
    return error(404, f"No content found with id: {id}")
