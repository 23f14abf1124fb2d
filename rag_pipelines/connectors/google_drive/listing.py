"""Everything in the chosen drives, as items: drive by drive, each file once.

What belongs here: the walk, and what an item says. What does not: requests (`api`), rules (`access`), what
changed (`feed`).

A file of My Drive belongs to its owner, wherever it lies; what is merely shared with somebody is not read. A
shortcut is no document: what it leads to is, once, if no chosen drive holds it; a folder that one leads to is
walked over, in whatever circles shortcuts lead.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import msgspec

from rag_pipelines.connectors.base import Failure, Item
from rag_pipelines.connectors.google_drive.access import Policy, rule_of
from rag_pipelines.connectors.google_drive.api import DriveApi, Json
from rag_pipelines.connectors.google_drive.contents import Contents, comments_of
from rag_pipelines.connectors.google_drive.files import (
    EDITORS,
    FILE_FIELDS,
    FOLDER,
    FOLDER_FIELDS,
    SHORTCUT,
    DriveFile,
    Permission,
    read_file,
    text_of,
)
from rag_pipelines.connectors.google_drive.scopes import Scope, Workspace, told
from rag_pipelines.connectors.google_drive.tree import Tree
from rag_pipelines.errors import (
    CredentialError,
    DocumentError,
    EncryptedDocumentError,
    ForbiddenEntityError,
    MissingEntityError,
    RagError,
    TooLargeDocumentError,
    UnsupportedDocumentError,
)
from rag_pipelines.model import CLOSED, AccessRule

_FILES = f"mimeType != '{FOLDER}' and trashed = false"
_FOLDERS = f"mimeType = '{FOLDER}' and trashed = false"
_OWN = "'me' in owners and "


BLOCK = 200
"""So many files are read ahead, so that their permissions can be asked for together."""


class Target(msgspec.Struct, frozen=True):
    """What a shortcut leads to, and who can follow it; `key` is the resource key that may take."""

    id: str
    account: str
    key: str | None = None


class DriveWalk:
    """One walk over the chosen drives. `tokens` are where to follow the logs of those that were seen whole.

    Args:
        described: whether items say who may read them; ids need not.
    """

    def __init__(
        self, workspace: Workspace, policy: Policy, contents: Contents, *, described: bool = True
    ) -> None:
        self.seen: set[str] = set()
        """Ids of what was named, or looked at and left out."""
        self.tokens: dict[str, str] = {}
        self._workspace = workspace
        self._options = workspace.options
        self._policy = policy
        self._contents = contents
        self._described = described
        self._trees: dict[str, Tree] = {}
        self._granted: dict[str, list[Permission] | RagError] = {}
        self._targets: deque[Target] = deque()

    def entries(self) -> Iterator[Item | Failure]:
        """Every document of the chosen drives, and then what their shortcuts lead to."""
        for scope in self._workspace.scopes():
            if isinstance(scope, Failure):
                yield scope
            else:
                yield from self.drive(scope)
                self._trees.pop(scope.key, None)
        yield from self.linked()

    def drive(self, scope: Scope) -> Iterator[Item | Failure]:
        """Every document of one drive. What fails ends it, and leaves it without a token."""
        api = self._workspace.as_account(scope.account)
        try:
            token = api.start_token(scope.drive)
            yield from self.folders(scope)
            for block in _blocks(api.files(_of(scope, _FILES), FILE_FIELDS, scope.drive)):
                self._read_permissions(scope, block)
                for raw in block:
                    yield from self.consider(scope, raw)
            self.tokens[scope.key] = token
        except RagError as error:
            yield self.failure(scope, error, scope.name)

    def _read_permissions(self, scope: Scope, block: Iterable[Json]) -> None:
        """Ask together what is granted on files of a shared drive; in My Drive their descriptions tell."""
        if scope.drive is None or not self._described:
            return
        own = [one["id"] for one in block if one.get("hasAugmentedPermissions") is not False and "id" in one]
        self._granted = self._workspace.permissions(scope.account, own)

    def folders(self, scope: Scope) -> Iterator[Failure]:
        """List the folders of a drive into its tree; one that cannot be looked into is a failure."""
        tree = self.tree(scope)
        api = self._workspace.as_account(scope.account)
        for raw in api.files(_of(scope, _FOLDERS), FOLDER_FIELDS, scope.drive):
            file = read_file(raw)
            tree.add(file)
            if not file.capabilities.can_list_children and file.inherited_permissions_disabled:
                error = ForbiddenEntityError(
                    f"folder {file.name!r} has limited access: what is in it is not listed; add the account "
                    "to the folder, or make it a manager of the shared drive"
                )
                yield Failure(error=error, entity=f"folder {file.name}", hides_documents=False)

    def tree(self, scope: Scope) -> Tree:
        """The folders of a drive as far as they are known; others are asked for when they are met."""
        if scope.key not in self._trees:
            api = self._workspace.as_account(scope.account)
            top = scope.drive or text_of(api.file("root", "id"), "id")
            self._trees[scope.key] = Tree(top, lambda id: read_file(api.file(id, FOLDER_FIELDS)))
        return self._trees[scope.key]

    def consider(self, scope: Scope, raw: Json) -> Iterator[Item | Failure]:
        """The documents that a listed file is: one with its comments, none, or a failure."""
        id = text_of(raw, "id")
        if id in self.seen:
            return
        try:
            file = read_file(raw)
        except RagError as error:
            self.seen.add(id)
            yield Failure(error=error, external_id=f"file/{id}")
            return
        if self.belongs(scope, file):
            self.seen.add(file.id)
            yield from self.documents(scope, file)

    def belongs(self, scope: Scope, file: DriveFile) -> bool:
        """Whether a file is of this drive, and of the folders that the options choose."""
        options, tree = self._options, self.tree(scope)
        if file.drive_id != scope.drive:
            return False
        if scope.drive is None and file.owner != scope.owner:
            return False
        if not options.folders and not options.exclude_folders:
            return True
        above = {folder.id for folder in tree.above(file.parent)} | {tree.top}
        return not above.intersection(options.exclude_folders) and (
            not options.folders or bool(above.intersection(options.folders))
        )

    def documents(self, scope: Scope, file: DriveFile) -> Iterator[Item | Failure]:
        """A file as a document with its comments; a shortcut is kept for later, a folder is none."""
        if file.mime_type == SHORTCUT:
            if self._options.shortcuts and file.shortcut_details is not None:
                details = file.shortcut_details
                self._targets.append(Target(details.target_id, scope.account, details.target_resource_key))
        elif not file.is_folder:
            yield from self._document(scope, file)

    def linked(self) -> Iterator[Item | Failure]:
        """What the shortcuts that were met lead to, if no chosen drive holds it."""
        followed: set[str] = set()
        while self._targets:
            target = self._targets.popleft()
            if target.id in followed or target.id in self.seen:
                continue
            followed.add(target.id)
            api = self._workspace.as_account(target.account)
            try:
                file = read_file(api.file(target.id, key=target.key))
                if not file.trashed and self._is_outside(file):
                    yield from self._follow(file, target, api)
            except MissingEntityError:
                continue
            except RagError as error:
                yield self._failure(target.account, error, f"what a shortcut leads to ({target.id})")

    def linked_document(self, account: str, file: DriveFile) -> Iterator[Item | Failure]:
        """A file outside of the chosen drives that a shortcut is known to lead to."""
        self.seen.add(file.id)
        yield from self._document(_outside(account, file), file)

    def failure(self, scope: Scope, error: RagError, entity: str) -> Failure:
        """What failed of a drive; a login that is refused altogether is raised."""
        return self._failure(scope.account, error, entity)

    def _failure(self, account: str, error: RagError, entity: str) -> Failure:
        if isinstance(error, CredentialError):
            if account == self._workspace.logins.main:
                raise error
            error = ForbiddenEntityError(f"{account} cannot be asked: {error}")
        return Failure(error=error, entity=entity)

    def _is_outside(self, file: DriveFile) -> bool:
        if file.drive_id is not None:
            return file.drive_id not in self._workspace.drives
        return file.owner not in self._workspace.owners

    def _follow(self, file: DriveFile, target: Target, api: DriveApi) -> Iterator[Item | Failure]:
        outside = _outside(target.account, file)
        if not file.is_folder:
            self.seen.add(file.id)
            yield from self.documents(outside, file)
            return
        query = f"'{file.id}' in parents and trashed = false"
        for raw in api.files(query, FILE_FIELDS, file.drive_id):
            inner = read_file(raw)
            if inner.id in self.seen:
                continue
            if inner.is_folder:
                self._targets.append(Target(inner.id, target.account, inner.resource_key))
            elif self._is_outside(inner):
                self.seen.add(inner.id)
                yield from self.documents(outside, inner)

    def _document(self, scope: Scope, file: DriveFile) -> Iterator[Item | Failure]:
        token = file.token(self._options.docs_format)
        if refusal := self._refuse(file):
            yield Failure(error=refusal, external_id=file.external_id, token=token)
            return
        access: AccessRule | None = None
        if self._described:
            try:
                access = self._access(scope, file)
            except (ForbiddenEntityError, MissingEntityError) as error:
                access = CLOSED
                yield Failure(error=error, entity=f"access of {file.name}", hides_documents=False)
            except CredentialError:
                raise
            except RagError as error:
                yield Failure(error=error, external_id=file.external_id, token=token)
                return
        item = self._item(scope, file, token, access)
        yield item
        if self._options.comments:
            try:
                api = self._workspace.as_account(scope.account)
                yield from comments_of(item, api.comments(file.id))
            except RagError as error:
                yield self.failure(scope, error, f"comments on {file.name}")

    def _refuse(self, file: DriveFile) -> DocumentError | None:
        """Why a file can be no document, as far as its description tells."""
        exported = file.export_type(self._options.docs_format)
        if file.client_encryption_details and file.client_encryption_details.encryption_state == "encrypted":
            return EncryptedDocumentError(f"{file.name!r} is encrypted with a key that Drive does not have")
        if file.mime_type.startswith(EDITORS) and exported is None:
            kind = file.mime_type.removeprefix(EDITORS)
            return UnsupportedDocumentError(
                f"{file.name!r} is of Google's type {kind!r}, which Drive exports as nothing that holds its "
                "text; read are Docs, Sheets, Slides and uploaded files"
            )
        if exported is None and (file.size or 0) > self._options.max_bytes:
            limit = self._options.max_bytes
            return TooLargeDocumentError(
                f"{file.name!r} has {file.size:,} bytes; raise max_bytes (now {limit:,})"
            )
        return None

    def _access(self, scope: Scope, file: DriveFile) -> AccessRule:
        policy = self._policy
        members = [(policy.drive(scope.drive),)] if scope.drive and scope.members_only else []
        tree = self._trees.get(scope.key)
        if scope.drive is None or tree is None or not tree.reaches_top(file.parent):
            return rule_of(self._readers(scope, file), *members)
        container = tree.container(file.parent)
        let_in = policy.drive(scope.drive) if container is None else policy.folder(container.id)
        added: Iterable[str] = ()
        if file.has_own_permissions:
            added = policy.added(self._permissions(scope, file))
        return rule_of((let_in, *added), *members)

    def _readers(self, scope: Scope, file: DriveFile) -> Iterable[str]:
        """Everybody by a file's permissions alone; who sees it but not these is a reader, as is the owner."""
        if file.permissions is not None:
            return self._policy.readers(file.permissions)
        try:
            return self._policy.readers(self._permissions(scope, file))
        except ForbiddenEntityError:
            if file.drive_id is not None:
                raise
            return [self._policy.user(one) for one in (scope.owner, file.owner) if one]

    def _permissions(self, scope: Scope, file: DriveFile) -> list[Permission]:
        if file.id not in self._granted:
            self._granted = self._workspace.permissions(scope.account, [file.id])
        return told(self._granted.pop(file.id))

    def _item(self, scope: Scope, file: DriveFile, token: str, access: AccessRule | None) -> Item:
        exported = file.export_type(self._options.docs_format)
        tree = self._trees.get(scope.key)
        above = tree.above(file.parent) if tree is not None else []
        user = file.last_modifying_user or (file.owners[0] if file.owners else None)
        metadata: dict[str, Any] = {"type": file.mime_type, "drive": scope.name}
        if file.owner:
            metadata["owner"] = file.owner
        if labels := file.labels(self._options.labels):
            metadata["labels"] = labels
        return Item(
            external_id=file.external_id,
            token=token,
            load=partial(self._contents.load, scope.account, file),
            name=file.name,
            path="/".join([scope.name, *(one.name for one in reversed(above)), file.name]),
            url=file.web_view_link,
            title=file.name if exported else None,
            media_type=exported or file.mime_type,
            size=None if exported else file.size,
            modified_at=file.modified_time,
            author=(user.display_name or None) if user else None,
            access=access,
            metadata=metadata,
        )


def _blocks(files: Iterator[Json]) -> Iterator[list[Json]]:
    """Files in lists; what ends them too early is raised behind the last of them."""
    block: list[Json] = []
    try:
        for one in files:
            block.append(one)
            if len(block) == BLOCK:
                yield block
                block = []
    except RagError:
        yield block
        raise
    yield block


def _of(scope: Scope, query: str) -> str:
    """What a query finds of one drive: in My Drive only what its owner owns."""
    return query if scope.drive else _OWN + query


def _outside(account: str, file: DriveFile) -> Scope:
    """The place of a file that is in no chosen drive: of what is around it nothing is known."""
    return Scope(account, file.owner or file.drive_id or "Drive", owner=account, chosen=False)
