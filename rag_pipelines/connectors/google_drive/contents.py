"""The bytes of files and the text of comments.

What belongs here: loading. What does not: which files there are (`listing`).

What an editor of Google's holds is exported. `files.export` refuses what is larger than 10 MB exported, which
no description tells before; then the export link that the file's description holds is followed, which has no
such limit. Everything is read up to `max_bytes` and no further.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rag_pipelines.connectors.base import Item
from rag_pipelines.connectors.children import child_of
from rag_pipelines.connectors.google_drive.api import DriveApi, Json
from rag_pipelines.connectors.google_drive.files import DriveFile
from rag_pipelines.connectors.google_drive.login import Logins
from rag_pipelines.connectors.google_drive.options import GoogleDriveOptions
from rag_pipelines.errors import (
    CredentialError,
    FetchError,
    ForbiddenEntityError,
    GoneError,
    MissingEntityError,
    RagError,
    TooLargeDocumentError,
    TransientError,
    UsageError,
)

COMMENT = "comment"


class Contents:
    """Loads files; threads share it."""

    def __init__(self, logins: Logins, options: GoogleDriveOptions) -> None:
        self._logins = logins
        self._options = options

    def load(self, account: str, file: DriveFile) -> bytes:
        """The bytes of one file. Raises what `Item.load` may raise."""
        api = DriveApi(self._logins.drive(account), self._options)
        exported = file.export_type(self._options.docs_format)
        try:
            if exported is not None:
                return self._export(api, file, exported)
            return api.content(file.id, self._options.max_bytes, file.size, file.resource_key)
        except (MissingEntityError, GoneError, UsageError) as error:
            raise FetchError(f"{file.name!r} was listed and cannot be read: {error}") from error
        except CredentialError as error:
            if account == self._logins.main:
                raise
            raise FetchError(f"{file.name!r} cannot be read as {account}: {error}") from error

    def _export(self, api: DriveApi, file: DriveFile, media_type: str) -> bytes:
        limit = self._options.max_bytes
        try:
            return api.export(file.id, media_type, limit, file.resource_key)
        except ForbiddenEntityError as refused:
            links = api.file(file.id, "exportLinks", file.resource_key).get("exportLinks") or {}
            if media_type not in links:
                raise _too_large(file, refused) from refused
            try:
                return api.download(str(links[media_type]), limit)
            except (TransientError, TooLargeDocumentError):
                raise
            except RagError:
                raise _too_large(file, refused) from refused


def comments_of(item: Item, comments: Iterable[Json]) -> Iterator[Item]:
    """The comments on a file as documents of their own, each with its replies."""
    for one in comments:
        text = _text(one)
        yield child_of(
            item,
            COMMENT,
            str(one["id"]),
            name=f"Comment {one['id']}",
            token=str(one.get("modifiedTime") or one.get("createdTime") or ""),
            load=lambda text=text: text.encode(),  # type: ignore[misc]
            media_type="text/plain",
            title=f"Comment on {item.name}",
            author=(one.get("author") or {}).get("displayName"),
        )


def _text(comment: Json) -> str:
    lines = []
    if quoted := (comment.get("quotedFileContent") or {}).get("value"):
        lines.append(f"“{quoted}”")
    for one in (comment, *(comment.get("replies") or ())):
        if one.get("content") and not one.get("deleted"):
            who = (one.get("author") or {}).get("displayName")
            lines.append(f"{who}: {one['content']}" if who else str(one["content"]))
    return "\n\n".join(lines)


def _too_large(file: DriveFile, refused: ForbiddenEntityError) -> RagError:
    if "too large" not in str(refused):
        return refused
    return TooLargeDocumentError(
        f"{file.name!r} is larger than the 10 MB that Drive exports, and it has no other way out: {refused}; "
        "split it, or keep it as an uploaded file"
    )
