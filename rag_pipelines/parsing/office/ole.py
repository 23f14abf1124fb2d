"""OLE2 containers, in which the binary Office formats keep their streams; opened with olefile.

What belongs here: streams and document properties. What does not: the content of a stream.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rag_pipelines.errors import CorruptDocumentError
from rag_pipelines.parsing import encoding

if TYPE_CHECKING:
    from olefile import OleFileIO

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


def _as_text(value: bytes | str | datetime | None) -> str:
    if isinstance(value, datetime):
        return value.isoformat() if value.year > _NO_DATE.year else ""
    return encoding.decode(value).strip("\0 ") if isinstance(value, bytes) else value or ""
