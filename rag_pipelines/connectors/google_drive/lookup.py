"""Single files, asked for apart from any listing: whether they are there, and of which drive they are.

What belongs here: looking for a file with every account until one sees it. What does not: listings. Terms of
queries are those of developers.google.com/workspace/drive/api/guides/ref-search-terms.

A file that one account does not see any more may live on for another: only one that no account sees is gone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rag_pipelines.connectors.base import Failure, Item
from rag_pipelines.connectors.google_drive.contents import COMMENT
from rag_pipelines.connectors.google_drive.files import DriveFile, read_file
from rag_pipelines.connectors.google_drive.listing import DriveWalk
from rag_pipelines.connectors.google_drive.scopes import Scope, Workspace, told
from rag_pipelines.errors import CredentialError, ForbiddenEntityError, MissingEntityError, TransientError


class Lookup:
    """Looks for files in the chosen drives."""

    def __init__(self, workspace: Workspace, walk: DriveWalk) -> None:
        self._workspace = workspace
        self._walk = walk

    def existing(self, ids: Sequence[str]) -> set[str]:
        """Which of `ids` a listing should name; one that may not be asked for counts as existing."""
        self._scopes()  # asked for once, before threads do
        answers = self._workspace.at_once(self._exists, list(dict.fromkeys(ids)))
        return {id for id, answer in answers.items() if told(answer)}

    def documents(self, id: str) -> Iterator[Item | Failure] | None:
        """A file that one account lost, as it is for another; None: it is gone, or not chosen any more.

        Raises `TransientError` where that cannot be said.
        """
        placed = self._placed(id)
        if placed is None:
            return None
        scope, account, file = placed
        if scope is None:
            return self._walk.linked_document(account, file) if self.is_linked(account, file) else None
        self._walk.seen.add(file.id)
        return self._walk.documents(scope, file)

    def is_linked(self, account: str, file: DriveFile) -> bool:
        """Whether a shortcut of `account`, in a chosen drive, leads to a file or to a folder above it."""
        if not self._workspace.options.shortcuts:
            return False
        api = self._workspace.as_account(account)
        mine = [one for one in self._scopes() if one.account == account]
        above: DriveFile | None = file
        passed: set[str] = set()
        while above is not None and above.id not in passed:
            passed.add(above.id)
            query = f"shortcutDetails.targetId = '{above.id}' and trashed = false"
            for scope in mine:
                for _ in api.files(query, "id", scope.drive):
                    return True
            try:
                above = read_file(api.file(above.parent)) if above.parent else None
            except (MissingEntityError, ForbiddenEntityError):
                above = None
        return False

    def _exists(self, external_id: str) -> bool:
        kind, _, rest = external_id.partition("/")
        id, _, child = rest.partition("/")
        if kind != "file" or not id:
            return False
        try:
            placed = self._placed(id)
            if placed is None:
                return False
            scope, account, file = placed
            if scope is None and not self.is_linked(account, file):
                return False
            if not child:
                return not file.is_folder
            kind, _, identity = child.partition("/")
            comments = self._workspace.as_account(account).comments(id)
            wanted = self._workspace.options.comments and kind == COMMENT
            return wanted and any(one["id"] == identity for one in comments)
        except ForbiddenEntityError:
            return True

    def _placed(self, id: str) -> tuple[Scope | None, str, DriveFile] | None:
        """A file that is not in the trash, the account that sees it, and its drive; None: there is none.

        A drive of None means that the file is outside of the chosen ones.
        """
        forbidden: Exception | None = None
        outside: tuple[None, str, DriveFile] | None = None
        for account in dict.fromkeys(one.account for one in self._scopes()):
            try:
                file = read_file(self._workspace.as_account(account).file(id))
            except MissingEntityError:
                continue
            except ForbiddenEntityError as error:
                forbidden = error
                continue
            except CredentialError as error:
                if account == self._workspace.logins.main:
                    raise
                forbidden = error
                continue
            if file.trashed:
                return None
            for scope in self._candidates(file):
                if self._walk.belongs(scope, file):
                    return scope, scope.account, file
            outside = None, account, file
        if outside is None and forbidden is not None:
            raise ForbiddenEntityError(f"whether {id} is there cannot be asked: {forbidden}")
        return outside

    def _candidates(self, file: DriveFile) -> list[Scope]:
        """The drives that a file may be of: its shared drive, or its owner's."""
        scopes = self._scopes()
        if file.drive_id is not None:
            return [one for one in scopes if one.drive == file.drive_id]
        return [one for one in scopes if one.drive is None and one.owner == file.owner]

    def _scopes(self) -> list[Scope]:
        found = [one for one in self._workspace.scopes() if isinstance(one, Scope)]
        if not found:
            raise TransientError("no drive can be asked for files")
        return found
