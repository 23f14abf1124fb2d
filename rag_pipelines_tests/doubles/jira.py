"""What the doubles of Jira Cloud and Data Center share: search, issues, schemes and roles.

What belongs here: routes and the shapes of answers that are alike on both, after the vendor's documentation
and recorded answers. What does not: the state (`jira_state`), the query language (`jira_jql`), what one
deployment answers in its own way (`jira_cloud`, `jira_data_center`).

Faults that a server itself has are here: issues that come without fields or twice, page tokens that
expire, parts that are left out. Those of the wire are `Server.faults`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

from rag_pipelines_tests.doubles.jira_jql import Refused, parse
from rag_pipelines_tests.doubles.jira_state import BROWSE, Attachment, Comment, Issue, Project, Site
from rag_pipelines_tests.doubles.server import Answer, Request, Server, json_answer

Json = dict[str, Any]
Place = tuple[str, int]


class Double(Server):
    """A server for one `Site`; the deployments add their routes.

    Args:
        cap: entries in one answer at most, however many were asked for.
    """

    api: ClassVar[str]

    def __init__(self, site: Site, cap: int = 100, **server: Any) -> None:
        super().__init__(**server)
        self.site = site
        self.cap = cap
        self.malformed: set[str] = set()
        """Issues that answers describe without their fields."""
        self.repeated: set[str] = set()
        """Issues that a page of results names again after the page before."""
        self.refused_projects: set[str] = set()
        """Keys of projects that are listed, and that a search refuses to know."""
        self.refused: set[str] = set()
        """Paths below the API (``project/10001/permissionscheme``) that answer 403."""
        self._found: dict[tuple[str, bool], tuple[int, list[Place], list[Issue]]] = {}
        routes: dict[str, Callable[..., Any]] = {
            **self.own_routes(),
            "serverInfo": self._server_info,
            "myself": self._myself,
            "field": lambda request: self.site.fields,
            "issue/{id}": self._issue,
            "issue/{id}/comment": self._comments,
            "project/{id}": self._project,
            "project/{id}/permissionscheme": self._permission_scheme,
            "project/{id}/issuesecuritylevelscheme": self._security_scheme,
            "project/{id}/role": self._roles,
            "project/{id}/role/{role}": self._role,
            "applicationrole": self._applications,
            "group/member": self._members,
        }
        for path, handler in routes.items():
            self.add(path, handler)

    def add(self, path: str, handler: Callable[..., Any]) -> None:
        """A route below the API that may be refused."""

        def answer(request: Request, **parameters: str) -> Any:
            if request.path.removeprefix(f"{self.api}/") in self.refused:
                return refusal(403, "You do not have permission to do this.")
            return handler(request, **parameters)

        self.route(f"{self.api}/{path}", answer)

    # What the deployments answer differently.

    def own_routes(self) -> dict[str, Callable[..., Any]]:
        raise NotImplementedError

    def user(self, id: str) -> Json:
        raise NotImplementedError

    def group(self, id: str) -> Json:
        raise NotImplementedError

    def text(self, value: Any) -> Any:
        raise NotImplementedError

    def comment_limit(self) -> int | None:
        raise NotImplementedError

    def content_url(self, attachment: Attachment) -> str:
        raise NotImplementedError

    def visibility(self, kind: str, holder: str) -> Json:
        raise NotImplementedError

    def holder(self, raw: Json) -> Json:
        raise NotImplementedError

    # Searching.

    def found(self, request: Request, *, strict: bool = True) -> tuple[list[Place], list[Issue]]:
        """What a query finds, in the order of keys; made once for as long as nothing changes."""
        text = request.one("jql")
        key = (text, strict)
        generation, places, issues = self._found.get(key, (-1, [], []))
        if generation != self.site.generation:
            if strict and any(f'"{project}"' in text for project in self.refused_projects):
                refused = next(one for one in sorted(self.refused_projects) if f'"{one}"' in text)
                raise Refused(f"The value '{refused}' does not exist for the field 'project'.")
            matches = parse(text, self.site, strict=strict)
            by_id = " id in (" in f" {text.replace('(', ' ', 1)}"
            issues = [
                issue
                for issue in self.site.issues.values()
                if issue.id not in self.site.lagging
                and matches(issue)
                and (self.is_indexed(issue) or (by_id and self.is_visible(issue)))
            ]
            issues.sort(key=_place)
            places = [_place(issue) for issue in issues]
            self._found[key] = self.site.generation, places, issues
        return places, issues

    def is_visible(self, issue: Issue) -> bool:
        return issue.id not in self.site.hidden and issue.project in self.site.projects

    def is_indexed(self, issue: Issue) -> bool:
        archived = issue.archived is not None or self.site.projects[issue.project].archived
        return self.is_visible(issue) and not archived and issue.project not in self.site.unindexed

    # Shapes.

    def issue(self, issue: Issue, fields: Sequence[str], *, all_comments: bool = False) -> Json:
        key = self.site.key(issue)
        shape: Json = {
            "expand": "operations,versionedRepresentations,editmeta,changelog",
            "id": issue.id,
            "self": f"{self.url}{self.api}/issue/{issue.id}",
            "key": key,
        }
        if issue.id not in self.malformed:
            shape["fields"] = {
                name: value() for name, value in self._values(issue, all_comments).items() if name in fields
            } | {name: value for name, value in issue.fields.items() if name in fields}
        return shape

    def _values(self, issue: Issue, all_comments: bool) -> dict[str, Callable[[], Any]]:
        """Each field of an issue, made when it is asked for."""
        site = self.site
        project = site.projects[issue.project]
        values: dict[str, Callable[[], Any]] = {
            "summary": lambda: issue.summary,
            "description": lambda: self.text(issue.description),
            "created": lambda: time(issue.created),
            "updated": lambda: time(issue.updated),
            "project": lambda: self.project(project),
            "issuetype": lambda: {"id": "1", "name": issue.type, "subtask": issue.type == "Sub-task"},
            "status": lambda: {"id": "1", "name": issue.status},
            "priority": lambda: issue.priority and {"id": "3", "name": issue.priority},
            "labels": lambda: list(issue.labels),
            "reporter": lambda: issue.reporter and self.user(issue.reporter),
            "assignee": lambda: issue.assignee and self.user(issue.assignee),
            "issuelinks": lambda: list(self._links(issue)),
            "attachment": lambda: [self._attachment(one) for one in issue.attachments],
            "comment": lambda: self._comment_page(issue, all_comments),
            "archiveddate": lambda: issue.archived and time(issue.archived),
        }
        if issue.parent is not None and self.has_parents(issue):
            values["parent"] = lambda: self._stub(site.issues[issue.parent or ""])
        if project.simplified:
            values["issuerestriction"] = lambda: self.restriction(issue)
        if project.levels is not None:
            level = site.levels.get(issue.level or "")
            values["security"] = lambda: level and {"id": level.id, "name": level.name, "description": ""}
        return values

    def has_parents(self, issue: Issue) -> bool:
        """Whether `parent` names the parent of this issue."""
        return True

    def _stub(self, issue: Issue) -> Json:
        return {"id": issue.id, "key": self.site.key(issue), "fields": {"summary": issue.summary}}

    def _links(self, issue: Issue) -> Iterable[Json]:
        for other in self.site.issues.values() if issue.links or self._linked(issue) else ():
            for type, target in issue.links:
                if target == other.id:
                    yield {"id": "1", "type": _link_type(type), "outwardIssue": self._stub(other)}
            for type, target in other.links:
                if target == issue.id:
                    yield {"id": "1", "type": _link_type(type), "inwardIssue": self._stub(other)}

    def _linked(self, issue: Issue) -> bool:
        targets = self._targets()
        return issue.id in targets

    def _targets(self) -> set[str]:
        if getattr(self, "_targets_of", (-1, set()))[0] != self.site.generation:
            targets = {target for one in self.site.issues.values() for _, target in one.links}
            self._targets_of = self.site.generation, targets
        return self._targets_of[1]

    def _attachment(self, attachment: Attachment) -> Json:
        return {
            "self": f"{self.url}{self.api}/attachment/{attachment.id}",
            "id": attachment.id,
            "filename": attachment.name,
            "author": self.user(attachment.author),
            "created": time(attachment.created),
            "size": len(attachment.data),
            "mimeType": attachment.media_type,
            "content": self.content_url(attachment),
        }

    def _comment_page(self, issue: Issue, everything: bool) -> Json:
        limit = None if everything else self.comment_limit()
        comments = [self._comment(one) for one in issue.comments[:limit]]
        total = len(issue.comments)
        return {"comments": comments, "maxResults": len(comments), "total": total, "startAt": 0}

    def _comment(self, comment: Comment) -> Json:
        return {
            "id": comment.id,
            "author": self.user(comment.author),
            "body": self.text(comment.body),
            "created": time(comment.created),
            "updated": time(comment.updated),
            "jsdPublic": True,
            **({"visibility": self.visibility(*comment.visibility)} if comment.visibility else {}),
        }

    # Answers.

    def _server_info(self, request: Request) -> Json:
        return {"baseUrl": self.url, "version": "9.12.0", "serverTime": time(self.site.now)}

    def _myself(self, request: Request) -> Json:
        return {**self.user("author"), "timeZone": getattr(self.site.zone, "key", "UTC")}

    def _issue(self, request: Request, id: str) -> Any:
        issue = self.site.find(id)
        if issue is None:
            return refusal(404, "Issue does not exist or you do not have permission to see it.")
        if not self.is_visible(issue):
            return self.closed(issue)
        return self.issue(issue, request.list("fields"))

    def closed(self, issue: Issue) -> Answer:
        return refusal(404, "Issue does not exist or you do not have permission to see it.")

    def _comments(self, request: Request, id: str) -> Any:
        issue = self.site.find(id)
        if issue is None or not self.is_visible(issue):
            return refusal(404, "Issue does not exist or you do not have permission to see it.")
        return self.offset_page(request, issue.comments, self._comment, "comments")

    def _project(self, request: Request, id: str) -> Any:
        project = self._project_of(id)
        if project is None:
            return _no_project(id)
        return {**self.project(project), "lead": self.user(project.lead)}

    def project(self, project: Project) -> Json:
        return {"id": project.id, "key": project.key, "name": project.name, "archived": project.archived}

    def restriction(self, issue: Issue) -> Json:
        """The field of team-managed projects that restricts an issue to roles."""
        roles = [{"restrictionType": "projectrole", "restrictionValue": id} for id in issue.restricted_to]
        return {"issuerestrictions": {"projectrole": roles} if roles else {}, "shouldDisplay": True}

    def _permission_scheme(self, request: Request, id: str) -> Any:
        project = self._project_of(id)
        if project is None:
            return _no_project(id)
        grants = [{"permission": BROWSE, "holder": self.holder(one)} for one in project.browsers]
        grants.append({"permission": "ADMINISTER_PROJECTS", "holder": self.holder({"type": "anyone"})})
        return {
            "id": 10000,
            "name": "Default Permission Scheme",
            **({"permissions": grants} if request.one("expand") else {}),
        }

    def _security_scheme(self, request: Request, id: str) -> Any:
        project = self._project_of(id)
        if project is None or project.levels is None:
            return refusal(404, "Project has no issue security scheme.")
        levels = [{"id": one, "name": self.site.levels[one].name} for one in project.levels]
        return {"id": 10000, "name": "Default", "levels": levels}

    def _roles(self, request: Request, id: str) -> Any:
        if self._project_of(id) is None:
            return _no_project(id)
        return {
            name: f"{self.url}{self.api}/project/{id}/role/{role}" for role, name in self.site.roles.items()
        }

    def _role(self, request: Request, id: str, role: str) -> Any:
        project = self._project_of(id)
        if project is None:
            return _no_project(id)
        actors = [self.actor(*actor.split(":", 1)) for actor in project.actors.get(role, ())]
        return {"id": int(role), "name": self.site.roles[role], "actors": actors}

    def actor(self, kind: str, id: str) -> Json:
        if kind == "group":
            name = self.site.groups[id][0]
            return {"type": "atlassian-group-role-actor", "displayName": name, "actorGroup": self.group(id)}
        return {"type": "atlassian-user-role-actor", "displayName": id, "actorUser": self.user(id)}

    def _applications(self, request: Request) -> Any:
        users = [id for id, (name, _) in self.site.groups.items() if name == "jira-users"]
        return [
            {
                "key": "jira-software",
                "name": "Jira Software",
                "groups": ["jira-users"] if users else [],
                "groupDetails": [self.group(id) for id in users],
            }
        ]

    def _members(self, request: Request) -> Any:
        asked = request.one("groupId") or request.one("groupname")
        if asked not in self.site.groups:
            return refusal(404, f"Cannot find group '{asked}'.")
        accounts = [self.site.accounts[id] for id in self.site.groups[asked][1]]
        active = [one.id for one in accounts if one.active]
        return self.offset_page(request, active, self.user)

    def _project_of(self, id: str) -> Project | None:
        return next((one for one in self.site.projects.values() if id in (one.id, one.key)), None)

    def offset_page(
        self, request: Request, entries: Sequence[Any], shape: Callable[[Any], Json], results: str = "values"
    ) -> Json:
        start = request.number("startAt", 0)
        limit = min(request.number("maxResults", 50), self.cap)
        page = [shape(one) for one in entries[start : start + limit]]
        last = {"isLast": start + len(page) >= len(entries)} if results == "values" else {}
        return {"startAt": start, "maxResults": limit, "total": len(entries), **last, results: page}


def refusal(status: int, message: str) -> Answer:
    """An error as Jira words it."""
    return json_answer({"errorMessages": [message], "errors": {}}, status)


def time(moment: datetime) -> str:
    """``2023-08-22T11:29:37.774+0000``"""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03}+0000"


def _place(issue: Issue) -> Place:
    return issue.project, issue.number


def _link_type(name: str) -> Json:
    return {"name": name, "inward": f"is {name.lower()} by", "outward": name.lower()}


def _no_project(id: str) -> Answer:
    return refusal(404, f"No project could be found with key '{id}'.")


def stored_bytes(site: Site, id: str) -> Answer:
    for issue in site.issues.values():
        for attachment in issue.attachments:
            if attachment.id == id:
                return Answer(200, attachment.data, {"Content-Type": attachment.media_type})
    return refusal(404, f"The attachment with id '{id}' does not exist")
