"""The requests to Drive and to the Admin Directory, as one account.

What belongs here: paths, parameters, paging, what a refusal means here. What does not: which account asks
(`login`), what is done with the answers.

`supportsAllDrives` and `includeItemsFromAllDrives` go with every call that knows them. A listing that says
`incompleteSearch` is not complete. A page token that is refused begins the listing anew; a token of the log
of changes that is refused (400, or 404 of a drive that is gone) is a `GoneError`
(developers.google.com/workspace/drive/api/guides/handle-errors).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from rag_pipelines.connectors.google_drive.files import FILE_FIELDS, PERMISSION_FIELDS, text_of
from rag_pipelines.connectors.google_drive.options import GoogleDriveOptions
from rag_pipelines.connectors.rest import RestClient, plain_params
from rag_pipelines.errors import GoneError, MissingEntityError, TransientError, UsageError

Json = dict[str, Any]

_ALL_DRIVES = {"supportsAllDrives": True}
_ITEMS_TOO = {**_ALL_DRIVES, "includeItemsFromAllDrives": True}
_COMMENT_FIELDS = (
    "nextPageToken,comments(id,author/displayName,content,createdTime,modifiedTime,deleted,"
    "quotedFileContent/value,replies(author/displayName,content,deleted))"
)


class DriveApi:
    """Drive as one account sees it. Methods raise the errors of `rag_pipelines.errors` only."""

    def __init__(self, client: RestClient, options: GoogleDriveOptions) -> None:
        self._client = client
        self._options = options
        self._labels = {"includeLabels": ",".join(options.labels)} if options.labels else {}

    def me(self) -> str:
        """The account's own address."""
        user = self._get("about", {"fields": "user(emailAddress)"}).get("user") or {}
        return str(user.get("emailAddress") or "").lower()

    def drives(self, *, as_admin: bool = False) -> Iterator[Json]:
        """Shared drives that the account is a member of, or all of the organisation."""
        params = {
            "useDomainAdminAccess": as_admin or None,
            "fields": "nextPageToken,drives(id,name,restrictions/driveMembersOnly)",
        }
        yield from self._pages("drives", {**params, "pageSize": min(self._options.page_size, 100)}, "drives")

    def files(self, query: str, fields: str, drive: str | None = None) -> Iterator[Json]:
        """What a query finds, in a shared drive or in what is the account's own; perhaps some of it twice.

        Raises `TransientError` behind the last file where Drive says that it did not search everything.
        """
        place = {"corpora": "drive", "driveId": drive} if drive else {"corpora": "user"}
        params = {
            **_ITEMS_TOO,
            **self._labels,
            **place,
            "q": query,
            "spaces": "drive",
            "pageSize": self._options.page_size,
            "fields": f"nextPageToken,incompleteSearch,files({self._labelled(fields)})",
        }
        yield from self._pages("files", params, "files")

    def file(self, id: str, fields: str = FILE_FIELDS, key: str | None = None) -> Json:
        """One file; `key` is the resource key that its link may need."""
        params = {**_ALL_DRIVES, **self._labels, "fields": self._labelled(fields)}
        return self._get(f"files/{quote(id, safe='')}", params, _keys(id, key))

    def permissions(self, id: str, *, as_admin: bool = False) -> Iterator[Json]:
        """Everything that is granted on a file, folder or shared drive, also what is inherited."""
        params = {
            **_ALL_DRIVES,
            "useDomainAdminAccess": as_admin or None,
            "pageSize": min(self._options.page_size, 100),
            "fields": f"nextPageToken,permissions({PERMISSION_FIELDS})",
        }
        yield from self._pages(f"files/{quote(id, safe='')}/permissions", params, "permissions")

    def comments(self, id: str) -> Iterator[Json]:
        """The comments on a file that were not deleted."""
        params = {"pageSize": min(self._options.page_size, 100), "fields": _COMMENT_FIELDS}
        for one in self._pages(f"files/{quote(id, safe='')}/comments", params, "comments"):
            if not one.get("deleted"):
                yield one

    def start_token(self, drive: str | None) -> str:
        """From where changes of a shared drive, or of what is the account's own, are followed from now on."""
        params = {**_ALL_DRIVES, "driveId": drive, "fields": "startPageToken"}
        return text_of(self._get("changes/startPageToken", params), "startPageToken")

    def changes(self, token: str, drive: str | None) -> Iterator[Json | str]:
        """The changes since `token`, and at last the token to follow from. Raises `GoneError`."""
        while True:
            params = {
                **_ITEMS_TOO,
                **self._labels,
                "driveId": drive,
                "pageToken": token,
                "includeRemoved": True,
                "spaces": "drive",
                "pageSize": self._options.page_size,
                "fields": "nextPageToken,newStartPageToken,"
                f"changes(changeType,removed,fileId,driveId,file({self._labelled(FILE_FIELDS)}))",
            }
            try:
                page = self._get("changes", params)
            except (UsageError, MissingEntityError) as error:
                raise GoneError(f"the log of changes cannot be followed any more: {error}") from error
            yield from page.get("changes") or ()
            following = page.get("nextPageToken")
            if not following:
                yield text_of(page, "newStartPageToken")
                return
            if following == token:
                raise TransientError(f"changes: the server repeats the page {token!r}")
            token = following

    def _labelled(self, fields: str) -> str:
        return f"{fields},labelInfo" if self._labels and fields == FILE_FIELDS else fields

    def content(self, id: str, max_bytes: int, size: int | None = None, key: str | None = None) -> bytes:
        """The bytes of a file."""
        path = self._path(f"files/{quote(id, safe='')}", {**_ALL_DRIVES, "alt": "media"})
        return self._bytes(path, max_bytes, size, _keys(id, key))

    def export(self, id: str, media_type: str, max_bytes: int, key: str | None = None) -> bytes:
        """A document of an editor as another type; Drive refuses more than 10 MB."""
        path = self._path(f"files/{quote(id, safe='')}/export", {"mimeType": media_type})
        return self._bytes(path, max_bytes, None, _keys(id, key))

    def download(self, url: str, max_bytes: int) -> bytes:
        """What an export link leads to."""
        return self._client.get_bytes(url, max_bytes)

    def _bytes(self, path: str, max_bytes: int, size: int | None, headers: Mapping[str, str]) -> bytes:
        if not headers:
            return self._client.get_bytes(path, max_bytes, size)
        accept = {"Accept": "*/*", **headers}
        return self._client.get_response(path, headers=accept, max_bytes=max_bytes).content

    def _pages(self, path: str, params: Mapping[str, Any], results: str) -> Iterator[Json]:
        token: str | None = None
        seen: set[str] = set()
        restarted, complete = False, True
        while True:
            try:
                page = self._get(path, {**params, "pageToken": token})
            except UsageError:
                if token is None or restarted:
                    raise
                token, restarted = None, True
                seen.clear()
                continue
            complete = complete and not page.get("incompleteSearch")
            yield from page.get(results) or ()
            token = page.get("nextPageToken")
            if not token:
                break
            if token in seen:
                raise TransientError(f"{path}: the server repeats a page; the listing is not complete")
            seen.add(token)
        if not complete:
            raise TransientError(f"{path}: Drive did not search everything (incompleteSearch)")

    def _path(self, path: str, params: Mapping[str, Any]) -> str:
        return f"drive/v3/{path}?{urlencode(plain_params({**params, 'quotaUser': self._options.quota_user}))}"

    def _get(self, path: str, params: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Json:
        given = {**params, "quotaUser": self._options.quota_user}
        return _mapping(self._client.get_json(f"drive/v3/{path}", given, headers), path)


class DirectoryApi:
    """The Admin Directory as an administrator sees it."""

    def __init__(self, client: RestClient, options: GoogleDriveOptions) -> None:
        self._client = client
        self._options = options

    def users(self) -> Iterator[Json]:
        """Every account of the organisation, also those that are suspended."""
        fields = "nextPageToken,users(primaryEmail,name/fullName,suspended,archived,aliases)"
        yield from self._pages("users", {"customer": "my_customer", "fields": fields}, "users", 500)

    def groups(self) -> Iterator[Json]:
        fields = "nextPageToken,groups(email,name,aliases)"
        yield from self._pages("groups", {"customer": "my_customer", "fields": fields}, "groups", 200)

    def members(self, group: str) -> Iterator[Json]:
        """Who is in a group directly: people, and groups."""
        path = f"groups/{quote(group, safe='')}/members"
        yield from self._pages(path, {"fields": "nextPageToken,members(email,type,status)"}, "members", 200)

    def _pages(self, path: str, params: Mapping[str, Any], results: str, most: int) -> Iterator[Json]:
        token: str | None = None
        seen: set[str] = set()
        size = min(self._options.page_size, most)
        while True:
            given = {**params, "maxResults": size, "pageToken": token, "quotaUser": self._options.quota_user}
            page = _mapping(self._client.get_json(f"admin/directory/v1/{path}", given), path)
            yield from page.get(results) or ()
            token = page.get("nextPageToken")
            if not token:
                return
            if token in seen:
                raise TransientError(f"{path}: the server repeats a page; the listing is not complete")
            seen.add(token)


def _mapping(answer: Any, path: str) -> Json:
    if not isinstance(answer, dict):
        raise TransientError(f"{path} answered with {type(answer).__name__} instead of an object")
    return answer


def _keys(id: str, key: str | None) -> dict[str, str]:
    """developers.google.com/workspace/drive/api/guides/resource-keys"""
    return {"X-Goog-Drive-Resource-Keys": f"{id}/{key}"} if key else {}
