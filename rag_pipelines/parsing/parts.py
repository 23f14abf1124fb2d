"""Documents inside a document: attachments of a message, files in a text, a deck, a form or an archive.

What belongs here: reading such a part by its own format, adding what it holds to the document around it,
and the bounds of both. What does not: finding the parts (each format's module).

A part that cannot be read costs its own words and a warning, never the document around it. What a part
loses or leaves out is counted in the document around it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

import msgspec

from rag_pipelines.errors import DocumentError
from rag_pipelines.model import Block, BlockKind, ParsedDocument
from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.parsing.losses import Loss

MAX_DEPTH = 4
"""Documents inside documents inside documents: what lies deeper is named but not read."""
MAX_PARTS = 100
"""Read in one document, at all depths together; more where it holds nothing else (`allow_parts`)."""


@dataclass
class _Nesting:
    """What is known of the document around all others; `pictures` are those read in it, by their bytes."""

    depth: int = 0
    parts: int = 0
    most: int = field(default_factory=lambda: MAX_PARTS)
    pictures: dict[bytes, ParsedDocument | None] = field(default_factory=dict)


_nesting: ContextVar[_Nesting | None] = ContextVar("_nesting", default=None)


@contextmanager
def nested() -> Iterator[None]:
    """One document deeper: around the parse of every document, and of messages that come already parsed."""
    outer = _nesting.get()
    nesting = outer or _Nesting()
    token = None if outer else _nesting.set(nesting)
    nesting.depth += 1
    try:
        yield
    finally:
        nesting.depth -= 1
        if token:
            _nesting.reset(token)


def allow_parts(count: int) -> None:
    """Let so many parts be read in the document around all, for one that holds nothing but parts."""
    if nesting := _nesting.get():
        nesting.most = max(nesting.most, count)


def take_part(builder: DocumentBuilder) -> bool:
    """Whether one more part may be read; one that may not is counted as lost."""
    nesting = _nesting.get() or _Nesting()
    if nesting.depth > MAX_DEPTH or nesting.parts >= nesting.most:
        builder.lose(Loss.ATTACHMENTS)
        return False
    nesting.parts += 1
    return True


def read_part(
    builder: DocumentBuilder, request: ParseRequest, data: bytes, name: str, media_type: str | None = None
) -> ParsedDocument | None:
    """The document in `data`; None, a loss and a warning where it cannot be read or is one too many."""
    if not take_part(builder):
        return None
    inner = msgspec.structs.replace(request, data=data, name=name, declared_type=media_type)
    try:
        return request.parse_part(inner)
    except DocumentError as error:
        builder.lose(Loss.ATTACHMENTS)
        builder.warnings.append(f"attachment {name!r}: {error.status}: {error}")
        return None


def add_attachment(
    builder: DocumentBuilder,
    request: ParseRequest,
    data: bytes,
    name: str,
    media_type: str | None = None,
    *,
    level: int = 1,
    page: int | None = None,
    label: str = "Attachment: ",
) -> None:
    """Add what the file `name` holds as a section of its own, under a heading of `level` with its name."""
    parsed = read_part(builder, request, data, name, media_type)
    if parsed is not None:
        builder.add(BlockKind.HEADING, f"{label}{name}", level=level, page=page)
        add_document(builder, parsed, below=level, page=page)


def read_picture(
    builder: DocumentBuilder, request: ParseRequest, data: bytes | None
) -> ParsedDocument | None:
    """The text in a picture as a document; None where pictures are not recognised, and where it has none.

    A picture that stands in a document several times, as a logo on each slide, is read and counts as a part
    once.
    """
    if request.recognise is None or data is None:
        return None
    known = (_nesting.get() or _Nesting()).pictures
    if data not in known:
        if not take_part(builder):
            return None
        known[data] = _read_picture(request, data)
    return known[data]


def _read_picture(request: ParseRequest, data: bytes) -> ParsedDocument | None:
    try:
        return request.parse_part(msgspec.structs.replace(request, data=data, name="", declared_type=None))
    except DocumentError:
        return None


def add_picture(
    builder: DocumentBuilder,
    request: ParseRequest,
    data: bytes | None,
    *,
    described: bool = False,
    page: int | None = None,
) -> None:
    """Add the text in a picture, where pictures are recognised; one without text or description is counted.

    Args:
        data: the picture; None where it cannot be had.
        described: whether the document says in words what the picture shows.
    """
    parsed = read_picture(builder, request, data)
    if parsed is not None:
        add_document(builder, parsed, page=page)
    elif not described:
        builder.lose(Loss.IMAGES)


def add_document(
    builder: DocumentBuilder, parsed: ParsedDocument, *, below: int = 0, page: int | None = None
) -> None:
    """Add the blocks of a part on `page` of the document around it, headings `below` levels deeper.

    The pages of the part are not those of the document, so they are dropped.
    """
    for block in parsed.blocks:
        text = _text(parsed, block)
        if block.kind is BlockKind.TABLE:
            builder.add_table(
                [row.cells for row in block.rows],
                header_rows=block.header_rows,
                page=page,
                confidence=block.confidence,
            )
        elif block.kind in (BlockKind.TITLE, BlockKind.HEADING):
            builder.add(BlockKind.HEADING, text, level=below + (block.level or 1), page=page)
        else:
            builder.add(
                block.kind,
                text,
                level=block.level,
                language=block.language,
                page=page,
                confidence=block.confidence,
            )
    builder.count_losses_of(parsed)


def _text(parsed: ParsedDocument, block: Block) -> str:
    return parsed.text[block.start : block.end]
