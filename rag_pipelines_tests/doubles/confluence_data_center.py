"""A double of Confluence Data Center: REST v1 by offset.

What belongs here: endpoints and shapes of Data Center (developer.atlassian.com/server/confluence).
What does not: what Cloud says alike (`confluence`).
"""

from __future__ import annotations

from typing import Any

from rag_pipelines_tests.doubles.confluence import Double, Json, error, not_found, number_of
from rag_pipelines_tests.doubles.confluence_state import ATTACHMENT, BLOG_POST, PAGE, Site
from rag_pipelines_tests.doubles.server import Answer, Request


class ConfluenceDataCenter(Double):
    """A server below a context path, ``https://wiki.example.com/confluence``."""

    context_path = "/confluence"

    def __init__(self, site: Site, cap: int = 100, **server: Any) -> None:
        super().__init__(site, cap, **server)
        self.shows_emails = False
        self.route("/rest/api/space", self.spaces)
        self.add_v1("/rest/api/space/{key}/permissions", self.permissions)
        self.route("/rest/api/content", self.contents)
        self.route("/rest/api/content/{id}", self.one_content)
        self.route("/rest/api/user", self.person)
        self.route("/rest/api/group/{name}/member", self.members)
        self.route("/download/attachments/{page}/{name}", self.download)

    def spaces(self, request: Request) -> Any:
        keys, status = request.list("spaceKey"), request.one("status")
        found = [
            space
            for space in self.site.spaces.values()
            if space.key not in self.site.hidden_spaces
            and (not keys or space.key in keys)
            and (not status or space.status == status)
        ]
        return self.offset_page(
            request,
            found,
            lambda one: {
                "id": one.id,
                "key": one.key,
                "name": one.name,
                "type": "global",
                "status": one.status,
            },
        )

    def permissions(self, request: Request, key: str) -> Any:
        space = self.site.spaces.get(key)
        if space is None or key in self.site.hidden_spaces:
            return not_found(key)
        subjects = [self.person_json(one) for one in space.readers.people]
        subjects += [self.group_json(one) for one in space.readers.groups]
        subjects += [{"type": "anonymous", "displayName": "Anonymous"}] * space.readers.anonymous
        return [
            {
                "spaceKey": key,
                "spaceId": space.id,
                "subject": subject,
                "operation": {"operationKey": operation, "targetType": "space"},
            }
            for subject in subjects
            for operation in ("read", "export")
        ]

    def contents(self, request: Request) -> Any:
        """`GET /rest/api/content`, which lists pages and posts only."""
        kind, space = request.one("type", PAGE), request.one("spaceKey")
        if kind not in (PAGE, BLOG_POST):
            return error(400, f"type {kind} cannot be listed")
        if space not in self.site.spaces:
            return not_found(space)
        statuses = frozenset(request.list("status") or ("current",))
        found = [] if space in self.silent else self.site.listing(kind, statuses, space)
        return self.offset_page(request, found, lambda one: self.v1(one, request.one("expand")))

    def one_content(self, request: Request, id: str) -> Any:
        content = self.site.visible(number_of(id))
        status = request.one("status", "current")
        if content is None or status not in ("any", content.status):
            return not_found(id)
        answer = self.v1(content, request.one("expand"))
        answer["_links"]["base"] = self.url
        return answer

    def person(self, request: Request) -> Any:
        key = request.one("key") or request.one("username")
        return self.person_json(key) if key in self.site.people else not_found(key)

    def members(self, request: Request, name: str) -> Any:
        if name not in self.site.groups:
            return not_found(name)
        return self.offset_page(request, self.site.groups[name][1], self.person_json)

    def download(self, request: Request, page: str, name: str) -> Any:
        for content in self.site.contents.values():
            if (content.type, str(content.container), content.title) == (ATTACHMENT, page, name):
                if content.status == "trashed" or self.site.visible(content.id) is None:
                    break
                return Answer(200, content.data, {"Content-Type": content.media_type})
        return not_found(name)

    def person_json(self, key: str) -> Json:
        person = self.site.people[key]
        answer = {
            "type": "known",
            "username": person.name,
            "userKey": key,
            "displayName": person.display_name,
        }
        return {**answer, "email": person.email} if self.shows_emails else answer

    def group_json(self, key: str) -> Json:
        return {"type": "group", "name": key}
