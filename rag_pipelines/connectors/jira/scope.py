"""What a source takes of a site: its projects and fields, as the site has them when a run begins.

What belongs here: options held against the site's own lists. What does not: issues.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from difflib import get_close_matches

import msgspec

from rag_pipelines.connectors.atlassian_client import Json
from rag_pipelines.connectors.jira.issues import CONTENT, LISTED, RULED, Field
from rag_pipelines.connectors.jira.jql import zone_of
from rag_pipelines.connectors.jira.options import JiraOptions
from rag_pipelines.connectors.jira.site import JiraSite
from rag_pipelines.connectors.times import read_time
from rag_pipelines.errors import ConfigError, MissingEntityError, UsageError

_EPIC_LINK = "com.pyxis.greenhopper.jira:gh-epic-link"
_PEOPLE = frozenset({"user", "group"})


class Project(msgspec.Struct, frozen=True):
    """A project of the source."""

    id: str
    key: str
    name: str


class JiraScope(msgspec.Struct, frozen=True):
    """The projects and fields of a source, the site's public address, and its clock when we asked."""

    address: str
    zone: tzinfo
    """In which the times of a query are read: that of our account."""
    began: datetime
    projects: tuple[Project, ...]
    missing: Mapping[str, MissingEntityError]
    """By key, each project that the options name and the site does not."""
    chosen: tuple[Field, ...]
    """The fields whose values belong to the content."""
    people: tuple[str, ...]
    """Ids of the custom fields that hold users or groups, whom a scheme may let see the issue."""
    epic_field: str | None
    """Where Data Center keeps the key of an issue's epic."""
    left_out: frozenset[str]
    """Fields that the source has no use for."""

    @classmethod
    def of(cls, site: JiraSite, options: JiraOptions) -> JiraScope:
        """Ask the site. Raises its errors, and `ConfigError` for a field or filter that it does not take."""
        account = site.myself()  # first, because to anonymous people the rest answers with what is public
        info, fields = site.info(), site.fields()
        if options.jql:
            _try_filter(site, options.jql)
        projects = [
            Project(str(one["id"]), one["key"], one.get("name") or one["key"]) for one in site.projects()
        ]
        wanted = set(options.projects) or {one.key for one in projects}
        wanted -= set(options.exclude_projects)
        chosen = [one for one in projects if one.key in wanted]
        keys = {one.key for one in projects}
        missing = {
            key: MissingEntityError(
                f"project {key!r} is not there for our account: it was deleted, archived, renamed or closed "
                f"to it; visible are {', '.join(sorted(keys)[:20]) or 'none'}"
            )
            for key in sorted(wanted - {one.key for one in chosen})
        }
        return cls(
            address=str(info.get("baseUrl") or options.url).rstrip("/"),
            zone=zone_of(account.get("timeZone")),
            began=read_time(info.get("serverTime")) or datetime.now(UTC),
            projects=tuple(chosen),
            missing=missing,
            chosen=tuple(find_fields(fields, options.fields)),
            people=tuple(field["id"] for field in fields if field.get("custom") and _holds_people(field)),
            epic_field=next((one["id"] for one in fields if _schema(one, "custom") == _EPIC_LINK), None),
            left_out=frozenset(
                name
                for name, wanted in (("comment", options.comments), ("attachment", options.attachments))
                if not wanted
            ),
        )

    @property
    def ids(self) -> frozenset[str]:
        return frozenset(project.id for project in self.projects)

    @property
    def fields(self) -> tuple[str, ...]:
        """What a listing asks for."""
        epic = [self.epic_field] if self.epic_field else []
        return tuple(name for name in (*LISTED, *self.people, *epic) if name not in self.left_out)

    @property
    def rule_fields(self) -> tuple[str, ...]:
        """What decides who may see an issue."""
        return (*RULED, *self.people)

    @property
    def content_fields(self) -> tuple[str, ...]:
        names = (*CONTENT, *(field.id for field in self.chosen))
        return tuple(name for name in names if name not in self.left_out)


def find_fields(fields: Sequence[Json], names: Sequence[str]) -> list[Field]:
    """The fields of these names or ids; a name that several custom fields have stands for all of them.

    Raises `ConfigError` with every name that no field has, and the names that are like it.
    """
    found: list[Field] = []
    problems = []
    for name in names:
        matches = [one for one in fields if name == one["id"] or name.casefold() == one["name"].casefold()]
        found += [Field(one["id"], one["name"]) for one in matches]
        if not matches:
            known = {one["name"].casefold(): one["name"] for one in fields}
            near = [known[one] for one in get_close_matches(name.casefold(), known, n=5)]
            advice = f"did you mean {' or '.join(map(repr, near))}?" if near else "see Jira's list of fields"
            problems.append(f"fields: received {name!r}, which the site does not have; {advice}")
    if problems:
        raise ConfigError(problems=problems)
    return list(dict.fromkeys(found))


def _try_filter(site: JiraSite, filter: str) -> None:
    """Ask Jira whether the filter is valid JQL, before it is part of a query."""
    try:
        next(iter(site.pages(filter, ("project",))), None)
    except UsageError as error:
        raise ConfigError(problems=[f"jql: received {filter!r}, which Jira refuses: {error}"]) from error


def _holds_people(field: Json) -> bool:
    return bool(_PEOPLE & {_schema(field, "type"), _schema(field, "items")})


def _schema(field: Json, name: str) -> str:
    return (field.get("schema") or {}).get(name) or ""
