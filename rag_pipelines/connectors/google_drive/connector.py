"""Google Drive as a source: what the contract of a connector asks for, put together from the parts beside it.

What belongs here: the life of a run, and the cursor. What does not: everything else (see the package).

External ids are ``file/<id>``, which outlive renames, moves between drives and the trash; a comment's is
below its file's. The token is the checksum of a file's bytes, or for what Google's editors hold the time of
the last change. The cursor holds for each drive the token of its log from before it was listed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from rag_pipelines.connectors.base import (
    Capabilities,
    Complete,
    Connector,
    Cursor,
    Entry,
    Failure,
    FeedGap,
    Finding,
    Group,
    Removed,
    Window,
    read_cursor,
)
from rag_pipelines.connectors.google_drive.access import Policy
from rag_pipelines.connectors.google_drive.checks import findings
from rag_pipelines.connectors.google_drive.contents import Contents
from rag_pipelines.connectors.google_drive.directory import PeopleDirectory
from rag_pipelines.connectors.google_drive.feed import Feed
from rag_pipelines.connectors.google_drive.listing import DriveWalk
from rag_pipelines.connectors.google_drive.login import Logins
from rag_pipelines.connectors.google_drive.lookup import Lookup
from rag_pipelines.connectors.google_drive.options import CURSOR, GoogleDriveCursor, GoogleDriveOptions
from rag_pipelines.connectors.google_drive.scopes import Workspace
from rag_pipelines.connectors.tally import Tally
from rag_pipelines.errors import ConfigError, CredentialError, RagError, TransientError, UsageError


class GoogleDriveConnector(Connector):
    """Lists the files of the shared drives and My Drives that its options choose."""

    kind = "google_drive"
    capabilities = Capabilities(
        changes=True,
        removals=True,
        feed_omits=frozenset({FeedGap.MOVES, FeedGap.ACCESS}),
        ids=True,
        permissions=True,
        groups=True,
        lookup=True,
    )
    options_type = GoogleDriveOptions
    options: GoogleDriveOptions

    def __init__(self, source: str, options: GoogleDriveOptions) -> None:
        super().__init__(source, options)
        self._opened: tuple[Workspace, Contents] | None = None

    def items(self, window: Window = Window()) -> Iterator[Entry]:
        walk, tally = self._walk(), Tally()
        if failure := self._unlistable():
            yield failure
            yield Complete(0, full=False)
            return
        for entry in walk.entries():
            if isinstance(entry, Failure) or window.holds(entry.modified_at):
                tally.add(entry)
                yield entry
        cursor = None if window else self._cursor(walk.tokens)
        yield Complete(tally.count, cursor, full=tally.whole and not window)

    def changes(self, cursor: Cursor) -> Iterator[Entry]:
        before = read_cursor(cursor, CURSOR)
        if before.options != self.options.selection():
            raise UsageError("the options of the source have changed since the last listing; list it fully")
        if failure := self._unlistable():
            yield failure
            yield Complete(0, full=False)
            return
        tally = Tally()
        feed = Feed(self.workspace, self._walk(), before.tokens)
        for entry in feed.entries():
            if not isinstance(entry, Removed):
                tally.add(entry)
            yield entry
        yield Complete(tally.count, self._cursor(feed.tokens) if feed.settled else None, full=False)

    def ids(self) -> Iterator[str | Failure | Complete]:
        walk, tally = self._walk(described=False), Tally()
        if failure := self._unlistable():
            yield failure
            yield Complete(0, full=False)
            return
        for entry in walk.entries():
            tally.add(entry)
            yield entry if isinstance(entry, Failure) else entry.external_id
        yield Complete(tally.count, full=tally.whole)

    def existing(self, ids: Sequence[str]) -> set[str]:
        """A file that no account of the source sees counts as gone."""
        try:
            return Lookup(self.workspace, self._walk(described=False)).existing(ids)
        except (CredentialError, TransientError):
            raise
        except RagError as error:
            raise TransientError(f"which documents exist cannot be asked: {error}") from error

    def groups(self) -> Iterator[Group | Failure | Complete]:
        if failure := self._unlistable():
            yield failure
            yield Complete(0, full=False)
            return
        yield from PeopleDirectory(self.workspace, self._policy(), self._walk()).groups()

    def check(self) -> list[Finding]:
        try:
            return list(findings(self.workspace))
        except ConfigError as error:
            return [Finding("login", False, str(error))]

    def close(self) -> None:
        if self._opened is not None:
            self._opened[0].logins.close()
            self._opened = None

    @property
    def workspace(self) -> Workspace:
        """Which drives there are, and as whom each is asked."""
        return self._open()[0]

    def _open(self) -> tuple[Workspace, Contents]:
        if self._opened is None:
            logins = Logins(self.options)
            self._opened = Workspace(self.options, logins), Contents(logins, self.options)
        return self._opened

    def _policy(self) -> Policy:
        return Policy.of(self.options, datetime.now(UTC))

    def _walk(self, *, described: bool = True) -> DriveWalk:
        workspace, contents = self._open()
        return DriveWalk(workspace, self._policy(), contents, described=described)

    def _cursor(self, tokens: dict[str, str]) -> Cursor:
        return CURSOR.encode(GoogleDriveCursor(self.options.selection(), tokens))

    def _unlistable(self) -> Failure | None:
        """Why it cannot even be said which drives there are, if so."""
        try:
            for _ in self.workspace.scopes():
                break
        except (CredentialError, ConfigError):
            raise
        except RagError as error:
            return Failure(error=error, entity="drives", whole=True)
        return None
