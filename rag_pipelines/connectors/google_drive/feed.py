"""What changed in the chosen drives since the logs were read last.

What belongs here: reading logs, and what their entries mean. What does not: the walk (`listing`), the cursor
(`connector`).

Each shared drive and each account has a log of its own; an entry is the present state of an item, or says
that it was removed from the log: deleted, or out of this account's sight
(developers.google.com/workspace/drive/api/guides/about-changes). So what a log lost is looked for with every
account before it counts as gone. A folder that was moved, shared or put into the trash is named without what
lies below it: that is listed here, down to `MOST_FOLDERS`; a full listing has to find the rest, and what was
in a folder that was deleted for good.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping

from rag_pipelines import logs
from rag_pipelines.connectors.base import Failure, Item, Removed
from rag_pipelines.connectors.google_drive.api import Json
from rag_pipelines.connectors.google_drive.files import FILE_FIELDS, SHORTCUT, DriveFile, read_file
from rag_pipelines.connectors.google_drive.listing import DriveWalk
from rag_pipelines.connectors.google_drive.lookup import Lookup
from rag_pipelines.connectors.google_drive.scopes import Scope, Workspace
from rag_pipelines.errors import (
    CredentialError,
    ForbiddenEntityError,
    GoneError,
    MissingEntityError,
    RagError,
)

log = logs.get(__name__)

MOST_FOLDERS = 200
"""So many folders below changed ones are looked into in one run."""


class Feed:
    """One reading of the logs. `tokens` are where to go on; `settled` False: go on from where it began."""

    def __init__(self, workspace: Workspace, walk: DriveWalk, tokens: Mapping[str, str]) -> None:
        self.tokens = dict(tokens)
        self.settled = True
        self._workspace = workspace
        self._walk = walk
        self._lookup = Lookup(workspace, walk)
        self._lost: set[str] = set()
        self._folders: deque[tuple[Scope, str]] = deque()
        """Folders of which a log says that they changed, and those below them."""
        self._elsewhere: dict[str, tuple[str, DriveFile]] = {}
        """Files that an account sees and that are of none of its drives."""

    def entries(self) -> Iterator[Item | Failure | Removed]:
        """What changed, each file once. Raises `GoneError` where a log cannot be followed."""
        found = list(self._workspace.scopes())
        scopes = [one for one in found if isinstance(one, Scope)]
        yield from (one for one in found if isinstance(one, Failure))
        gone = self.tokens.keys() - {scope.key for scope in scopes}
        if gone:
            raise GoneError(f"{', '.join(sorted(gone))} is not among the drives any more")
        for scope in scopes:
            if scope.key in self.tokens:
                yield from self._follow(scope)
            else:
                yield from self._walk.drive(scope)
        yield from self._below()
        yield from self._walk.linked()
        yield from self._elsewhere_settled()
        yield from self._lost_settled()
        self.tokens.update(self._walk.tokens)

    def _follow(self, scope: Scope) -> Iterator[Item | Failure | Removed]:
        latest: dict[str, Json] = {}
        token = ""
        try:
            api = self._workspace.as_account(scope.account)
            for change in api.changes(self.tokens[scope.key], scope.drive):
                if isinstance(change, str):
                    token = change
                elif change.get("changeType") == "drive":
                    self._check_drive(scope, change)
                elif change.get("fileId"):
                    latest[change["fileId"]] = change
            for id, change in latest.items():
                yield from self._entry(scope, id, change)
        except GoneError:
            raise
        except RagError as error:
            yield self._walk.failure(scope, error, f"changes of {scope.name}")
            return
        self.tokens[scope.key] = token

    def _check_drive(self, scope: Scope, change: Json) -> None:
        """A drive that was left, or is gone, cannot be followed."""
        if scope.drive is not None and change.get("removed") and change.get("driveId") == scope.drive:
            raise GoneError(f"{scope.name} is not a drive of ours any more")

    def _entry(self, scope: Scope, id: str, change: Json) -> Iterator[Item | Failure | Removed]:
        raw = change.get("file")
        if change.get("removed") or raw is None:
            self._lost.add(id)
            return
        try:
            file = read_file(raw)
        except RagError:
            yield from self._walk.consider(scope, raw)
            return
        if file.is_folder:
            if file.drive_id == scope.drive:
                self._walk.tree(scope).add(file)
                self._folders.append((scope, id))
        elif file.trashed:
            yield from self._trashed(file)
        elif self._walk.belongs(scope, file):
            yield from self._walk.consider(scope, raw)
        elif file.drive_id is not None or file.owner == scope.owner:
            if file.drive_id == scope.drive or not self._is_followed(file):
                self._lost.add(id)
        elif not self._is_followed(file):
            self._elsewhere[id] = scope.account, file

    def _trashed(self, file: DriveFile) -> Iterator[Removed]:
        """A file in the trash is there for everybody. What a shortcut led to may have another one."""
        if file.mime_type == SHORTCUT and file.shortcut_details is not None:
            self._lost.add(file.shortcut_details.target_id)
        if file.id not in self._walk.seen:
            self._walk.seen.add(file.id)
            yield Removed(file.external_id, children=True)

    def _is_followed(self, file: DriveFile) -> bool:
        """Whether another log names the file, too: that of its drive, or of its owner."""
        if file.drive_id is None:
            return file.owner in self._workspace.owners
        return file.drive_id in self._workspace.drives

    def _below(self) -> Iterator[Item | Failure | Removed]:
        """What lies below folders that changed, as it is now."""
        looked_into: set[str] = set()
        while self._folders:
            scope, id = self._folders.popleft()
            if id in looked_into:
                continue
            if len(looked_into) == MOST_FOLDERS:
                log.info("folders that changed hold more than is followed", folders=MOST_FOLDERS)
                return
            looked_into.add(id)
            api = self._workspace.as_account(scope.account)
            try:
                for raw in api.files(f"'{id}' in parents", FILE_FIELDS, scope.drive):
                    yield from self._inside(scope, read_file(raw))
            except MissingEntityError:
                continue
            except RagError as error:
                yield self._walk.failure(scope, error, f"a folder of {scope.name} that changed ({id})")
                self.settled = False

    def _inside(self, scope: Scope, file: DriveFile) -> Iterator[Item | Failure | Removed]:
        if file.is_folder:
            self._walk.tree(scope).add(file)
            self._folders.append((scope, file.id))
        elif file.id in self._walk.seen:
            return
        elif file.trashed:
            yield from self._trashed(file)
        elif self._walk.belongs(scope, file):
            self._walk.seen.add(file.id)
            yield from self._walk.documents(scope, file)
        else:
            self._lost.add(file.id)

    def _elsewhere_settled(self) -> Iterator[Item | Failure | Removed]:
        """Files that are merely shared with somebody: documents only if a shortcut leads to them."""
        for id, (account, file) in self._elsewhere.items():
            if id in self._walk.seen:
                continue
            try:
                linked = self._lookup.is_linked(account, file)
            except RagError as error:
                yield self._unsettled(error, id)
                continue
            if linked:
                yield from self._walk.linked_document(account, file)
            else:
                yield Removed(file.external_id, children=True)

    def _lost_settled(self) -> Iterator[Item | Failure | Removed]:
        for id in sorted(self._lost - self._walk.seen):
            try:
                documents = self._lookup.documents(id)
                if documents is None:
                    yield Removed(f"file/{id}", children=True)
                else:
                    yield from documents
            except ForbiddenEntityError:
                continue
            except RagError as error:
                yield self._unsettled(error, id)

    def _unsettled(self, error: RagError, id: str) -> Failure:
        if isinstance(error, CredentialError):
            raise error
        self.settled = False
        return Failure(error=error, entity=f"whether {id} is gone")
