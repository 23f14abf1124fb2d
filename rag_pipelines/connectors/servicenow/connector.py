"""ServiceNow as a source: what the contract of a connector asks for, put together from the parts beside it.

What belongs here: the life of a run, the cursor, `existing` and `check`. What does not: requests (`site`),
listing (`listing`, `feed`), contents (`contents`), members (`directory`).

The cursor holds up to when changes were seen, by the instance's clock, the day of that, and what a change of
options or of a system property would make another listing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
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
    Removed,
    Window,
    read_cursor,
)
from rag_pipelines.connectors.servicenow import articles
from rag_pipelines.connectors.servicenow.access import Names, Properties, Rules
from rag_pipelines.connectors.servicenow.checks import findings
from rag_pipelines.connectors.servicenow.contents import Contents
from rag_pipelines.connectors.servicenow.directory import GroupDirectory
from rag_pipelines.connectors.servicenow.existence import Existence
from rag_pipelines.connectors.servicenow.feed import ChangeFeed
from rag_pipelines.connectors.servicenow.listing import ArticleListing, Parts
from rag_pipelines.connectors.servicenow.options import ServiceNowOptions
from rag_pipelines.connectors.servicenow.scope import Scope
from rag_pipelines.connectors.servicenow.site import ServiceNowSite
from rag_pipelines.connectors.tally import Tally
from rag_pipelines.connectors.times import read_time
from rag_pipelines.errors import CredentialError, RagError, TransientError, UsageError
from rag_pipelines.fingerprint import fingerprint
from rag_pipelines.stored import Form

_OPTIONS_OF_DOCUMENTS = {
    "url", "directory", "bases", "exclude_bases", "languages", "undated", "blocks", "attachments",
    "catalogue", "max_bytes",
}  # fmt: skip
"""Options that decide which documents there are and who may see them."""

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class ServiceNowCursor(msgspec.Struct, frozen=True):
    """What the listing was made with (options and a property), until when changes were seen, on which day."""

    options: str
    since: datetime
    day: date


CURSOR = Form("cursor of servicenow", ServiceNowCursor)


class ServiceNowConnector(Connector):
    """Lists the knowledge of a ServiceNow instance that its options choose, with who may read it."""

    kind = "servicenow"
    capabilities = Capabilities(changes=True, ids=True, permissions=True, groups=True, lookup=True)
    options_type = ServiceNowOptions

    def __init__(self, source: str, options: ServiceNowOptions) -> None:
        super().__init__(source, options)
        self._contents: Contents | None = None
        self._scope: Scope | None = None

    def items(self, window: Window = Window()) -> Iterator[Entry]:
        parts = self._parts()
        if isinstance(parts, Failure):
            yield parts
            yield Complete(0, full=False)
            return
        began = self._newest(parts.site)
        listing = ArticleListing(parts, window)
        cursor = None if window else self._cursor(parts, began or _BEGINNING)
        yield from _counted(listing, listing.everything(), cursor, full=not window)

    def changes(self, cursor: Cursor) -> Iterator[Entry]:
        before = read_cursor(cursor, CURSOR)
        parts = self._parts()
        if isinstance(parts, Failure):
            yield parts
            yield Complete(0, full=False)
            return
        if before.options != self._options_of(parts.rules.properties):
            raise UsageError(
                "options of the source or properties of the instance have changed; list it fully"
            )
        began = self._newest(parts.site)
        listing = ArticleListing(parts, Window())
        entries = ChangeFeed(parts, listing).entries(before.since, before.day)
        after = self._cursor(parts, max(before.since, began or before.since))
        yield from _counted(listing, entries, after, full=False)

    def prefetch(self, items: Sequence[Item]) -> None:
        if self._contents is not None:
            self._contents.prefetch(items)

    def existing(self, ids: Sequence[str]) -> set[str]:
        try:
            scope = self._scope or Scope.of(self._site, self.options, _today())
            return Existence(self._site, self.options, scope).of(ids)
        except (CredentialError, TransientError):
            raise
        except RagError as error:
            raise TransientError(f"it cannot be said which documents still exist: {error}") from error

    def groups(self) -> Iterator[Group | Failure | Complete]:
        try:
            scope = Scope.of(self._site, self.options, _today())
        except CredentialError:
            raise
        except RagError as error:
            yield Failure(error=error, entity=self.options.url, hides_documents=False)
            yield Complete(0, full=False)
            return
        yield from GroupDirectory(self._site, scope, self._names, catalogue=self.options.catalogue).groups()

    def check(self) -> list[Finding]:
        try:
            scope = Scope.of(self._site, self.options, _today())
        except RagError as error:
            return [Finding("instance", False, str(error))]
        return [
            Finding("instance", True, f"{self.options.url} answers"),
            *findings(self._site, self.options, scope),
        ]

    def close(self) -> None:
        if "_site" in vars(self):
            self._site.client.close()

    @cached_property
    def _site(self) -> ServiceNowSite:
        return ServiceNowSite.of(self.options)

    @property
    def _names(self) -> Names:
        return Names(self.options.directory_name)

    def _parts(self) -> Parts | Failure:
        """What a run works with, or why nothing can be listed."""
        try:
            self._scope = scope = Scope.of(self._site, self.options, _today())
            rules = Rules(self._names, Properties.read(self._site))
            unread = self._site.blind("kb_knowledge", articles.RESTRICTING)
            textless = bool(self._site.blind("kb_knowledge", ["text"]))
        except CredentialError:
            raise
        except RagError as error:
            return Failure(error=error, entity=self.options.url, whole=True)
        self._contents = Contents(self._site, self.options.max_bytes, blind=textless)
        return Parts(self._site, self.options, scope, rules, self._contents, unread)

    def _newest(self, site: ServiceNowSite) -> datetime | None:
        """The time of the latest change before a listing: what comes later is seen by the next run."""
        try:
            newest = site.newest("kb_knowledge")
        except CredentialError:
            raise
        except RagError:
            return None
        return read_time(newest) if newest else None

    def _cursor(self, parts: Parts, since: datetime) -> Cursor:
        options = self._options_of(parts.rules.properties)
        return CURSOR.encode(ServiceNowCursor(options, since, parts.scope.today))

    def _options_of(self, properties: Properties) -> str:
        options = self.options.model_dump(mode="json", include=_OPTIONS_OF_DOCUMENTS)
        return fingerprint([options, properties.roles_count])


def _counted(
    listing: ArticleListing, entries: Iterator[Item | Failure | Removed], cursor: Cursor | None, *, full: bool
) -> Iterator[Entry]:
    """`entries` with the marker at their end; where a listing was interrupted, the old position stays."""
    tally = Tally()
    for entry in entries:
        if not isinstance(entry, Removed):
            tally.add(entry)
        yield entry
    position = None if listing.interrupted else cursor
    yield Complete(tally.count, cursor=position, full=full and tally.whole)


def _today() -> date:
    return datetime.now(UTC).date()
