"""Mail messages, whatever file they came in: what is said, what is quoted, what is attached.

What belongs here: the message as all mail formats give it, and its turning into blocks. What does not:
the formats (`eml`, `msg`), HTML bodies (`html`), attachments (`ParseRequest.parse_part` reads them).

Why not `unstructured`'s mail partitioner: it drops quotes, attachment names and messages inside messages.

The subject is the title; sender, recipients and date are metadata. Each attachment is a section of its
own under a heading with its name. An attachment that cannot be read costs a warning, not the message.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from email.header import decode_header, make_header
from typing import Any

import msgspec

from rag_pipelines.errors import DocumentError, EncryptedDocumentError
from rag_pipelines.model import Block, BlockKind, ParsedDocument
from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.parsing.html import parse as html
from rag_pipelines.parsing.losses import LeftOut, Loss
from rag_pipelines.parsing.markup.text import Paragraphs

MAX_DEPTH = 4
"""Messages inside messages inside messages: below this, attachments are named but not read."""
MAX_ATTACHMENTS = 100
"""Read in one document, at all depths together."""

_FORWARDED = re.compile(
    r"^[ \t]*-{2,}[ \t]*(?:original message|forwarded message|ursprüngliche nachricht)", re.I | re.M
)
_QUOTED_LINE = re.compile(r"^[ \t]*>[ \t>]?")
_BLANK_LINES = re.compile(r"\n\s*\n")

_LONGEST_ENCODED = 50_000
"""Characters of a header; resolving encoded words takes time in the square of their number."""


@dataclass
class MessageBody:
    """One text of a message in the forms it was sent in."""

    plain: str = ""
    html: str = ""


@dataclass
class Attachment:
    """A file with a message, or a message within one."""

    name: str
    content: bytes | Message
    media_type: str | None = None


@dataclass
class Message:
    """A message as every mail format gives it; `metadata` has author, to, cc, created (ISO 8601)."""

    subject: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    bodies: list[MessageBody] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    encrypted: bool = False


@dataclass
class _Nesting:
    depth: int = 0
    attachments: int = 0


_nesting: ContextVar[_Nesting | None] = ContextVar("_nesting", default=None)


def document(message: Message, request: ParseRequest, media_type: str, *, seen: str = "") -> ParsedDocument:
    """`message` as a document: subject, bodies, attachments. `seen` is what a witness read of its bodies.

    Raises:
        EncryptedDocumentError: it holds encrypted content and nothing that can be read.
    """
    builder = DocumentBuilder(media_type, max_characters=request.limits.max_characters)
    builder.account_for(seen)
    builder.metadata = message.metadata
    builder.add(BlockKind.TITLE, message.subject)
    with _nested() as nesting:
        _add_message(builder, message, request, nesting)
    if message.encrypted and not any(body.plain or body.html for body in message.bodies):
        raise EncryptedDocumentError(
            "the message is encrypted (S/MIME or PGP); only its recipients can read it"
        )
    return builder.finish()


def decode_words(value: str) -> str:
    """A header with its encoded words (RFC 2047) resolved; as it stands where they are broken or too many."""
    if len(value) <= _LONGEST_ENCODED:
        with suppress(LookupError, UnicodeError, ValueError):
            value = str(make_header(decode_header(value)))
    return " ".join(value.split())


def _add_message(
    builder: DocumentBuilder, message: Message, request: ParseRequest, nesting: _Nesting
) -> None:
    for body in message.bodies:
        if body.html.strip():
            html.add_html(builder, body.html)
            builder.leave_out(LeftOut.ALTERNATIVE, body.plain)
        else:
            _add_plain_body(builder, body.plain)
    names = [attachment.name for attachment in message.attachments]
    if names:
        builder.metadata.setdefault("attachments", []).extend(names)
    for attachment in message.attachments:
        if nesting.depth > MAX_DEPTH or nesting.attachments >= MAX_ATTACHMENTS:
            builder.lose(Loss.ATTACHMENTS)
            continue
        nesting.attachments += 1
        if isinstance(attachment.content, Message):
            _add_inner_message(builder, attachment.content, request, nesting)
        else:
            _add_file(builder, attachment, attachment.content, request)


def _add_inner_message(
    builder: DocumentBuilder, inner: Message, request: ParseRequest, nesting: _Nesting
) -> None:
    builder.add(BlockKind.HEADING, f"Attached message: {inner.subject or 'no subject'}", level=1)
    sender, date = inner.metadata.get("author"), inner.metadata.get("created")
    if sender:
        builder.add(BlockKind.PARAGRAPH, f"From {sender}{f', {date}' if date else ''}")
    nesting.depth += 1
    _add_message(builder, inner, request, nesting)
    nesting.depth -= 1


def _add_file(builder: DocumentBuilder, attachment: Attachment, data: bytes, request: ParseRequest) -> None:
    """Add what the attached file holds as a section, or a warning that says why it holds nothing."""
    inner = msgspec.structs.replace(
        request, data=data, name=attachment.name, declared_type=attachment.media_type
    )
    try:
        parsed = request.parse_part(inner)
    except DocumentError as error:
        builder.lose(Loss.ATTACHMENTS)
        builder.warnings.append(f"attachment {attachment.name!r}: {error.status}: {error}")
        return
    builder.add(BlockKind.HEADING, f"Attachment: {attachment.name}", level=1)
    _add_document(builder, parsed)
    builder.count_losses_of(parsed)


def _add_document(builder: DocumentBuilder, parsed: ParsedDocument) -> None:
    """Add a parsed document below the last heading, without its pages, which are not ours."""
    for block in parsed.blocks:
        if block.kind is BlockKind.TABLE:
            builder.add_table([row.cells for row in block.rows], header_rows=block.header_rows)
        elif block.kind in (BlockKind.TITLE, BlockKind.HEADING):
            builder.add(BlockKind.HEADING, _text(parsed, block), level=1 + (block.level or 1))
        else:
            builder.add(block.kind, _text(parsed, block), level=block.level, language=block.language)


def _text(parsed: ParsedDocument, block: Block) -> str:
    return parsed.text[block.start : block.end]


@contextmanager
def _nested() -> Iterator[_Nesting]:
    """How deep in attachments this parse stands; shared by messages that reach each other through files."""
    outer = _nesting.get()
    nesting = outer or _Nesting()
    token = None if outer else _nesting.set(nesting)
    nesting.depth += 1
    try:
        yield nesting
    finally:
        nesting.depth -= 1
        if token:
            _nesting.reset(token)


def _add_plain_body(builder: DocumentBuilder, text: str) -> None:
    """Add a plain-text body: quoted lines and what follows a forwarding line as quotes, the rest as text."""
    text = text.replace("\r\n", "\n")
    forwarded = _FORWARDED.search(text)
    end = forwarded.start() if forwarded else len(text)
    own: list[str] = []
    quoted: list[str] = []
    for line in [*text[:end].split("\n"), None]:
        is_quoted = line is not None and _QUOTED_LINE.match(line) is not None
        if own and (line is None or is_quoted):
            _add_text(builder, own)
            own = []
        if quoted and not is_quoted:
            _add_quote(builder, "\n".join(quoted))
            quoted = []
        if line is not None:
            (quoted if is_quoted else own).append(_QUOTED_LINE.sub("", line) if is_quoted else line)
    _add_quote(builder, text[end:])


def _add_text(builder: DocumentBuilder, lines: Iterable[str]) -> None:
    paragraphs = Paragraphs(builder, unwrap=True)
    for line in lines:
        paragraphs.add(line)
    paragraphs.flush()


def _add_quote(builder: DocumentBuilder, text: str) -> None:
    for paragraph in _BLANK_LINES.split(text):
        builder.add(BlockKind.QUOTE, paragraph)
