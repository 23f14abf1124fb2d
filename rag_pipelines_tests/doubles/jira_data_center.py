"""Jira Data Center, REST v2: a search pages by offset, texts are wiki markup, people have keys, groups names.

What belongs here: what only Data Center answers, or answers in its own way. What does not: the rest (`jira`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rag_pipelines_tests.doubles.jira import Double, Json, refusal, stored_bytes
from rag_pipelines_tests.doubles.jira_jql import Refused
from rag_pipelines_tests.doubles.jira_state import Attachment, Issue, Site
from rag_pipelines_tests.doubles.server import Answer, Request


class JiraDataCenter(Double):
    """A server for one `Site`, as Data Center speaks."""

    api = "/rest/api/2"
    group_limit = 20
    """``jira.ajax.autocomplete.limit``: groups that the picker answers with."""

    def __init__(self, site: Site, cap: int = 100, **server: Any) -> None:
        super().__init__(site, cap, **server)
        self.route("/secure/attachment/{id}/{name*}", self._content)

    def own_routes(self) -> dict[str, Callable[..., Any]]:
        return {
            "search": self._search,
            "project": self._projects,
            "groups/picker": self._groups,
            "user/search": self._users,
        }

    def _search(self, request: Request) -> Any:
        try:
            _, issues = self.found(request, strict=request.one("validateQuery", "true") == "true")
        except Refused as refused:
            return refusal(400, str(refused))
        start = request.number("startAt", 0)
        limit = min(request.number("maxResults", 50), self.cap)
        fields = request.list("fields")
        page = issues[start : start + limit]
        again = [one for one in issues[max(0, start - 1) : start] if one.id in self.repeated]
        shown = [self.issue(one, fields) for one in again + page]
        return {"startAt": start, "maxResults": limit, "total": len(issues), "issues": shown}

    def _projects(self, request: Request) -> list[Json]:
        archived = request.one("includeArchived") == "true"
        return [self.project(one) for one in self.site.projects.values() if archived or not one.archived]

    def _groups(self, request: Request) -> Json:
        limit = min(request.number("maxResults", 20), self.group_limit)
        groups = [self.group(id) for id in self.site.groups][:limit]
        total = len(self.site.groups)
        return {
            "header": f"Showing {len(groups)} of {total} matching groups",
            "total": total,
            "groups": groups,
        }

    def _users(self, request: Request) -> list[Json]:
        start, limit = request.number("startAt", 0), min(request.number("maxResults", 50), self.cap)
        found = [
            one.id
            for one in self.site.accounts.values()
            if one.active or request.one("includeInactive") == "true"
        ]
        return [self.user(id) for id in found[start : start + limit]]

    def _content(self, request: Request, id: str, name: str) -> Answer:
        return stored_bytes(self.site, id)

    def closed(self, issue: Issue) -> Answer:
        return refusal(403, "You do not have the permission to see the specified issue.")

    def has_parents(self, issue: Issue) -> bool:
        return issue.type == "Sub-task"

    def user(self, id: str) -> Json:
        account = self.site.accounts[id]
        return {
            "self": f"{self.url}{self.api}/user?username={id}",
            "key": id,
            "name": account.name.lower().replace(" ", "."),
            "emailAddress": account.email,
            "displayName": account.name,
            "active": account.active,
        }

    def group(self, id: str) -> Json:
        return {"name": id}

    def text(self, value: Any) -> Any:
        return value

    def comment_limit(self) -> int | None:
        return None

    def content_url(self, attachment: Attachment) -> str:
        return f"{self.url}/secure/attachment/{attachment.id}/{attachment.name}"

    def visibility(self, kind: str, holder: str) -> Json:
        return {"type": kind, "value": holder}

    def holder(self, raw: Json) -> Json:
        value = raw.get("value", "")
        return {"type": raw["type"], **({"parameter": value} if value else {})}
