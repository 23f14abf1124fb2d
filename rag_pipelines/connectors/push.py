"""Documents that their system sends, because nobody can poll it: read from the inbox where they are kept.

What belongs here: listing what was sent. What does not: taking it (`store.inbox`, `serving.push`).

The token is the digest of the content, so a new title, place or access rule alone loads nothing. The order of
sendings is the change feed, deletions among them, so no full listing is needed to find anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple, Protocol

import msgspec
from pydantic import Field

from rag_pipelines.connectors.base import (
    Capabilities,
    Complete,
    Connector,
    Cursor,
    Entry,
    Failure,
    Finding,
    Item,
    Options,
    Removed,
    Window,
    read_cursor,
)
from rag_pipelines.errors import RagError, TooLargeDocumentError, TransientError, UsageError
from rag_pipelines.fingerprint import fingerprint
from rag_pipelines.model import AccessRule
from rag_pipelines.stored import Form


class PushOptions(Options):
    """Settings of a source that is sent to."""

    max_bytes: int = Field(20_000_000, gt=0, description="a larger document is refused when it is sent")


class PushCursor(msgspec.Struct, frozen=True):
    """The place in the order of sendings up to which everything was listed, which `rag.sent_state` reads too;
    and the options it was listed with."""

    sequence: int
    options: str


CURSOR = Form("cursor of push", PushCursor)


class Pushed(msgspec.Struct, frozen=True, kw_only=True):
    """What a sender says of a document beside its content. `access` None: the source's default holds."""

    path: str
    url: str | None = None
    title: str | None = None
    media_type: str | None = None
    modified_at: datetime | None = None
    author: str | None = None
    metadata: dict[str, Any] = {}
    access: AccessRule | None = None


PUSHED = Form("pushed document", Pushed)


class Sent(NamedTuple):
    """The newest sending of one document; `pushed`, `digest` and `size` (bytes) are None of a deletion."""

    external_id: str
    pushed: Mapping[str, Any] | None
    digest: bytes | None
    size: int | None
    sent_at: datetime


class Inbox(Protocol):
    """Where what is sent to one source is kept. Everything raises `RagError` where it cannot be read."""

    def newest(self) -> int:
        """The place of the newest sending."""

    def documents(self) -> Iterator[Sent]:
        """Everything that is at the source, page by page."""

    def since(self, after: int, upto: int) -> Iterator[Sent]:
        """What was sent after one place and up to another, in order."""

    def existing(self, ids: Sequence[str]) -> set[str]:
        """Which of `ids` are at the source."""

    def content(self, digest: bytes) -> bytes:
        """The content with this SHA-256."""


class PushConnector(Connector):
    """Lists the inbox that `store.inbox.open_connector` gives it."""

    kind = "push"
    options_type = PushOptions
    capabilities = Capabilities(changes=True, removals=True, permissions=True, lookup=True)

    def __init__(self, source: str, options: PushOptions, inbox: Inbox | None = None) -> None:
        super().__init__(source, options)
        self.inbox = inbox

    def check(self) -> list[Finding]:
        try:
            newest = self._inbox.newest()
        except RagError as error:
            return [Finding("inbox", False, str(error))]
        return [Finding("inbox", True, f"{newest:,} is the number of the newest sending")]

    def items(self, window: Window = Window()) -> Iterator[Entry]:
        count = 0
        try:
            newest = self._inbox.newest()
            for sent in self._inbox.documents():
                entry = self._entry(sent)
                if isinstance(entry, Item) and not window.holds(entry.modified_at):
                    continue
                count += 1
                yield entry
        except RagError as error:
            yield Failure(error=error, entity="inbox", whole=count == 0)
            yield Complete(count, full=False)
            return
        yield Complete(count, None if window else self._cursor(newest), full=not window)

    def changes(self, cursor: Cursor) -> Iterator[Entry]:
        before = read_cursor(cursor, CURSOR)
        if before.options != self._options:
            raise UsageError("the options of the source have changed since the last listing; list it fully")
        reached = before.sequence
        count = 0
        try:
            newest = self._inbox.newest()
            for sent in self._inbox.since(reached, newest):
                entry = self._entry(sent)
                count += not isinstance(entry, Removed)
                yield entry
            reached = newest
        except RagError as error:
            yield Failure(error=error, entity="inbox", whole=count == 0)
        yield Complete(count, self._cursor(reached), full=False)

    def existing(self, ids: Sequence[str]) -> set[str]:
        try:
            return self._inbox.existing(ids)
        except RagError as error:
            raise TransientError(f"the inbox cannot be read: {error}") from error

    def load(self, reference: Mapping[str, Any]) -> bytes:
        return self._inbox.content(bytes.fromhex(reference["sha256"]))

    @property
    def _inbox(self) -> Inbox:
        if self.inbox is None:
            raise UsageError(f"source {self.source!r} is read where its inbox is: with the database at hand")
        return self.inbox

    @property
    def _options(self) -> str:
        return fingerprint(self.options.model_dump(mode="json"))

    def _cursor(self, sequence: int) -> Cursor:
        return CURSOR.encode(PushCursor(sequence, self._options))

    def _entry(self, sent: Sent) -> Item | Failure | Removed:
        if sent.pushed is None or sent.digest is None:
            return Removed(sent.external_id)
        token, size = sent.digest.hex(), sent.size or 0
        if size > self.options.max_bytes:
            error = TooLargeDocumentError(f"{size:,} bytes; raise max_bytes ({self.options.max_bytes:,})")
            return Failure(error=error, external_id=sent.external_id, token=token)
        told = PUSHED.decode(sent.pushed)
        return Item(
            external_id=sent.external_id,
            token=token,
            load=partial(self._inbox.content, sent.digest),
            name=told.path.rpartition("/")[2],
            path=told.path,
            url=told.url,
            title=told.title,
            media_type=told.media_type,
            size=size,
            modified_at=told.modified_at or sent.sent_at,
            author=told.author,
            access=told.access,
            metadata=told.metadata,
            reference={"sha256": token},
        )
