"""The Confluence connector: listing, following changes, looking up, loading.

What belongs here: the contract, and what an item says. What does not: requests (`site`), the walk
(`census`), access (`tree`), people (`directory`), bytes (`bodies`).

External ids are ``page/123``, ``blogpost/123``, ``comment/123`` and ``attachment/att456``: they outlive
moves, renames and the trash. The token is the number of the version. A rename makes a new version
with the same bytes, which the engine recognises by their hash. A move, a label or a restriction makes
none, and neither does the trash: only a full listing shows them.

`changes` asks, space by space, for what was modified since the newest change seen there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from rag_pipelines.batching import blocks
from rag_pipelines.connectors.atlassian_client import AtlassianClient
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
from rag_pipelines.connectors.confluence.bodies import MEDIA_TYPE, Bodies
from rag_pipelines.connectors.confluence.census import Census, existing
from rag_pipelines.connectors.confluence.cloud import CONTEXT, ConfluenceCloud
from rag_pipelines.connectors.confluence.content import ATTACHMENT, COMMENT, Content, Ref, Space
from rag_pipelines.connectors.confluence.data_center import ConfluenceDataCenter
from rag_pipelines.connectors.confluence.directory import PeopleDirectory
from rag_pipelines.connectors.confluence.options import CURSOR, ConfluenceCursor, ConfluenceOptions
from rag_pipelines.connectors.confluence.site import ConfluenceSite
from rag_pipelines.connectors.tally import Tally
from rag_pipelines.errors import CredentialError, RagError, TooLargeDocumentError, TransientError, UsageError

_AUTHORS_AT_ONCE = 200


class ConfluenceConnector(Connector):
    """Lists what one account sees on one site."""

    kind = "confluence"
    capabilities = Capabilities(changes=True, ids=True, permissions=True, groups=True, lookup=True)
    options_type = ConfluenceOptions
    options: ConfluenceOptions

    def __init__(self, source: str, options: ConfluenceOptions) -> None:
        super().__init__(source, options)
        self._opened: tuple[ConfluenceSite, Bodies] | None = None

    @property
    def client(self) -> AtlassianClient:
        """What the site is read with; its `traffic` counts requests and bytes."""
        return self._site.client

    def items(self, window: Window = Window()) -> Iterator[Entry]:
        began = datetime.now(UTC)
        census = Census(self._site)
        tally = Tally()
        for entry in self._items(census, census.entries(described=True)):
            if isinstance(entry, Failure) or window.holds(entry.modified_at):
                tally.add(entry)
                yield entry
        positions = {
            key: min(newest, began) for key, newest in census.newest.items() if key not in census.failed
        }
        cursor = None if window else self._cursor(positions)
        yield Complete(tally.count, cursor, full=tally.whole and not window)

    def changes(self, cursor: Cursor) -> Iterator[Entry]:
        before = read_cursor(cursor, CURSOR)
        if before.options != self.options.selection():
            raise UsageError("the options of the source have changed since the last listing; list it fully")
        census = Census(self._site)
        tally = Tally()
        positions = dict(before.positions)
        named: set[str] = set()
        for space in census.spaces():
            if isinstance(space, Failure):
                tally.add(space)
                yield space
                continue
            named.add(space.key)
            began = datetime.now(UTC)
            position = positions.get(space.key)
            since = position and position - timedelta(minutes=self.options.overlap)
            for entry in self._items(census, census.changes(space, since)):
                tally.add(entry)
                yield entry
            newest = census.newest.get(space.key)
            if newest is not None and space.key not in census.failed:
                positions[space.key] = max(min(newest, began), position or newest)
        if tally.whole:
            positions = {key: position for key, position in positions.items() if key in named}
        yield Complete(tally.count, self._cursor(positions), full=False)

    def ids(self) -> Iterator[str | Failure | Complete]:
        options = self.options
        described = bool(options.roots or options.labels or options.exclude_labels)
        tally = Tally()
        for entry in Census(self._site).entries(described):
            tally.add(entry)
            yield entry if isinstance(entry, Failure) else entry.ref.external_id
        yield Complete(tally.count, full=tally.whole)

    def existing(self, ids: Sequence[str]) -> set[str]:
        """Confluence mostly answers 404 for what an account may not see: that counts as gone."""
        refs = [ref for one in ids if (ref := Ref.of(one)) is not None]
        try:
            return {ref.external_id for ref in existing(self._site, refs)}
        except (CredentialError, TransientError):
            raise
        except RagError as error:
            raise TransientError(f"which documents exist cannot be asked: {error}") from error

    def prefetch(self, items: Sequence[Item]) -> None:
        self._bodies.read_ahead([ref for item in items if (ref := Ref.of(item.external_id)) is not None])

    def load(self, reference: Mapping[str, Any]) -> bytes:
        """The body of a page, a blog post or a comment; where a file is, only a listing says."""
        ref = Ref.of(reference["id"])
        assert ref is not None
        return self._bodies.load(ref)

    def groups(self) -> Iterator[Group | Failure | Complete]:
        return PeopleDirectory(self._site).groups()

    def check(self) -> list[Finding]:
        try:
            findings = [Finding("login", True, f"{self.options.url} knows us as {self._site.account()}")]
        except RagError as error:
            return [Finding("login", False, str(error))]
        try:
            entries = list(Census(self._site).spaces())
        except CredentialError as error:
            return [*findings, Finding("spaces", False, str(error))]
        spaces = [entry for entry in entries if isinstance(entry, Space)]
        unseen = [entry for entry in entries if isinstance(entry, Failure)]
        findings += [Finding(str(failure.entity), False, str(failure.error)) for failure in unseen]
        if not unseen:
            named = ", ".join(space.key for space in spaces[:10])
            detail = f"{len(spaces)} to list: {named}" if spaces else "the account sees no space to list"
            findings.append(Finding("spaces", True, detail))
        for space in spaces[:1]:
            findings += self._check_space(space)
        return [*findings, PeopleDirectory(self._site).check()]

    def close(self) -> None:
        if self._opened is not None:
            self._opened[0].client.close()
            self._opened = None

    @property
    def _site(self) -> ConfluenceSite:
        return self._open()[0]

    @property
    def _bodies(self) -> Bodies:
        return self._open()[1]

    def _open(self) -> tuple[ConfluenceSite, Bodies]:
        if self._opened is None:
            cloud = self.options.is_cloud
            client = AtlassianClient(self.options, CONTEXT if cloud else "")
            site = (ConfluenceCloud if cloud else ConfluenceDataCenter)(client, self.options)
            self._opened = site, Bodies(site)
        return self._opened

    def _cursor(self, positions: dict[str, datetime]) -> Cursor:
        return CURSOR.encode(ConfluenceCursor(self.options.selection(), positions))

    def _items(self, census: Census, contents: Iterator[Content | Failure]) -> Iterator[Item | Failure]:
        """Contents as items, in blocks, so that authors are asked for together."""
        for block in blocks(contents, _AUTHORS_AT_ONCE):
            unnamed = (one for one in block if isinstance(one, Content) and one.author is None)
            self._site.names(one.author_id for one in unnamed)
            for content in block:
                if isinstance(content, Failure):
                    yield content
                elif (content.size or 0) > self.options.max_bytes:
                    yield self._too_large(content)
                else:
                    yield self._item(content, census)

    def _too_large(self, content: Content) -> Failure:
        error = TooLargeDocumentError(
            f"{content.title!r} has {content.size:,} bytes; raise max_bytes (now {self.options.max_bytes:,})"
        )
        return Failure(error=error, external_id=content.ref.external_id, token=str(content.version))

    def _item(self, content: Content, census: Census) -> Item:
        page = census.page_of(content)
        assert page is not None
        above = census.tree.ancestors(page)
        place = [census.names.get(page.space, page.space), *(node.title for node in (*above, page))]
        kind = content.ref.type
        title: str | None = page.title
        if kind == COMMENT:
            title = f"Comment on {page.title}"
            place.append(f"Comment {content.ref.id}")
        elif kind == ATTACHMENT:
            title = None
            place.append(content.title)
        metadata = {
            "type": kind,
            "space": page.space,
            "status": content.status,
            "version": content.version,
            "labels": list(page.labels or ()),
            "ancestors": [node.title for node in above],
        }
        if content.container is not None:
            metadata["container"] = content.container.external_id
        return Item(
            external_id=content.ref.external_id,
            token=str(content.version),
            load=partial(self._bodies.load, content.ref, content),
            reference=None if kind == ATTACHMENT else {"id": content.ref.external_id},
            name=content.title if kind == ATTACHMENT else "",
            path="/".join(place),
            url=content.base + content.link if content.link else None,
            title=title,
            media_type=content.media_type if kind == ATTACHMENT else MEDIA_TYPE,
            size=content.size,
            modified_at=content.modified_at,
            author=content.author or self._site.names([content.author_id]).get(content.author_id or ""),
            access=census.tree.access(page),
            metadata=metadata,
        )

    def _check_space(self, space: Space) -> Iterator[Finding]:
        """Whether permissions can be read and the search can be used, tried on one space."""
        try:
            readers = self._site.space_readers(space)
            detail = f"{len(readers)} principals may view {space.key}"
            if not readers:
                detail = f"no viewer of {space.key} was reported: its documents will be closed"
            yield Finding("permissions", bool(readers), detail)
        except (RagError, KeyError, TypeError) as error:
            yield Finding("permissions", False, f"who may view {space.key} cannot be read: {error}")
        try:
            for _ in self._site.list_changed(space.key, datetime.now(UTC)):
                break
            yield Finding("search", True, "changes and restrictions can be read in bulk")
        except RagError as error:
            yield Finding(
                "search", False, f"restrictions are asked page by page, changes cannot be followed: {error}"
            )
