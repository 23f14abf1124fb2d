"""OLE2 containers, in which the binary Office formats keep their streams; opened with olefile.

What belongs here: streams, document properties, and the file that an embedded object is. What does not: the
content of a stream.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from rag_pipelines.errors import CorruptDocumentError
from rag_pipelines.parsing import encoding

if TYPE_CHECKING:
    from olefile import OleFileIO

_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_NATIVE = "\x01Ole10Native"
_DOCUMENTS = ("WordDocument", "Workbook", "Book", "PowerPoint Document", "__properties_version1.0")
_WRAPPED = ("Package", "EmbeddedOdf", "CONTENTS")

_NO_DATE = datetime(1601, 1, 1)
"""How a FILETIME of 0 reads: the property is there but was never set."""


@contextmanager
def open_ole(data: bytes) -> Iterator[OleFileIO]:
    """The container in `data`.

    Raises:
        CorruptDocumentError: olefile cannot open it.
    """
    import olefile

    try:
        container = olefile.OleFileIO(io.BytesIO(data))
    except (OSError, ValueError, IndexError) as error:
        raise CorruptDocumentError(f"an OLE2 container that cannot be opened: {error}") from error
    with container:
        yield container


def read_stream(container: OleFileIO, name: str) -> bytes:
    """The bytes of a stream.

    Raises:
        CorruptDocumentError: it is missing or cut short.
    """
    try:
        with container.openstream(name) as stream:
            data: bytes = stream.read()
    except OSError as error:
        raise CorruptDocumentError(f"the stream {name!r} cannot be read: {error}") from error
    return data


def document_properties(container: OleFileIO) -> dict[str, Any]:
    """What the document says about itself: title, author, subject, keywords, created, modified (ISO 8601)."""
    found = container.get_metadata()
    values = {
        "title": found.title,
        "author": found.author,
        "subject": found.subject,
        "keywords": found.keywords,
        "created": found.create_time,
        "modified": found.last_saved_time,
    }
    return {name: text for name, value in values.items() if (text := _as_text(value))}


class EmbeddedFile(NamedTuple):
    """A file inside an office document."""

    name: str
    data: bytes


def embedded_file(data: bytes, name: str) -> EmbeddedFile | None:
    """The file in the part `name` of an office document: the part, or what its OLE2 container wraps.

    A container may be an old document itself, hold the file in one stream, or wrap it with its name
    (``Ole10Native``, [MS-OLEDS] 2.3.6). None where it is neither: an object that only its program can read,
    or a damaged one.
    """
    if not data.startswith(_MAGIC):
        return EmbeddedFile(name, data)
    try:
        return _find_file(data, name)
    except CorruptDocumentError:
        return None


def embedded_objects(container: OleFileIO, pool: str) -> Iterator[EmbeddedFile | None]:
    """The files of the objects in the storage `pool`; None for one that only its program can read."""
    for path in container.listdir(streams=False, storages=True):
        if len(path) == 2 and path[0] == pool:
            place, name = "/".join(path), path[1].lstrip("_")
            wrapped = next((one for one in _WRAPPED if container.exists(f"{place}/{one}")), None)
            if wrapped is not None:
                yield EmbeddedFile(name, read_stream(container, f"{place}/{wrapped}"))
            elif container.exists(f"{place}/{_NATIVE}"):
                yield _unwrap(read_stream(container, f"{place}/{_NATIVE}"), name)
            else:
                yield None


def _find_file(data: bytes, name: str) -> EmbeddedFile | None:
    with open_ole(data) as container:
        if any(container.exists(stream) for stream in _DOCUMENTS):
            return EmbeddedFile(name, data)
        if container.exists(_NATIVE):
            return _unwrap(read_stream(container, _NATIVE), name)
        wrapped = next((stream for stream in _WRAPPED if container.exists(stream)), None)
        if wrapped is None:
            return None
        return EmbeddedFile(name.removesuffix(".bin"), read_stream(container, wrapped))


def _unwrap(stream: bytes, name: str) -> EmbeddedFile | None:
    """The file in an ``Ole10Native`` stream: size, flags, label, path, flags, temporary path, size, data."""
    label, _, rest = stream[6:].partition(b"\0")
    _, _, rest = rest.partition(b"\0")
    size = int.from_bytes(rest[4:8], "little")
    rest = rest[8 + size :]
    length = int.from_bytes(rest[:4], "little")
    content = rest[4 : 4 + length]
    if not content or len(content) < length:
        return None
    return EmbeddedFile(encoding.decode(label).strip() or name, content)


def _as_text(value: bytes | str | datetime | None) -> str:
    if isinstance(value, datetime):
        return value.isoformat() if value.year > _NO_DATE.year else ""
    return encoding.decode(value).strip("\0 ") if isinstance(value, bytes) else value or ""
