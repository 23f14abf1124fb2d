"""A double of Confluence Cloud: REST v2 by cursor, and what of v1 is left.

What belongs here: endpoints and shapes of Cloud
(developer.atlassian.com/cloud/confluence/rest/v2 and .../rest/v1). What does not: what Data Center
says alike (`confluence`).
"""

from __future__ import annotations

from typing import Any

from rag_pipelines_tests.doubles.confluence import Double, Json, error, not_found, number_of
from rag_pipelines_tests.doubles.confluence_state import (
    ATTACHMENT,
    BLOG_POST,
    COMMENT,
    FOLDER,
    PAGE,
    Content,
    Site,
    Space,
)
from rag_pipelines_tests.doubles.server import Answer, Request, redirect

_COLLECTIONS = {"pages": PAGE, "blogposts": BLOG_POST, "folders": FOLDER, "attachments": ATTACHMENT}
_DEFAULT = ("current", "archived")


class ConfluenceCloud(Double):
    """``https://<site>.atlassian.net``, its `url` ending with ``/wiki``."""

    context_path = "/wiki"

    def __init__(self, site: Site, cap: int = 250, **server: Any) -> None:
        super().__init__(site, cap, **server)
        self.route("/api/v2/spaces", self.spaces)
        self.route("/api/v2/spaces/{id}/permissions", self.permissions)
        self.route("/api/v2/spaces/{id}/{collection}", self.in_space)
        self.route("/api/v2/{location}-comments", self.comments)
        self.route("/api/v2/{location}-comments/{id}", self.comment)
        self.route("/api/v2/attachments", self.attachments)
        self.route("/api/v2/{collection}", self.by_ids)
        self.route("/api/v2/{collection}/{id}", self.one_content)
        self.add_v1("/rest/api/user/bulk", self.people)
        self.add_v1("/rest/api/group/{id}/membersByGroupId", self.members)
        self.add_v1("/rest/api/content/{page}/child/attachment/{id}/download", self.download)
        self.route("/media/{id}", self.media)

    def spaces(self, request: Request) -> Any:
        keys, ids, status = request.list("keys"), request.list("ids"), request.one("status")
        found = [
            space
            for space in self.site.spaces.values()
            if space.key not in self.site.hidden_spaces
            and (not keys or space.key in keys)
            and (not ids or str(space.id) in ids)
            and (not status or space.status == status)
        ]
        return self.cursor_page(request, found, self._space)

    def permissions(self, request: Request, id: str) -> Any:
        space = self._space_by_id(id)
        if space is None:
            return not_found(id)
        principals = [("user", key) for key in space.readers.people]
        principals += [("group", key) for key in space.readers.groups]
        granted = [
            {"id": str(n), "principal": {"type": kind, "id": key}, "operation": operation}
            for kind, key in principals
            for n, operation in enumerate(
                ({"key": "read", "targetType": "space"}, {"key": "create", "targetType": "page"})
            )
        ]
        return self.cursor_page(request, granted, lambda one: one)

    def in_space(self, request: Request, id: str, collection: str) -> Any:
        space, kind = self._space_by_id(id), _COLLECTIONS.get(collection)
        if space is None or kind not in (PAGE, BLOG_POST):
            return not_found(id)
        statuses = frozenset(request.list("status") or _DEFAULT)
        found = [] if space.key in self.silent else self.site.listing(kind, statuses, space.key)
        return self.cursor_page(request, found, self._page)

    def by_ids(self, request: Request, collection: str) -> Any:
        """`GET /pages` and `GET /blogposts`, which are asked for by ids here."""
        kind = _COLLECTIONS.get(collection)
        ids = [number_of(id) for id in request.list("id")]
        if kind not in (PAGE, BLOG_POST) or len(ids) > 250:
            return error(400, "Provided value is not valid.")
        statuses = request.list("status") or _DEFAULT
        found = [one for id in sorted(ids) if (one := self.site.visible(id)) is not None]
        found = [one for one in found if one.type == kind and one.status in statuses]
        body = request.one("body-format") == "storage"
        return self.cursor_page(request, found, lambda one: self._page(one, body))

    def one_content(self, request: Request, collection: str, id: str) -> Any:
        content = self.site.visible(number_of(id))
        kind = _COLLECTIONS.get(collection)
        statuses = request.list("status") or (*_DEFAULT, "trashed")
        if content is None or content.type != kind or content.status not in statuses:
            return not_found(id)
        if kind == ATTACHMENT:
            return self._attachment(content)
        answer = self._page(content, request.one("body-format") == "storage")
        if request.one("include-labels") == "true":
            results = [{"id": name, "name": name, "prefix": "global"} for name in content.labels]
            answer["labels"] = {"results": results, "meta": {"hasMore": False}, "_links": {}}
        return answer

    def comments(self, request: Request, location: str) -> Any:
        found = self.site.listing(COMMENT, frozenset({"current"}))
        found = [one for one in found if one.location == location]
        return self.cursor_page(request, found, self._comment)

    def comment(self, request: Request, location: str, id: str) -> Any:
        content = self.site.visible(number_of(id))
        if content is None or (content.type, content.location) != (COMMENT, location):
            return not_found(id)
        return self._comment(content, request.one("body-format") == "storage")

    def attachments(self, request: Request) -> Any:
        statuses = frozenset(request.list("status") or _DEFAULT)
        return self.cursor_page(request, self.site.listing(ATTACHMENT, statuses), self._attachment)

    def people(self, request: Request) -> Any:
        found = [key for key in request.list("accountId") if key in self.site.people]
        return self.offset_page(request, found, self.person_json)

    def members(self, request: Request, id: str) -> Any:
        if id not in self.site.groups:
            return not_found(id)
        return self.offset_page(request, self.site.groups[id][1], self.person_json)

    def download(self, request: Request, page: str, id: str) -> Any:
        content = self.site.visible(number_of(id))
        if content is None or str(content.container) != page or content.status == "trashed":
            return not_found(id)
        return redirect(f"{self.url}/media/{content.id}")

    def media(self, request: Request, id: str) -> Any:
        content = self.site.contents[int(id)]
        return Answer(200, content.data, {"Content-Type": content.media_type})

    def person_json(self, key: str) -> Json:
        person = self.site.people[key]
        return {
            "type": "known",
            "accountId": key,
            "accountType": "atlassian",
            "email": person.email,
            "publicName": person.display_name,
            "displayName": person.display_name,
        }

    def group_json(self, key: str) -> Json:
        return {"type": "group", "id": key, "name": self.site.groups[key][0]}

    def _space(self, space: Space) -> Json:
        return {
            "id": str(space.id),
            "key": space.key,
            "name": space.name,
            "type": "global",
            "status": space.status,
            "_links": {"webui": f"/spaces/{space.key}"},
        }

    def _space_by_id(self, id: str) -> Space | None:
        visible = (one for one in self.site.spaces.values() if one.key not in self.site.hidden_spaces)
        return next((one for one in visible if str(one.id) == id), None)

    def _version(self, content: Content) -> Json | None:
        if content.id in self.malformed:
            return None
        return {"number": content.version, "createdAt": self.moment(content.when), "authorId": content.by}

    def _page(self, content: Content, body: bool = False) -> Json:
        parent = None if content.parent is None else self.site.contents.get(content.parent)
        answer: Json = {
            "id": str(content.id),
            "status": content.status,
            "title": content.title,
            "spaceId": str(self.site.spaces[content.space].id),
            "authorId": content.by,
            "createdAt": self.moment(content.when),
            "version": self._version(content),
            "body": {"storage": {"value": content.body, "representation": "storage"}} if body else {},
            "_links": {"webui": self.webui(content)},
        }
        if content.type in (PAGE, FOLDER):
            answer["parentId"] = None if parent is None else str(parent.id)
            answer["parentType"] = None if parent is None else parent.type
        return answer

    def _comment(self, content: Content, body: bool = False) -> Json:
        assert content.container is not None
        container = self.site.contents[content.container]
        answer: Json = {
            "id": str(content.id),
            "status": content.status,
            "title": content.title,
            ("pageId" if container.type == PAGE else "blogPostId"): str(container.id),
            "version": self._version(content),
            "body": {"storage": {"value": content.body, "representation": "storage"}} if body else {},
            "_links": {"webui": self.webui(content)},
        }
        if content.parent is not None:
            answer["parentCommentId"] = str(content.parent)
        return answer

    def _attachment(self, content: Content) -> Json:
        assert content.container is not None
        container = self.site.contents[content.container]
        return {
            "id": content.identity,
            "status": content.status,
            "title": content.title,
            ("pageId" if container.type == PAGE else "blogPostId"): str(container.id),
            "mediaType": content.media_type,
            "fileSize": len(content.data),
            "webuiLink": self.webui(content),
            "downloadLink": self.download_link(content),
            "version": self._version(content),
            "_links": {"webui": self.webui(content), "download": self.download_link(content)},
        }
