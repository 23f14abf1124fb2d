"""The two kinds of folder tree that the filesystem connector reads: local folders, and fsspec URLs.

What belongs here: listing one folder, reading one file, and mapping what goes wrong to our errors.
What does not: which files are wanted, access, items (`filesystem` does those). fsspec is imported
for URLs only, so that listing a local folder stays fast.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import unquote, urlsplit

from rag_pipelines.connectors.paths import join_url
from rag_pipelines.connectors.times import read_time
from rag_pipelines.errors import (
    ConfigError,
    FetchError,
    ForbiddenEntityError,
    RagError,
    TooLargeDocumentError,
    TransientError,
    UsageError,
)
from rag_pipelines.fingerprint import fingerprint
from rag_pipelines.http.object_stores import DRIVER_OPTIONS, store_error

_S3 = ("s3", "s3a")
_AZURE = ("az", "abfs", "abfss")

EXTRAS = {
    "s3": "s3",
    "s3a": "s3",
    "gs": "gcs",
    "gcs": "gcs",
    "abfs": "azure",
    "abfss": "azure",
    "az": "azure",
}
"""URL scheme to the extra of rag-pipelines that brings its fsspec driver."""


class TreeEntry(NamedTuple):
    """One entry of a folder.

    `target` is where a link leads, relative to the root; `error` is why the entry cannot be used.
    `left_out` marks what is never a document: links out of the root, pipes, sockets, devices.
    """

    name: str
    is_folder: bool = False
    size: int = 0
    token: str = ""
    modified_at: datetime | None = None
    target: str | None = None
    error: RagError | None = None
    left_out: bool = False


class FileTree(Protocol):
    """A folder tree. Paths are relative to its root, with slashes; "" is the root."""

    @property
    def waits(self) -> bool:
        """Whether a read waits for a network, and several threads may wait at once."""
        ...

    def list(self, folder: str) -> list[TreeEntry]:
        """The entries of `folder` in no order. Raises a `RagError` where they cannot be seen."""
        ...

    def read(self, path: str, max_bytes: int) -> bytes | None:
        """The content of a file; None where there is nothing. Raises a `RagError` where it cannot be read."""
        ...

    def is_linked(self, folder: str) -> bool:
        """Whether a link is on the way from the root to `folder`."""
        ...

    def url(self, path: str) -> str:
        """The URL of a file."""
        ...


def open_tree(root: str, storage_options: Mapping[str, Any]) -> FileTree:
    """The tree at `root`, a path or a URL. Raises `ConfigError` when its driver is missing."""
    scheme, separator, _ = root.partition("://")
    if not separator:
        return LocalTree(root)
    if scheme == "file":
        return LocalTree(unquote(urlsplit(root).path))
    return FsspecTree(root, storage_options)


class LocalTree:
    """A folder of this machine.

    A link is followed only while its target lies inside the root, when listing and again when
    reading. `links_outside` counts the links that lead out.
    """

    waits = False

    def __init__(self, root: str) -> None:
        self.root = os.path.realpath(os.path.expanduser(root))
        self._url = Path(self.root).as_uri()
        self.links_outside = 0

    def list(self, folder: str) -> list[TreeEntry]:
        found = []
        try:
            with os.scandir(self._full(folder)) as entries:
                for entry in entries:
                    try:
                        one = self._link(entry) if entry.is_symlink() else self._plain(entry)
                    except FileNotFoundError:
                        continue
                    except OSError as error:
                        one = TreeEntry(entry.name, error=_local_error(error, entry.path))
                    found.append(one)
        except OSError as error:
            raise _local_error(error, self._full(folder)) from error
        return found

    def read(self, path: str, max_bytes: int) -> bytes | None:
        full = self._full(path)
        if self._relative(os.path.realpath(full)) is None:
            raise ForbiddenEntityError(
                f"{full!r} leads out of {self.root!r}; links are followed inside the root only"
            )
        try:
            # Not blocking: a pipe put in the file's place must not stop the run.
            descriptor = os.open(full, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            with open(descriptor, "rb") as file:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise FetchError(f"{full!r} is not a regular file any more")
                data = file.read(max_bytes + 1)
        except OSError as error:
            if isinstance(error, FileNotFoundError) and not os.path.lexists(full):
                return None
            raise _local_error(error, full) from error
        if len(data) > max_bytes:
            raise TooLargeDocumentError(f"{full!r} has grown above max_bytes = {max_bytes:,}")
        return data

    def is_linked(self, folder: str) -> bool:
        full = self._full(folder)
        return os.path.realpath(full) != full

    def url(self, path: str) -> str:
        return join_url(self._url, path)

    def _full(self, path: str) -> str:
        return f"{self.root}/{path}" if path else self.root

    def _relative(self, real: str) -> str | None:
        """`real` relative to the root, or None when it lies outside."""
        if real == self.root:
            return ""
        prefix = self.root if self.root.endswith("/") else f"{self.root}/"
        return real.removeprefix(prefix) if real.startswith(prefix) else None

    def _plain(self, entry: os.DirEntry[str]) -> TreeEntry:
        if entry.is_dir(follow_symlinks=False):
            return TreeEntry(entry.name, True)
        if not entry.is_file(follow_symlinks=False):
            return TreeEntry(entry.name, left_out=True)
        return _local_file(entry.name, entry.stat(follow_symlinks=False), None)

    def _link(self, entry: os.DirEntry[str]) -> TreeEntry:
        target = self._relative(os.path.realpath(entry.path))
        if target is None:
            self.links_outside += 1
            return TreeEntry(entry.name, left_out=True)
        try:
            status = os.stat(entry.path)
        except OSError as error:
            return TreeEntry(
                entry.name, error=FetchError(f"the link {entry.path!r} leads nowhere: {error.strerror}")
            )
        if stat.S_ISDIR(status.st_mode):
            return TreeEntry(entry.name, True, target=target)
        if not stat.S_ISREG(status.st_mode):
            return TreeEntry(entry.name, left_out=True)
        return _local_file(entry.name, status, target)


def _local_file(name: str, status: os.stat_result, target: str | None) -> TreeEntry:
    modified_at = datetime.fromtimestamp(status.st_mtime_ns // 1_000 / 1_000_000, UTC)
    token = f"{status.st_size}-{status.st_mtime_ns}-{status.st_ctime_ns}"
    return TreeEntry(name, False, status.st_size, token, modified_at, target)


def _local_error(error: OSError, full: str) -> RagError:
    if isinstance(error, PermissionError):
        return ForbiddenEntityError(
            f"no permission to read {full!r}; grant it to the user who runs the ingest"
        )
    if isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError):
        return FetchError(f"{full!r} is gone or of another kind: {error.strerror}")
    return TransientError(f"{full!r} cannot be read: {error}")


_STRONG_TOKENS = ("ETag", "etag", "md5Hash", "content_md5", "checksum", "generation")
_TIMES = ("LastModified", "last_modified", "updated", "mtime", "modified", "created")


class FsspecTree:
    """A folder behind any fsspec URL (``s3://``, ``gs://``, ``abfs://``, ``memory://``).

    The token is the store's own etag or checksum where it has one, else size and time of change.
    """

    def __init__(self, root: str, storage_options: Mapping[str, Any]) -> None:
        import fsspec

        self._scheme = scheme = root.partition("://")[0]
        try:
            options = {**DRIVER_OPTIONS.get(scheme, {}), **storage_options}
            self._fs, self._root = fsspec.core.url_to_fs(root, **options)
        except ImportError as error:
            extra = EXTRAS.get(scheme)
            advice = f"run: pip install 'rag-pipelines[{extra}]'" if extra else str(error)
            raise ConfigError(f"{scheme}:// needs a driver that is not installed; {advice}") from error
        except (ValueError, TypeError) as error:
            raise ConfigError(f"root {root!r} cannot be opened: {error}; see storage_options") from error
        except Exception as error:
            # Some drivers connect at once.
            raise store_error(error, root) from error
        self._url = root.rstrip("/")
        self.waits = bool(self._fs.async_impl)
        """Drivers that are not (``smb://``, ``ftp://``) hold one connection that threads may not share."""

    def list(self, folder: str) -> list[TreeEntry]:
        full = self._full(folder)
        try:
            # Said to the driver here: an option to keep no listings is unknown to some (sftp).
            self._fs.invalidate_cache()
            infos = self._fs.ls(full, detail=True)
        except Exception as error:
            raise store_error(error, self._place(folder)) from error
        return [entry for info in infos if (entry := self._entry(folder, full, info)) is not None]

    def _entry(self, folder: str, full: str, info: Mapping[str, Any]) -> TreeEntry | None:
        """One entry of a listing; None for the marker of the folder itself, an object named like it."""
        path = str(info["name"])
        is_folder = info["type"] == "directory"
        name = path.rstrip("/").rpartition("/")[2]
        if path.strip("/") != full.strip("/"):
            return TreeEntry(name, True) if is_folder else _object(name, info)
        if is_folder and path.endswith("/"):
            error = FetchError(
                f"what is below {self._place(folder)}// cannot be listed, as its folder has no name; "
                "give these objects keys without two slashes in a row"
            )
            return TreeEntry("/", error=error)
        if not path.endswith("/") and not is_folder:
            raise FetchError(f"{self._place(folder)!r} is a file, not a folder; name the folder above it")
        return None

    def read(self, path: str, max_bytes: int) -> bytes | None:
        try:
            # The whole object, not a range: stores refuse a range of an empty one.
            data = self._fs.cat_file(self._full(path))
        except FileNotFoundError:
            return None
        except Exception as error:
            raise store_error(error, self.url(path)) from error
        if len(data) > max_bytes:
            raise TooLargeDocumentError(f"{self.url(path)!r} has grown above max_bytes = {max_bytes:,}")
        return data

    def stat(self, path: str) -> TreeEntry | None:
        """The entry of one file; None where there is none. Raises a `RagError` where it cannot be seen."""
        try:
            self._fs.invalidate_cache()
            info = self._fs.info(self._full(path))
        except FileNotFoundError:
            return None
        except Exception as error:
            raise store_error(error, self.url(path)) from error
        return _object(path.rpartition("/")[2], info) if info["type"] == "file" else None

    def named(self, name: str) -> str | None:
        """The path of the object that an event names (`triggers.messages`); None for one not below the root.

        Raises `UsageError` where that cannot be told: another bucket's name may be an alias of this one, and
        what is escaped in one event's address is plain in another's.
        """
        bucket, _, above = self._root.strip("/").partition("/")
        said = name if self._scheme in _S3 else ""
        if self._scheme in _AZURE and "%" not in name:
            said = urlsplit(name).path.lstrip("/")
        named, _, key = said.partition("/")
        if named != bucket or not all(part not in ("", ".", "..") for part in key.rstrip("/").split("/")):
            raise UsageError(f"{name!r} is no object of {self._url}")
        if above and not key.startswith(f"{above}/"):
            return None
        return key.removeprefix(f"{above}/") if above else key

    def is_linked(self, folder: str) -> bool:
        return False

    def url(self, path: str) -> str:
        return f"{self._url}/{path}"

    def _full(self, path: str) -> str:
        return f"{self._root.rstrip('/')}/{path}" if path else self._root

    def _place(self, folder: str) -> str:
        return self.url(folder) if folder else self._url


def _object(name: str, info: Mapping[str, Any]) -> TreeEntry:
    size = int(info.get("size") or 0)
    modified_at = next((moment for key in _TIMES if (moment := _moment(info.get(key))) is not None), None)
    strong = next((str(info[key]) for key in _STRONG_TOKENS if info.get(key)), None)
    if strong is None and modified_at is None:
        strong = fingerprint(dict(info))
    token = strong.strip('"') if strong else f"{size}-{modified_at.isoformat()}"  # type: ignore[union-attr]
    return TreeEntry(name, False, size, token, modified_at)


def _moment(value: Any) -> datetime | None:
    """A driver's time of change in UTC (a datetime, seconds since 1970, ISO 8601), or None."""
    try:
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value, UTC)
        if isinstance(value, str):
            return read_time(value)
        if isinstance(value, datetime):
            return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError):
        pass
    return None
