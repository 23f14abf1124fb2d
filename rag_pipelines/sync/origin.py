"""What a run asks of its source, whoever answers: the source itself, or a recording of what it said.

What belongs here: the questions, and the answers of a live source. What does not: recordings (`recording`),
and what the answers mean (`groups`, `listing`, `loading`, `settle`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future
from datetime import datetime
from typing import NamedTuple, Protocol

import msgspec

from rag_pipelines import __version__
from rag_pipelines.connectors.ahead import run_ahead
from rag_pipelines.connectors.base import (
    Capabilities,
    Complete,
    Connector,
    Cursor,
    Entry,
    Failure,
    Group,
    Item,
)
from rag_pipelines.errors import (
    CredentialError,
    DocumentError,
    FetchError,
    ForbiddenEntityError,
    GoneError,
    RagError,
    TooLargeDocumentError,
    TransientError,
    UsageError,
)
from rag_pipelines.fingerprint import fingerprint, sha256
from rag_pipelines.store.database import Row, query
from rag_pipelines.store.documents import documents_not_due, retry_is_due, server_time
from rag_pipelines.store.hints import hinted_names
from rag_pipelines.sync.loads import Loads
from rag_pipelines.sync.run import SourceRun
from rag_pipelines.sync.scope import Scope

AHEAD = 250
"""Entries that a listing is ahead of what is loaded, and as many again that it is making."""


class Restarted(msgspec.Struct, frozen=True):
    """In a listing: the change feed broke off, and what follows is everything. `reason` is for people."""

    reason: str


Listed = Entry | Restarted


class Entries(NamedTuple):
    """What a source lists. `feed`: only what changed, as long as nothing in it is `Restarted`. `named`: only
    what hints name."""

    entries: Generator[Listed]
    feed: bool = False
    named: bool = False


class Fetched(NamedTuple):
    """Content that is in the blob store: its SHA-256 (32 bytes) and its size in bytes."""

    digest: bytes
    size: int


class SourceOrigin(Protocol):
    """The source of one run. Raises `CredentialError` wherever the source refuses the credentials."""

    @property
    def capabilities(self) -> Capabilities:
        """What the source offers."""

    @property
    def began(self) -> datetime:
        """The server's clock before the source was asked for anything."""

    def groups(self) -> Iterator[Group | Failure | Complete]:
        """As `Connector.groups`."""

    def entries(self) -> Entries:
        """The change feed where there is one; everything where there is none, or from where it breaks off."""

    def late(self, items: Sequence[Item]) -> set[str]:
        """Ids of those that could not be loaded before, and whose time to be tried again has not come."""

    def fetch(self, batches: Iterable[Sequence[Item]]) -> Generator[list[Fetched | RagError]]:
        """Store the content of each item of the batches; in its place why it could not be read.

        A batch is taken and loaded while the caller looks at the answers of the one before.
        """

    def existing(self, ids: Sequence[str]) -> set[str]:
        """As `Connector.existing`."""


