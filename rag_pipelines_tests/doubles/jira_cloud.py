"""Jira Cloud, REST v3: pages of a search by token, texts as documents, people and groups by id.

What belongs here: what only Cloud answers, or answers in its own way. What does not: the rest (`jira`).
"""

from __future__ import annotations

import base64
from bisect import bisect_right
from collections.abc import Callable
from typing import Any

from rag_pipelines_tests.doubles.jira import Double, Json, refusal, stored_bytes
from rag_pipelines_tests.doubles.jira_jql import Refused
from rag_pipelines_tests.doubles.jira_state import Attachment, Project, Site
from rag_pipelines_tests.doubles.server import Answer, Request, redirect

CLOUD_COMMENTS = 20
"""How many comments of an issue a search answers with."""


class JiraCloud(Double):
    """A server for one `Site`, as Cloud speaks."""

    api = "/rest/api/3"

    def __init__(self, site: Site, cap: int = 100, **server: Any) -> None:
        self.expired_tokens = 0
        """So many of the next page tokens are answered with 410."""
        super().__init__(site, cap, **server)
        self.route("/media/{id}", self._media)

    def own_routes(self) -> dict[str, Callable[..., Any]]:
        return {
            "search/jql": self._search,
            "search": self._removed_search,
            "project/search": self._projects,
            "issuesecurityschemes/level/member": self._level_members,
            "group/bulk": self._groups,
            "users/search": self._users,
            "attachment/content/{id}": self._content,
        }

    def _search(self, request: Request) -> Any:
        try:
            places, issues = self.found(request)
        except Refused as refused:
            return refusal(400, str(refused))
        token, start = request.one("nextPageToken"), 0
        if token:
            if self.expired_tokens:
                self.expired_tokens -= 1
                return refusal(410, "The page token has expired.")
            last = base64.b64decode(token).decode().split("|")
            start = bisect_right(places, (last[0], int(last[1])))
            again = issues[start - 1 : start] if start else []
        page = issues[start : start + min(request.number("maxResults", 50), self.cap)]
        fields = request.list("fields")
        shown = [one for one in again if one.id in self.repeated] + page if token else page
        is_last = start + len(page) >= len(issues)
        answer: Json = {"issues": [self.issue(one, fields) for one in shown], "isLast": is_last}
        if not is_last:
            project, number = places[start + len(page) - 1]
            answer["nextPageToken"] = base64.b64encode(f"{project}|{number}".encode()).decode()
        return answer

    def _removed_search(self, request: Request) -> Answer:
        return refusal(
            410, "The requested API has been removed. Please migrate to the /rest/api/3/search/jql API."
        )

    def _projects(self, request: Request) -> Json:
        archived = "archived" in request.list("status")
        projects = sorted(self.site.projects.values(), key=lambda one: one.key)
        return self.offset_page(
            request, [one for one in projects if archived or not one.archived], self.project
        )

    def _level_members(self, request: Request) -> Json:
        members = [(level, holder) for level in self.site.levels.values() for holder in level.holders]
        return self.offset_page(
            request,
            members,
            lambda one: {"issueSecurityLevelId": one[0].id, "holder": self.holder(one[1])},
        )

    def _groups(self, request: Request) -> Json:
        return self.offset_page(request, list(self.site.groups), self.group)

    def _users(self, request: Request) -> list[Json]:
        start, limit = request.number("startAt", 0), min(request.number("maxResults", 50), self.cap)
        return [self.user(id) for id in list(self.site.accounts)[start : start + limit]]

    def _content(self, request: Request, id: str) -> Answer:
        return redirect(f"{self.origin}/media/{id}?token=signed", 303)

    def _media(self, request: Request, id: str) -> Answer:
        return stored_bytes(self.site, id)

    def project(self, project: Project) -> Json:
        style = "next-gen" if project.simplified else "classic"
        return {**super().project(project), "simplified": project.simplified, "style": style}

    def user(self, id: str) -> Json:
        account = self.site.accounts[id]
        return {
            "self": f"{self.url}{self.api}/user?accountId={id}",
            "accountId": id,
            **({"emailAddress": account.email} if account.email else {}),
            "displayName": account.name,
            "active": account.active,
            "accountType": "atlassian",
        }

    def group(self, id: str) -> Json:
        return {"name": self.site.groups[id][0], "groupId": id}

    def text(self, value: Any) -> Any:
        return value

    def comment_limit(self) -> int | None:
        return CLOUD_COMMENTS

    def content_url(self, attachment: Attachment) -> str:
        return f"{self.url}{self.api}/attachment/content/{attachment.id}"

    def visibility(self, kind: str, holder: str) -> Json:
        if kind == "group":
            return {"type": kind, "value": self.site.groups[holder][0], "identifier": holder}
        return {"type": kind, "value": holder, "identifier": holder}

    def holder(self, raw: Json) -> Json:
        value = raw.get("value", "")
        if raw["type"] == "group":
            return {
                "type": "group",
                "parameter": self.site.groups[value][0],
                "value": value,
                "expand": "group",
            }
        return {**raw, "parameter": value} if value else dict(raw)
