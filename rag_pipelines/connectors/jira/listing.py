"""One listing of a Jira site: projects into ranges, ranges into pages of issues, issues into items.

What belongs here: the order of requests of a listing, what becomes of failures, and the position to
continue from. What does not: single requests (`site`), an item's content (`contents`).

A listing is slim: it reads the fields that say where an issue is, who may see it and whether it has changed,
and comments, because each of them may be restricted. A range is a project; several go into one query,
which is taken apart when Jira refuses it, so that a project that cannot be listed costs only itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

from rag_pipelines.batching import blocks
from rag_pipelines.connectors.atlassian_client import Json
from rag_pipelines.connectors.base import Complete, Failure, Item, Window
from rag_pipelines.connectors.jira import issues, jql
from rag_pipelines.connectors.jira.access import implies
from rag_pipelines.connectors.jira.contents import Contents
from rag_pipelines.connectors.jira.jql import JqlRange
from rag_pipelines.connectors.jira.options import JiraOptions
from rag_pipelines.connectors.jira.schemes import REFUSALS, Schemes
from rag_pipelines.connectors.jira.scope import JiraScope
from rag_pipelines.connectors.jira.site import JiraSite
from rag_pipelines.connectors.paths import media_type
from rag_pipelines.connectors.times import read_time
from rag_pipelines.errors import (
    CorruptDocumentError,
    CredentialError,
    MissingEntityError,
    RagError,
    TooLargeDocumentError,
    TransientError,
)
from rag_pipelines.model import AccessRule

RANGES_AT_ONCE = 40
"""Projects in one query, so that its URL stays below the 8 kB that proxies allow."""
_GENERIC = frozenset({"", "application/octet-stream", "binary/octet-stream"})


class IssueListing:
    """Lists the ranges it is given once; afterwards `positions` says where to continue."""

    def __init__(
        self,
        site: JiraSite,
        options: JiraOptions,
        schemes: Schemes,
        scope: JiraScope,
        contents: Contents,
        window: Window,
    ) -> None:
        self._site = site
        self._options = options
        self._schemes = schemes
        self._scope = scope
        self._contents = contents
        self._window = window
        self._projects = scope.ids
        self._seen: set[str] = set()
        self._count = 0
        self._hidden = False
        self._places = Places(site, schemes, scope)
        self._newest: datetime | None = None
        self._failed: set[str] = set()

    def entries(self, since: Mapping[str, datetime | None]) -> Iterator[Item | Failure]:
        """Every document of the projects in scope, or what was updated since a project's moment."""
        for key, error in self._scope.missing.items():
            yield self._hides(error, f"project {key}")
        ranges = [
            JqlRange(project.id, project.key, self._back(since.get(project.id, self._window.since)))
            for project in self._scope.projects
        ]
        for some in blocks(ranges, RANGES_AT_ONCE):
            yield from self._ranges(some)

    def positions(self, before: Mapping[str, datetime]) -> dict[str, datetime]:
        """By project id, the newest change seen in any project, but not later than this listing began.

        What changes during a listing may be missed by it although something newer is seen.
        A project that could not be listed keeps the position it had.
        """
        seen = [] if self._newest is None else [min(self._newest, self._scope.began)]
        newest = max([*before.values(), *seen], default=None)
        found = {
            project.id: before.get(project.id) if project.id in self._failed else newest
            for project in self._scope.projects
        }
        return {project_id: position for project_id, position in found.items() if position is not None}

    def complete(self, *, full: bool, cursor: Json | None) -> Complete:
        return Complete(self._count, cursor=cursor, full=full and not self._hidden)

    def _back(self, since: datetime | None) -> datetime | None:
        return since and since - timedelta(minutes=self._options.overlap)

    def _ranges(self, ranges: Sequence[JqlRange]) -> Iterator[Item | Failure]:
        query = jql.in_ranges(ranges, self._scope.zone, self._options.jql)
        try:
            for page in self._site.pages(query, self._scope.fields):
                yield from self._page(page)
        except CredentialError:
            raise
        except RagError as error:
            if len(ranges) == 1 or isinstance(error, TransientError):
                for one in ranges:
                    self._failed.add(one.project_id)
                    yield self._hides(error, f"project {one.project_key}")
                return
            middle = len(ranges) // 2
            yield from self._ranges(ranges[:middle])
            yield from self._ranges(ranges[middle:])

    def _page(self, page: Sequence[Json]) -> Iterator[Item | Failure]:
        fresh = [issue for issue in page if f"issue/{issue.get('id')}" not in self._seen]
        self._places.learn(fresh)
        for issue in fresh:
            external_id = f"issue/{issue.get('id')}"
            try:
                entries = list(self._issue(issue))
            except CredentialError:
                raise
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                entries = [
                    Failure(
                        error=CorruptDocumentError(
                            f"Jira's answer lacks what every issue has: {type(error).__name__}: {error}"
                        ),
                        external_id=external_id,
                    )
                ]
            for entry in entries:
                yield from self._once(entry)

    def _once(self, entry: Item | Failure) -> Iterator[Item | Failure]:
        """Pages overlap while they are read, so a document that comes twice is not an error."""
        identity = entry.external_id
        if identity is None:
            yield entry
        elif identity not in self._seen:
            self._seen.add(identity)
            if isinstance(entry, Failure) or self._window.holds(entry.modified_at):
                self._count += 1
                yield entry

    def _issue(self, issue: Json) -> Iterator[Item | Failure]:
        key, fields = issue["key"], issue["fields"]
        project = fields["project"]
        if project["id"] not in self._projects:
            return
        updated = read_time(fields["updated"])
        if updated is not None:
            self._newest = max(updated, self._newest or updated)
        rule = self._schemes.rule(fields)
        title = issues.title(key, fields)
        parent = self._places.parent(fields, rule)
        common: Json = {
            "url": f"{self._scope.address}/browse/{key}",
            "metadata": issues.metadata(key, fields),
        }
        document = f"issue/{issue['id']}"
        folder = "/".join(map(issues.segment, filter(None, (project["name"], parent, title))))
        yield Item(
            external_id=document,
            token=issues.issue_token(fields, self._scope.chosen),
            load=partial(self._contents.load, document),
            name=key,
            path=folder,
            title=title,
            media_type=issues.MEDIA_TYPE,
            modified_at=updated,
            author=issues.name_of(fields.get("reporter")),
            access=rule,
            **common,
        )
        if self._options.comments:
            yield from self._threads(issue, folder, title, common)
        if self._options.attachments:
            for attachment in fields.get("attachment") or ():
                yield self._attachment(
                    f"{document}/attachment/{attachment['id']}", attachment, folder, rule, common
                )

    def _threads(self, issue: Json, folder: str, title: str, common: Json) -> Iterator[Item | Failure]:
        """The restricted comments of an issue, one document for each role and group."""
        try:
            comments = self._site.comments(issue)
        except MissingEntityError:
            return
        except CredentialError:
            raise
        except RagError as error:
            yield self._hides(error, f"the comments of {issue['key']}")
            return
        fields = issue["fields"]
        for visibility, thread in issues.threads(
            comments, partial(self._schemes.resolve_role, fields)
        ).items():
            if visibility is None:
                continue
            document = f"issue/{issue['id']}/comments/{visibility}"
            times = [read_time(one.get("updated") or one.get("created")) for one in thread]
            yield Item(
                external_id=document,
                token=issues.thread_token(issue["key"], fields, thread),
                load=partial(self._contents.load, document),
                name=issue["key"],
                path=f"{folder}/comments",
                title=title,
                media_type=issues.MEDIA_TYPE,
                modified_at=max(filter(None, times), default=None),
                access=self._schemes.visible_to(fields, visibility),
                **common,
            )

    def _attachment(
        self, document: str, attachment: Json, folder: str, rule: AccessRule, common: Json
    ) -> Item | Failure:
        size, limit, name = attachment.get("size"), self._options.max_bytes, attachment.get("filename") or ""
        token = issues.attachment_token(attachment)
        if size is not None and size > limit:
            error = TooLargeDocumentError(
                f"{name!r} has {size:,} bytes; raise max_bytes (now {limit:,}) or set attachments to false"
            )
            return Failure(error=error, external_id=document, token=token)
        kind = attachment.get("mimeType") or ""
        return Item(
            external_id=document,
            token=token,
            load=partial(self._contents.load_attachment, document, attachment["content"], size),
            name=name,
            path=f"{folder}/{issues.segment(name)}",
            media_type=media_type(name) if kind in _GENERIC else kind,
            size=size,
            modified_at=read_time(attachment.get("created")),
            author=issues.name_of(attachment.get("author")),
            access=rule,
            **common,
        )

    def _hides(self, error: RagError, entity: str) -> Failure:
        self._hidden = True
        return Failure(error=error, entity=entity)


