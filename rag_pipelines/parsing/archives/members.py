"""The files in an archive, format by format, none unpacked before it is asked for.

What belongs here: opening ZIP, 7z, TAR and compressed files, and the sizes that they claim. What does not:
what becomes of the members (`parse`). Links, devices and empty files are no members.

7z needs py7zr (LGPL, an extra). Formats without a free reader (RAR) are named where they are recognised.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import IO, Any, NamedTuple

from rag_pipelines.errors import (
    CorruptDocumentError,
    EncryptedDocumentError,
    TooLargeDocumentError,
    UnsupportedDocumentError,
)
from rag_pipelines.parsing import encoding
from rag_pipelines.parsing.base import ParseLimits, ParseRequest
from rag_pipelines.parsing.signatures import BZIP2, GZIP, SEVEN_ZIP, TAR, XZ, ZIP, ZSTD
from rag_pipelines.parsing.zip_package import MAX_ENTRIES

MAX_RATIO = 200
RATIO_FROM = 10_000_000
"""Text shrinks to a tenth, logs to a hundredth. What unpacks to more than so many bytes, and more than so
many times its size, was made to fill a disk."""

_IS_UTF8, _IS_ENCRYPTED = 0x800, 0x1
_TAR_MAGIC = slice(257, 262)
_CHUNK = 1 << 20
_ENDINGS = {".tgz": ".tar", ".tbz2": ".tar", ".txz": ".tar", ".gz": "", ".bz2": "", ".xz": "", ".zst": ""}
_FAULTS = (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, NotImplementedError)


class Member(NamedTuple):
    """A file in an archive: its path, its size unpacked as the archive claims, and how to unpack it.

    `problem` says why it cannot be.
    """

    name: str
    size: int
    read: Callable[[], bytes]
    problem: str = ""


def check_unpacked(packed: int, unpacked: int, limits: ParseLimits) -> None:
    """Whether so many bytes may come of an archive of `packed` bytes.

    Raises:
        TooLargeDocumentError: more than `limits.max_expansion_bytes`, or than `MAX_RATIO` times its size.
    """
    if unpacked > limits.max_expansion_bytes:
        raise TooLargeDocumentError(
            f"the archive of {packed:,} bytes unpacks to {unpacked:,} or more; "
            f"raise limits.max_expansion_bytes ({limits.max_expansion_bytes:,}) to accept it"
        )
    if unpacked > max(RATIO_FROM, MAX_RATIO * packed):
        raise TooLargeDocumentError(
            f"the archive of {packed:,} bytes unpacks to {unpacked:,} or more, over {MAX_RATIO} times its "
            "size, as no documents do; put its files into the source unpacked to accept them"
        )


def members_of(request: ParseRequest, media_type: str) -> Iterator[Member]:
    """The members of an archive in its order.

    Raises:
        DocumentError: of the class that says why it cannot be opened.
    """
    try:
        if media_type == ZIP:
            yield from _of_zip(request.data)
        elif media_type == SEVEN_ZIP:
            yield from _of_seven_zip(request)
        elif media_type == TAR:
            yield from _of_tar(io.BytesIO(request.data))
        else:
            yield from _of_compressed(request, media_type)
    except (tarfile.TarError, zipfile.BadZipFile, *_FAULTS) as error:
        raise CorruptDocumentError(f"an archive that cannot be read: {error}") from error


def _of_zip(data: bytes) -> Iterator[Member]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir() and entry.file_size]
        if len(entries) > MAX_ENTRIES:
            raise TooLargeDocumentError(
                f"the archive holds {len(entries):,} files; at most {MAX_ENTRIES:,} are listed"
            )
        if entries and all(entry.flag_bits & _IS_ENCRYPTED for entry in entries):
            raise EncryptedDocumentError("the files in the archive are encrypted with a password")
        for entry in entries:
            name = entry.filename
            if not entry.flag_bits & _IS_UTF8 and not name.isascii():
                name = encoding.decode(name.encode("cp437", "replace"))
            yield Member(
                name.replace("\\", "/"),
                entry.file_size,
                lambda entry=entry: archive.read(entry),  # type: ignore[misc]
                "it is encrypted with a password" if entry.flag_bits & _IS_ENCRYPTED else "",
            )


def _of_tar(file: IO[bytes]) -> Iterator[Member]:
    with tarfile.open(fileobj=file, mode="r:") as archive:
        for entry in archive:
            if entry.isfile() and entry.size:

                def read(entry: tarfile.TarInfo = entry) -> bytes:
                    content = archive.extractfile(entry)
                    return content.read() if content else b""

                yield Member(entry.name.removeprefix("./"), entry.size, read)


def _of_seven_zip(request: ParseRequest) -> Iterator[Member]:
    try:
        import py7zr
        from py7zr.io import BytesIOFactory
    except ImportError as error:
        raise UnsupportedDocumentError(
            "a 7-Zip archive, which is read with a package that is not installed: "
            "pip install 'rag-pipelines[archives]'"
        ) from error
    try:
        with py7zr.SevenZipFile(io.BytesIO(request.data)) as archive:
            if archive.needs_password():
                raise EncryptedDocumentError("the archive is encrypted with a password")
            listed = [one for one in archive.list() if one.is_file and one.uncompressed]
            check_unpacked(len(request.data), sum(one.uncompressed for one in listed), request.limits)
            unpacked = BytesIOFactory(request.limits.max_expansion_bytes)
            archive.extractall(factory=unpacked)
    except py7zr.exceptions.PasswordRequired as error:
        raise EncryptedDocumentError("the archive is encrypted with a password") from error
    except py7zr.exceptions.ArchiveError as error:
        raise CorruptDocumentError(f"a 7-Zip archive that cannot be read: {error}") from error
    for one in listed:
        content = unpacked.products.get(one.filename)
        if content is not None:
            content.seek(0)
            yield Member(one.filename, one.uncompressed, content.read)


def _of_compressed(request: ParseRequest, media_type: str) -> Iterator[Member]:
    """The members of a TAR that was compressed, or the one file."""
    with _OPENERS[media_type](io.BytesIO(request.data)) as stream:
        content = _unpack(stream, request)
    name = request.name.replace("\\", "/").rpartition("/")[2]
    for ending, without in _ENDINGS.items():
        if name.lower().endswith(ending):
            name = name[: -len(ending)] + without
            break
    if content[_TAR_MAGIC] == b"ustar":
        yield from _of_tar(io.BytesIO(content))
    elif content:
        yield Member(name or "content", len(content), lambda: content)


def _unpack(stream: IO[bytes], request: ParseRequest) -> bytes:
    """What a stream unpacks to, as long as it is within the limits."""
    out = bytearray()
    while chunk := stream.read(_CHUNK):
        out += chunk
        check_unpacked(len(request.data), len(out), request.limits)
    return bytes(out)


def _zstd(file: IO[bytes]) -> Any:
    from backports import zstd

    return zstd.ZstdFile(file)


_OPENERS: dict[str, Callable[[IO[bytes]], Any]] = {
    GZIP: partial(gzip.open, mode="rb"),
    BZIP2: partial(bz2.open, mode="rb"),
    XZ: partial(lzma.open, mode="rb"),
    ZSTD: _zstd,
}
