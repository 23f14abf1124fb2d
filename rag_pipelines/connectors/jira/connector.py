"""Jira as a source: what the contract of a connector asks for, put together from the parts beside it.

What belongs here: the life of a run, the cursor, `existing` and `check`. What does not: requests (`site`),
listing (`listing`), contents (`contents`), members (`directory`).

The cursor holds for each project up to when changes were seen, and a fingerprint of the options. `changes`
asks for what was updated since, less an overlap, because a query's time has minutes and the search index
lags. What was deleted (an issue, an attachment, the last comment of a restricted thread) shows in a full
listing only; an issue that moves keeps its id.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property

import msgspec

from rag_pipelines.connectors.base import (
    Capabilities,
    Complete,
    Connector,
    Cursor,
    Entry,
    Failure,
    Finding,
    Group,
    Item,
    Window,
    read_cursor,
)
from rag_pipelines.connectors.jira.access import Names
from rag_pipelines.connectors.jira.checks import findings
from rag_pipelines.connectors.jira.contents import Contents
from rag_pipelines.connectors.jira.directory import GroupDirectory
from rag_pipelines.connectors.jira.existence import Existence
from rag_pipelines.connectors.jira.listing import IssueListing
from rag_pipelines.connectors.jira.options import JiraOptions
from rag_pipelines.connectors.jira.schemes import Schemes
from rag_pipelines.connectors.jira.scope import JiraScope
from rag_pipelines.connectors.jira.site import JiraSite
from rag_pipelines.errors import CredentialError, RagError, TransientError, UsageError
from rag_pipelines.fingerprint import fingerprint
from rag_pipelines.stored import Form

_OPTIONS_OF_DOCUMENTS = {
    "url", "deployment", "directory", "projects", "exclude_projects", "jql", "fields", "comments",
    "attachments", "max_bytes", "security_levels",
}  # fmt: skip
"""Options that decide which documents there are, what they hold and who may see them."""


class JiraCursor(msgspec.Struct, frozen=True):
    """By project id, up to when its changes were seen; and the options it was listed with."""

    options: str
    projects: dict[str, datetime]


CURSOR = Form("cursor of jira", JiraCursor)


class JiraConnector(Connector):
    """Lists the issues of a Jira site that its options choose, with who may see them."""

    kind = "jira"
    capabilities = Capabilities(changes=True, ids=True, permissions=True, groups=True, lookup=True)
    options_type = JiraOptions

    def __init__(self, source: str, options: JiraOptions) -> None:
        super().__init__(source, options)
        self._options_fingerprint = fingerprint(
            options.model_dump(mode="json", include=_OPTIONS_OF_DOCUMENTS)
        )
        self._scope: JiraScope | None = None
        self._contents: Contents | None = None

    def items(self, window: Window = Window()) -> Iterator[Entry]:
        yield from self._list({}, window, full=not window)

    def changes(self, cursor: Cursor) -> Iterator[Entry]:
        before = read_cursor(cursor, CURSOR)
        if before.options != self._options_fingerprint:
            raise UsageError("the options of the source have changed since the last listing; list it fully")
        yield from self._list(before.projects, Window(), full=False)

    def prefetch(self, items: Sequence[Item]) -> None:
        if self._contents is not None:
            self._contents.prefetch([item.external_id for item in items])

    def existing(self, ids: Sequence[str]) -> set[str]:
        try:
            scope = self._scope or JiraScope.of(self._site, self.options)
            return Existence(self._site, self.options, self._schemes, scope).of(ids)
        except (CredentialError, TransientError):
            raise
        except RagError as error:
            raise TransientError(f"it cannot be said which documents still exist: {error}") from error

    def groups(self) -> Iterator[Group | Failure | Complete]:
        try:
            scope = JiraScope.of(self._site, self.options)
        except CredentialError:
            raise
        except RagError as error:
            yield Failure(error=error, entity=self.options.url, hides_documents=False)
            yield Complete(0, full=False)
            return
        yield from GroupDirectory(self._site, self._schemes, scope).groups()

    def check(self) -> list[Finding]:
        return list(findings(self._site, self._schemes, self.options))

    def close(self) -> None:
        if "_site" in vars(self):
            self._site.client.close()

    @cached_property
    def _site(self) -> JiraSite:
        return JiraSite.of(self.options)

    @cached_property
    def _schemes(self) -> Schemes:
        return Schemes(self._site, Names(self.options.directory_name), self.options.security_levels)

    def _list(self, since: Mapping[str, datetime], window: Window, *, full: bool) -> Iterator[Entry]:
        try:
            self._scope = scope = JiraScope.of(self._site, self.options)
        except CredentialError:
            raise
        except RagError as error:
            yield Failure(error=error, entity=self.options.url, whole=True)
            yield Complete(0, full=False)
            return
        self._contents = Contents(self._site, self.options, self._schemes, scope)
        listing = IssueListing(self._site, self.options, self._schemes, scope, self._contents, window)
        yield from listing.entries(since)
        positions = JiraCursor(self._options_fingerprint, listing.positions(since))
        yield listing.complete(full=full, cursor=None if window else CURSOR.encode(positions))