class Places:
    """The names of parents and epics, for the path of an issue.

    Who may see an issue need not see its epic: the epic's name is given only where the issue's rule
    implies the epic's; else the path holds its key alone.
    """

    def __init__(self, site: JiraSite, schemes: Schemes, scope: JiraScope) -> None:
        self._site = site
        self._schemes = schemes
        self._scope = scope
        self._known: dict[str, tuple[str, AccessRule] | None] = {}

    def learn(self, page: Iterable[Json]) -> None:
        """Read the parents of a page of issues that are not known yet, in one request."""
        keys = {self._key(issue.get("fields") or {}) for issue in page}
        wanted = sorted(key for key in keys if key and key not in self._known)
        if not wanted:
            return
        self._known.update(dict.fromkeys(wanted))
        try:
            for issue in self._site.by_ids(wanted, self._scope.rule_fields):
                fields = issue["fields"]
                self._known[issue["key"]] = (issues.title(issue["key"], fields), self._schemes.rule(fields))
        except (*REFUSALS, KeyError, TypeError):
            return

    def parent(self, fields: Json, rule: AccessRule) -> str | None:
        """How the path names the issue's parent; None where it has none."""
        key = self._key(fields)
        known = self._known.get(key)
        if known is not None and implies(rule, known[1]):
            return known[0]
        return key or None

    def _key(self, fields: Json) -> str:
        parent = fields.get("parent")
        epic = fields.get(self._scope.epic_field) if self._scope.epic_field else None
        return (parent.get("key") if parent else epic) or ""