class LiveOrigin:
    """The source itself, read through its connector."""

    def __init__(self, run: SourceRun, connector: Connector, scope: Scope = Scope()) -> None:
        self._run = run
        self._connector = connector
        self._scope = scope
        self.began = server_time(run.connection)

    @property
    def capabilities(self) -> Capabilities:
        """As `SourceOrigin.capabilities`."""
        return self._connector.capabilities

    def groups(self) -> Iterator[Group | Failure | Complete]:
        """As `SourceOrigin.groups`."""
        return self._connector.groups()

    def existing(self, ids: Sequence[str]) -> set[str]:
        """As `SourceOrigin.existing`."""
        return self._connector.existing(ids)

    def entries(self) -> Entries:
        """As `SourceOrigin.entries`."""
        found = self._found()
        if self._connector.concurrent_loads <= 1:
            return found
        return found._replace(entries=run_ahead(found.entries, AHEAD))

    def _found(self) -> Entries:
        source = query(self._run.connection, "source_by_name", {"name": self._run.name}).fetchone()
        assert source is not None
        if (named := self._named(source)) is not None:
            return Entries(named, named=True)
        cursor: Cursor | None = source["cursor"]
        if cursor is not None and self._may_follow(source):
            return Entries(self._follow(cursor), feed=True)
        return Entries(self._list())

    def late(self, items: Sequence[Item]) -> set[str]:
        """As `SourceOrigin.late`."""
        return documents_not_due(
            self._run.connection,
            self._run.source_id,
            {item.external_id: item.token for item in items},
            code_version=loader_version(self._run),
            max_attempts=self._run.source.max_attempts,
        )

    def fetch(self, batches: Iterable[Sequence[Item]]) -> Generator[list[Fetched | RagError]]:
        """As `SourceOrigin.fetch`."""
        at_once, budget = self._connector.concurrent_loads, self._run.settings.limits.batch_bytes // 2
        if at_once <= 1:
            for batch in batches:
                self._connector.prefetch(batch)
                yield self._one_by_one(batch, budget)
            return
        with Loads(self._stored, at_once, budget) as loads:
            under_way: deque[list[Future[Fetched | RagError]]] = deque()
            for batch in batches:
                self._connector.prefetch(batch)
                under_way.append(loads.begin(batch))
                if len(under_way) > 1:
                    yield [one.result() for one in under_way.popleft()]
            for last in under_way:
                yield [one.result() for one in last]

    def _one_by_one(self, items: Sequence[Item], budget: int) -> list[Fetched | RagError]:
        """A batch, of which `budget` bytes are in memory before they are stored."""
        answers: dict[int, Fetched | RagError] = {}
        contents: dict[int, bytes] = {}
        held = 0
        for place, item in enumerate(items):
            content = self._content(item)
            if not isinstance(content, bytes):
                answers[place] = content
                continue
            contents[place] = content
            held += len(content)
            if held > budget:
                answers |= self._store(items, contents)
                contents, held = {}, 0
        answers |= self._store(items, contents)
        return [answers[place] for place in range(len(items))]

    def _stored(self, item: Item) -> Fetched | RagError:
        """As `_content`, and stored by the thread that loaded it, while others wait for their server.

        Content of a document that is purged meanwhile is removed when its batch is written.
        """
        content = self._content(item)
        if isinstance(content, RagError):
            return content
        return Fetched(self._run.blobs.put("raw", content), len(content))

    def _store(self, items: Sequence[Item], contents: dict[int, bytes]) -> dict[int, Fetched]:
        """Keep what was loaded, but for documents that were purged meanwhile: nobody will take these up."""
        run = self._run
        fetched = {place: Fetched(sha256(data), len(data)) for place, data in contents.items()}
        with run.writing():
            gone = run.forgotten(items[place].external_id for place in contents)
            kept = [place for place in contents if items[place].external_id not in gone]
            run.blobs.put_all("raw", [contents[place] for place in kept])
        return fetched

    def _named(self, source: Row) -> Generator[Listed] | None:
        """What hints name, if a run was asked to look no further and may.

        A source that was never listed is listed; so is one with a budget, whose plan has to foresee the run.
        """
        if (
            self._scope != Scope(hinted=True)
            or source["settled_at"] is None
            or self._run.source.budget.limited
        ):
            return None
        names = hinted_names(self._run.connection, self._run.source_id)
        named = self._connector.named(names) if names else None
        return None if named is None else (entry for entry in named)

    def _list(self) -> Generator[Listed]:
        yield from self._connector.items(self._scope.window)

    def _follow(self, cursor: Cursor) -> Generator[Listed]:
        """The change feed, and everything where that cannot be continued."""
        try:
            yield from self._connector.changes(cursor)
        except (GoneError, UsageError) as error:
            yield Restarted(f"the stored cursor cannot be continued, listing everything: {error}")
            yield from self._list()

    def _may_follow(self, source: Row) -> bool:
        """Whether the change feed is enough: it tells everything, or everything was listed not long ago."""
        able, scope, listed_at = self.capabilities, self._scope, source["listed_at"]
        if source["policy"] != self._run.source.policy_key:
            return False
        if not able.changes or scope.full or scope.list_all or scope.window or scope.allow_deletes:
            return False
        recent = listed_at is not None and self.began - listed_at < self._run.source.full_listing
        return (able.feed_tells_all or recent) and not self._retry_is_due()

    def _retry_is_due(self) -> bool:
        """Whether to try a document again that could not be listed or loaded; a feed does not name it."""
        return retry_is_due(self._run.connection, self._run.source_id, self._run.source.max_attempts)

    def _content(self, item: Item) -> bytes | RagError:
        """The item's bytes, or why they cannot be read: whatever its connector raises costs this item alone.

        Runs in several threads at once.
        """
        limit = self._run.settings.limits.parse.max_bytes
        if item.size is not None and item.size > limit:
            return TooLargeDocumentError(
                f"{item.size:,} bytes, the limit is {limit:,}; raise limits.parse.max_bytes to accept it"
            )
        try:
            return item.load()
        except CredentialError:
            raise
        except (DocumentError, ForbiddenEntityError, TransientError) as error:
            return error
        except Exception as error:
            return FetchError(f"loading failed: {type(error).__name__}: {error}")


def loader_version(run: SourceRun) -> str:
    """The version of what loads content: a failure under another one is tried again at once."""
    return fingerprint([__version__, run.source.connector, run.settings.limits.parse.max_bytes])
