"""The blob store: raw bytes and parsed blocks, immutable, compressed, addressed by content.

What belongs here: putting and getting bytes under a folder URL. What does not: what the bytes mean.
An object's name is its kind and the SHA-256 of its uncompressed content; writing it twice is a no-op,
and a half-written object is never visible under its name.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol
from uuid import uuid4

from backports import zstd

from rag_pipelines.errors import (
    ConfigError,
    CredentialError,
    ForbiddenEntityError,
    MissingContentError,
    RagError,
    UsageError,
)
from rag_pipelines.fingerprint import sha256
from rag_pipelines.http.object_stores import DRIVER_OPTIONS, store_error

if TYPE_CHECKING:
    from rag_pipelines.config.settings import Settings

Kind = Literal["raw", "blocks"]

COMPRESSION_LEVEL = 1
"""zstd level 1: above 200 MB/s on one core; the pipeline is bound by it nowhere."""


REMOTE_THREADS = 16
"""Objects written to a remote store at once; a local folder is quicker without threads."""


class _Folder(Protocol):
    def exists(self, name: str) -> bool: ...
    def write(self, name: str, data: bytes) -> None: ...
    def read(self, name: str) -> bytes: ...
    def delete(self, name: str) -> None: ...
    def names(self, prefix: str) -> Iterator[str]: ...


class BlobStore:
    """Content-addressed objects under `url` (a path, ``file://``, ``s3://``, ``gs://``, ``abfs://``, ``memory://``).

    `options` are passed to the fsspec driver. Safe to use from several threads. Raises `TransientError` when
    the store cannot be reached, and `CredentialError` when it does not let us in.
    """

    def __init__(self, url: str, options: Mapping[str, Any] | None = None) -> None:
        self.url = url
        self._options = dict(options or {})
        self._of_thread = threading.local()

    @classmethod
    def of(cls, settings: Settings) -> BlobStore:
        """The store that a configuration names."""
        return cls(settings.blobs_url, settings.blobs.driver_options)

    @cached_property
    def _folder(self) -> _Folder:
        if "://" not in self.url or self.url.startswith("file://"):
            return _LocalFolder(Path(self.url.removeprefix("file://")))
        return _RemoteFolder(self.url, self._options)

    def put(self, kind: Kind, data: bytes) -> bytes:
        """Store `data`; returns its SHA-256 (32 bytes)."""
        digest = sha256(data)
        name = _name(kind, digest)
        if not self._folder.exists(name):
            self._folder.write(name, self._compress(data))
        return digest

    def _compress(self, data: bytes) -> bytes:
        """One frame; a new compressor for each would take as long as a short document."""
        compressor = getattr(self._of_thread, "compressor", None)
        if compressor is None:
            compressor = self._of_thread.compressor = zstd.ZstdCompressor(level=COMPRESSION_LEVEL)
        return compressor.compress(data, mode=zstd.ZstdCompressor.FLUSH_FRAME)

    def put_all(self, kind: Kind, contents: Sequence[bytes]) -> list[bytes]:
        """Store many objects; returns their SHA-256 in order. To a remote store several threads write."""
        if isinstance(self._folder, _LocalFolder) or len(contents) < 2:
            return [self.put(kind, data) for data in contents]
        with ThreadPoolExecutor(REMOTE_THREADS) as threads:
            return list(threads.map(partial(self.put, kind), contents))

    def get(self, kind: Kind, digest: bytes) -> bytes:
        """The content whose SHA-256 is `digest`; raises `MissingContentError`."""
        name = _name(kind, digest)
        try:
            data = zstd.decompress(self._folder.read(name))
        except FileNotFoundError as error:
            raise MissingContentError(
                f"the object {name} is not in {self.url}; the next run fetches it again"
            ) from error
        except zstd.ZstdError as error:
            raise MissingContentError(f"the object {name} in {self.url} is damaged: {error}") from error
        if sha256(data) != digest:
            raise MissingContentError(f"the object {name} in {self.url} does not hold what its name says")
        return data

    def holds(self, kind: Kind, digest: bytes) -> bool:
        """Whether an object is there."""
        return self._folder.exists(_name(kind, digest))

    def delete(self, kind: Kind, digest: bytes) -> None:
        """Remove an object; no error when it is not there."""
        self._folder.delete(_name(kind, digest))

    def digests(self, kind: Kind) -> Iterator[bytes]:
        """The addresses of every stored object of a kind."""
        for name in self._folder.names(kind):
            yield bytes.fromhex(name.rsplit("/", 1)[-1].removesuffix(".zst"))


def _name(kind: Kind, digest: bytes) -> str:
    text = digest.hex()
    return f"{kind}/{text[:2]}/{text}.zst"


class _LocalFolder:
    """Plain file calls: fsspec costs more per object than the object, and paths as objects a part of it."""

    def __init__(self, root: Path) -> None:
        self._root = os.path.abspath(root)
        self._made: set[str] = set()

    def exists(self, name: str) -> bool:
        return os.path.exists(f"{self._root}/{name}")

    def write(self, name: str, data: bytes) -> None:
        path = f"{self._root}/{name}"
        folder = os.path.dirname(path)
        if folder not in self._made:
            try:
                os.makedirs(folder, exist_ok=True)
            except OSError as error:
                raise UsageError(
                    f"{folder} cannot be written to: {error.strerror}; set data_dir or blobs.url to a folder "
                    "that can"
                ) from error
            self._made.add(folder)
        temporary = f"{folder}/.tmp-{uuid4().hex}"
        try:
            with open(temporary, "xb", opener=_open_private) as file:
                file.write(data)
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    def read(self, name: str) -> bytes:
        with open(f"{self._root}/{name}", "rb") as file:
            return file.read()

    def delete(self, name: str) -> None:
        Path(self._root, name).unlink(missing_ok=True)

    def names(self, prefix: str) -> Iterator[str]:
        for path in Path(self._root, prefix).glob("*/*.zst"):
            yield path.relative_to(self._root).as_posix()


def _open_private(path: str, flags: int) -> int:
    """For the owner alone, as temporary files are."""
    return os.open(path, flags, 0o600)


class _RemoteFolder:
    """Any other store, through fsspec. Object stores make an object visible only when it is whole."""

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        import fsspec

        told = {**DRIVER_OPTIONS.get(url.partition("://")[0], {}), **options}
        try:
            filesystem, self._root = fsspec.core.url_to_fs(url, **told)
        except ImportError as error:
            raise RagError(f"the blob store {url} needs a package that is missing: {error}") from error
        except (ValueError, TypeError) as error:
            raise ConfigError(
                f"the blob store {url} cannot be opened: {error}; see blobs.storage_options"
            ) from error
        except Exception as error:
            # Some drivers connect at once.
            raise _blob_error(error, url) from error
        self._filesystem: Any = filesystem

    def exists(self, name: str) -> bool:
        # Else a driver answers from an old listing, and an object that another process deleted is not
        # written again.
        self._filesystem.invalidate_cache()
        return bool(self._call("exists", f"{self._root}/{name}"))

    def write(self, name: str, data: bytes) -> None:
        self._call("pipe_file", f"{self._root}/{name}", data)

    def read(self, name: str) -> bytes:
        return bytes(self._call("cat_file", f"{self._root}/{name}"))

    def delete(self, name: str) -> None:
        if self.exists(name):
            self._call("rm_file", f"{self._root}/{name}")

    def names(self, prefix: str) -> Iterator[str]:
        self._filesystem.invalidate_cache()
        try:
            found = self._call("find", f"{self._root}/{prefix}")
        except FileNotFoundError:
            return
        for path in found:
            if str(path).endswith(".zst"):
                yield str(path)[len(str(self._root)) + 1 :]

    def _call(self, method: str, *args: Any) -> Any:
        try:
            return getattr(self._filesystem, method)(*args)
        except FileNotFoundError:
            raise
        except Exception as error:
            raise _blob_error(error, f"{self._root}: {method}") from error


def _blob_error(error: Exception, where: str) -> RagError:
    """What a store's error means here: it holds what every document needs, so a refusal stops the run."""
    found = store_error(error, where)
    if isinstance(found, ForbiddenEntityError):
        return CredentialError(f"blob store: {found}; it needs to list, read, write and delete")
    return type(found)(f"blob store: {found}")
