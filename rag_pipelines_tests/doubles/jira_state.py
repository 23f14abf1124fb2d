"""What a Jira site holds, and what people do to it: the state behind both deployments' doubles.

What belongs here: projects, issues, people, schemes, the search index. What does not: JQL (`jira_jql`),
HTTP and the shapes of answers (`jira`).

Time is `now`, moved by the test. An edit, a comment, an attachment, a move and another security level move an
issue's `updated`; members of groups and roles, schemes and levels leave no trace in any issue.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

Json = dict[str, Any]

BROWSE = "BROWSE_PROJECTS"


@dataclass(slots=True)
class Account:
    """`id` is the account id on Cloud and the user key on Data Center."""

    id: str
    name: str
    email: str = ""
    active: bool = True


@dataclass(slots=True)
class Project:
    """`browsers` are holders as the permission scheme grants them Browse Projects."""

    id: str
    key: str
    name: str
    lead: str
    browsers: list[Json]
    archived: bool = False
    simplified: bool = False
    """Whether it is team-managed (Cloud)."""
    levels: list[str] | None = None
    """Ids of the levels of its issue security scheme; None: it has none."""
    actors: dict[str, list[str]] = field(default_factory=dict)
    """Role id to ``user:<id>`` and ``group:<id>``."""


@dataclass(slots=True)
class Level:
    id: str
    name: str
    holders: list[Json]


@dataclass(slots=True)
class Comment:
    id: str
    author: str
    body: Any
    created: datetime
    updated: datetime
    visibility: tuple[str, str] | None = None
    """``role`` and its name, or ``group`` and its id."""


@dataclass(slots=True)
class Attachment:
    id: str
    name: str
    data: bytes
    media_type: str
    author: str
    created: datetime


@dataclass(slots=True)
class Issue:
    id: str
    project: str
    number: int
    summary: str
    created: datetime
    updated: datetime
    description: Any = None
    type: str = "Task"
    status: str = "To Do"
    priority: str | None = "Medium"
    labels: tuple[str, ...] = ()
    reporter: str | None = None
    assignee: str | None = None
    parent: str | None = None
    level: str | None = None
    archived: datetime | None = None
    restricted_to: tuple[str, ...] = ()
    """Ids of roles; in team-managed projects only."""
    links: tuple[tuple[str, str], ...] = ()
    """Type (``Blocks``) and id of the issue that this one points to."""
    comments: list[Comment] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    fields: dict[str, Any] = field(default_factory=dict)
    """Values of custom fields by id."""


class Site:
    """One Jira site. Methods are named for what a person does; each returns what it changed."""

    def __init__(self, now: datetime = datetime(2026, 1, 1, tzinfo=UTC), zone: tzinfo = UTC) -> None:
        self.now = now
        self.zone = zone
        """Of the connector's account, in which its queries are read."""
        self.projects: dict[str, Project] = {}
        self.issues: dict[str, Issue] = {}
        self.accounts: dict[str, Account] = {}
        self.groups: dict[str, tuple[str, list[str]]] = {}
        """Group id to name and members' ids; on Data Center id and name are the same."""
        self.roles: dict[str, str] = {}
        self.levels: dict[str, Level] = {}
        self.fields: list[Json] = [
            {"id": name, "name": label, "custom": False, "schema": {"type": "string"}}
            for name, label in (
                ("summary", "Summary"),
                ("environment", "Environment"),
                ("duedate", "Due date"),
            )
        ]
        self.hidden: set[str] = set()
        """Ids of issues that the account of the connector may not see."""
        self.lagging: set[str] = set()
        """Ids of issues that the search index does not have yet."""
        self.unindexed: set[str] = set()
        """Keys of projects whose issues a search for anything but ids leaves out."""
        self.generation = 0
        """Moves with every change, so that results of a search can be kept until then."""
        self._next = 10_000
        self._numbers: dict[str, int] = {}
        self.account("author", "Ann Author")

    def account(self, id: str, name: str = "", email: str = "", active: bool = True) -> Account:
        self.accounts[id] = Account(id, name or id.title(), email, active)
        return self.accounts[id]

    def group(self, id: str, *members: str, name: str = "") -> None:
        """Create a group or set its members."""
        self.groups[id] = (name or id, list(members))

    def role(self, name: str) -> str:
        """Create a role, which every project has; returns its id."""
        id = self._new_id()
        self.roles[id] = name
        return id

    def level(self, name: str, *holders: Json) -> str:
        id = self._new_id()
        self.levels[id] = Level(id, name, list(holders))
        return id

    def field(self, id: str, name: str, type: str = "string", items: str = "", custom: str = "") -> None:
        """Create a custom field, ``customfield_10100``."""
        schema = {
            "type": type,
            **({"items": items} if items else {}),
            **({"custom": custom} if custom else {}),
        }
        self.fields.append({"id": id, "name": name, "custom": True, "schema": schema})

    def project(self, key: str, name: str = "", *browsers: Json) -> Project:
        """Create a project; without `browsers` anyone may browse it."""
        one = Project(
            self._new_id(), key, name or key.title(), "author", list(browsers) or [holder("anyone")]
        )
        self.projects[key] = one
        return one

    def archive_project(self, key: str) -> None:
        self.projects[key].archived = True
        self.generation += 1

    def delete_project(self, key: str) -> None:
        del self.projects[key]
        for issue in [one for one in self.issues.values() if one.project == key]:
            self.delete(issue.id)

    def create(self, project: str, summary: str, description: Any = None, **values: Any) -> Issue:
        values = {"reporter": "author", "created": self.now, "updated": self.now, **values}
        number = self._new_number(project)
        issue = Issue(self._new_id(), project, number, summary, description=description, **values)
        self.issues[issue.id] = issue
        self.generation += 1
        return issue

    def edit(self, id: str, **values: Any) -> Issue:
        """Set attributes of an issue."""
        issue = self.issues[id]
        for name, value in values.items():
            setattr(issue, name, value)
        return self._touch(issue)

    def move(self, id: str, project: str) -> Issue:
        """To another project: the issue gets a new key and keeps its id."""
        issue = self.issues[id]
        issue.project, issue.number = project, self._new_number(project)
        return self._touch(issue)

    def delete(self, id: str) -> Issue:
        self.generation += 1
        return self.issues.pop(id)

    def undelete(self, issue: Issue) -> None:
        """Bring it back as it was (Jira itself cannot; an app or a restored backup can)."""
        self.issues[issue.id] = issue
        self._touch(issue)

    def archive(self, id: str) -> Issue:
        self.issues[id].archived = self.now
        self.generation += 1
        return self.issues[id]

    def comment(self, id: str, body: Any, visibility: tuple[str, str] | None = None) -> Comment:
        one = Comment(self._new_id(), "author", body, self.now, self.now, visibility)
        self.issues[id].comments.append(one)
        self._touch(self.issues[id])
        return one

    def edit_comment(self, id: str, comment: Comment, **values: Any) -> None:
        for name, value in values.items():
            setattr(comment, name, value)
        comment.updated = self.now
        self._touch(self.issues[id])

    def attach(self, id: str, name: str, data: bytes, media_type: str = "text/plain") -> Attachment:
        one = Attachment(self._new_id(), name, data, media_type, "author", self.now)
        self.issues[id].attachments.append(one)
        self._touch(self.issues[id])
        return one

    def detach(self, id: str, attachment: Attachment) -> None:
        self.issues[id].attachments.remove(attachment)
        self._touch(self.issues[id])

    def key(self, issue: Issue) -> str:
        return f"{issue.project}-{issue.number}"

    def find(self, id_or_key: str) -> Issue | None:
        """An issue by id or key, archived or hidden ones too."""
        if id_or_key in self.issues:
            return self.issues[id_or_key]
        project, _, number = id_or_key.rpartition("-")
        same = (one for one in self.issues.values() if one.project == project and str(one.number) == number)
        return next(same, None)

    def changed(self) -> None:
        """Say that something was changed by hand."""
        self.generation += 1

    def tick(self, by: timedelta = timedelta(hours=1)) -> datetime:
        self.now += by
        return self.now

    def _touch(self, issue: Issue) -> Issue:
        issue.updated = self.now
        self.generation += 1
        return issue

    def _new_id(self) -> str:
        self._next += 1
        return str(self._next)

    def _new_number(self, project: str) -> int:
        self._numbers[project] = self._numbers.get(project, 0) + 1
        return self._numbers[project]


def holder(type: str, value: str = "") -> Json:
    """A holder of a permission as a scheme names it; the double fills in what its deployment adds."""
    return {"type": type, **({"value": value} if value else {})}


def adf(text: str) -> Json:
    """A text in Atlassian's document format, one paragraph for each line."""
    paragraphs = [
        {"type": "paragraph", "content": [{"type": "text", "text": line}] if line else []}
        for line in text.split("\n")
    ]
    return {"type": "doc", "version": 1, "content": paragraphs}
